"""``redsm5 ensemble`` as its user runs it: the best trials of a search on a tiny encoder and corpus as one model."""

import json
import shutil

import jsonschema
import numpy as np
import pytest
from searches import reports, search_options

import redsm5
from redsm5.cli import main
from redsm5.datamodules.reading import read_corpus
from redsm5.report.schema import report_schema


@pytest.fixture(scope="module")
def searched(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    """A study of four trials, of which three keep their weights."""
    folder = tmp_path_factory.mktemp("search")
    options = search_options(tiny_corpus_dir, tiny_encoder, folder)
    assert main(options("--n-trials", "4", "--keep", "3", "--trainer.max_epochs=1")) == 0
    return folder / "study"


@pytest.fixture(scope="module")
def made(searched):
    """The same with an ensemble of its best three."""
    assert main(["ensemble", str(searched), "--top", "3"]) == 0
    return searched / "ensemble"


def read(folder):
    return json.loads((folder / "ensemble.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def texts(tiny_corpus_dir):
    return [post.text for post in read_corpus(path=str(tiny_corpus_dir))[0].posts[:8]]


def test_ensemble_is_of_the_best_trials_and_says_how_it_compares(made, searched):
    found = read(made)
    jsonschema.validate(found, report_schema("ensemble"))
    best = sorted(reports(searched), key=lambda r: (-r["value"], r["metrics"]["val_loss"], r["trial"]))[:3]
    assert [member["trial"] for member in found["members"]] == [report["trial"] for report in best]
    assert [member["value"] for member in found["members"]] == [report["value"] for report in best]
    names = [one["name"] for one in found["compared"]]
    assert names[:3] == [f"trial {report['trial']}" for report in best]
    assert names[3:8] == ["mean, equal", "mean, fitted", "mean, greedy", "rank, equal", "rank, greedy"]
    assert found["compared"][0]["scores"]["f1_macro"] == pytest.approx(best[0]["metrics"]["val_f1_macro"], abs=1e-6)
    assert found["chosen"] == "mean, equal"
    shared = {}
    for report in best:
        shared.setdefault((report["params"]["peft"], report["params"].get("lora_r")), []).append(report["trial"])
    averaged = [one["trials"] for one in found["compared"] if one["kind"] == "averaged"]
    assert averaged == [trials for trials in shared.values() if len(trials) > 1]
    assert averaged


def test_ensemble_predicts_the_mean_of_its_members(made, texts):
    members = [redsm5.load(made / member["folder"], device="cpu") for member in read(made)["members"]]
    each = [member.predict(texts) for member in members]
    together = redsm5.load(made, device="cpu").predict(texts)
    for i, prediction in enumerate(together):
        for code, probability in prediction.probabilities.items():
            assert probability == pytest.approx(np.mean([found[i].probabilities[code] for found in each]), abs=1e-9)
            assert prediction.decisions[code] == (probability >= read(made)["thresholds"][code])
            for span in prediction.spans[code]:
                assert 0 <= span.start < span.end <= len(texts[i])


def test_ensemble_with_one_member_in_memory_at_a_time_predicts_the_same(made, texts, monkeypatch):
    from redsm5.inference import ensemble_predictor as module

    together = redsm5.load(made, device="cpu")
    assert not together.one_at_a_time
    loaded = []
    real = module.NetworkPredictor
    monkeypatch.setattr(module, "NetworkPredictor", lambda *a, **k: loaded.append(1) or real(*a, **k))
    monkeypatch.setattr(module, "ROOM", 0.0)
    apart = redsm5.load(made, device="cpu")
    assert apart.one_at_a_time
    assert not loaded
    assert apart.predict(texts) == together.predict(texts)
    assert len(loaded) == 3


def test_ensemble_predicts_files_like_any_model(made, tiny_corpus_dir, tmp_path):
    posts = next(tiny_corpus_dir.glob("*posts*"))
    assert main(["predict", str(made), "--posts", str(posts), "--out", str(tmp_path / "out.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(rows) == 60 * 9
    assert {row["threshold"] for row in rows} == {round(t, 6) for t in read(made)["thresholds"].values()}


def test_ensemble_looks_at_no_test_post_and_keeps_no_text(made, searched, tiny_corpus_dir, texts):
    """The best trial was tested by the search; the others were not, and are not now."""
    tested = [path.parent for path in searched.glob("trials/*/*/predictions-test.jsonl")]
    assert len(tested) == 1
    assert read(made)["posts"] == len(json.loads((tested[0] / "split.json").read_text())["parts"]["val"])
    content = (made / "ensemble.json").read_text(encoding="utf-8") + (made / "README.md").read_text(encoding="utf-8")
    for text in texts:
        assert text not in content
        assert not any(sentence.strip() in content for sentence in text.split(".") if len(sentence) > 20)


def test_ensemble_has_a_card(made):
    card, found = (made / "README.md").read_text(encoding="utf-8"), read(made)
    assert "$" not in card
    for words in ("**No diagnosis.**", "**No triage.**", "**No surveillance.**", "The test part was not looked at"):
        assert words in card
    for member in found["members"]:
        assert f"| `{member['folder']}` |" in card
    chosen = next(one for one in found["compared"] if one["name"] == found["chosen"])
    assert f"| macro F1 at 0.5 | {chosen['scores']['f1_macro']:.3f} |" in card


@pytest.mark.parametrize("weights", ["greedy", "fitted"])
def test_members_without_weight_are_left_out(searched, tmp_path, weights):
    out = tmp_path / "out"
    assert main(["ensemble", str(searched), "--top", "3", "--weights", weights, "--out", str(out)]) == 0
    found = read(out)
    assert sum(found["combination"]["weights"]) == pytest.approx(1)
    assert all(member["weight"] > 0 for member in found["members"])
    folders = {member["folder"] for member in found["members"]}
    assert {f"members/{path.name}" for path in (out / "members").iterdir()} == folders
    row = next(one for one in found["compared"] if one["name"] == f"mean, {weights}")
    assert [weight for weight in row["weights"] if weight > 0] == pytest.approx(found["combination"]["weights"])


REFUSED = [
    (("--top", "1"), "--top is 1; an ensemble needs at least 2 trials"),
    (("--combine", "rank", "--weights", "fitted"), "--weights fitted needs probabilities"),
    (("--top", "4", "--out", "{tmp}/new"), "weights of trial"),
    (("--top", "3",), "holds an ensemble; choose another --out, or add --overwrite"),
    (("--top", "3", "--out", "{tmp}"), "exists and is no ensemble"),
    (("--top", "3", "--out", "{tmp}/no/where"), "there is no folder"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "sentence"), REFUSED)
def test_ensemble_that_cannot_be_made_is_a_sentence(made, searched, tmp_path, capsys, options, sentence):
    before = (made / "ensemble.json").read_bytes()
    assert main(["ensemble", str(searched), *(option.format(tmp=tmp_path) for option in options)]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert (made / "ensemble.json").read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_ensemble_replaces_another_only_when_asked(made, searched, tmp_path):
    out = shutil.copytree(made, tmp_path / "ensemble")
    options = ["ensemble", str(searched), "--top", "2", "--out", str(out), "--overwrite"]
    assert main(options) == 0
    assert len(read(out)["members"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["ensemble"]


def changed(folder, change):
    found = read(folder)
    change(found)
    (folder / "ensemble.json").write_text(json.dumps(found), encoding="utf-8")


DAMAGE = {
    "no json": (lambda f: (f / "ensemble.json").write_text("{"), "is no ensemble of this version"),
    "a member is missing": (lambda f: shutil.rmtree(next((f / "members").iterdir())), "lacks its member"),
    "another member": (
        lambda f: changed(f, lambda e: e["members"][0].update(sha256="0" * 64)),
        "is not the member that was combined",
    ),
    "a member from elsewhere": (
        lambda f: changed(f, lambda e: e["members"][0].update(folder="../../elsewhere")),
        "names a member outside of its folder",
    ),
    "a weight too few": (
        lambda f: changed(f, lambda e: e["combination"].update(weights=[1.0])),
        "does not combine the members that it lists",
    ),
    "other criteria": (
        lambda f: changed(f, lambda e: e["thresholds"].pop("FATIGUE")),
        "is for other criteria than its members",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_ensemble_is_refused_in_a_sentence(made, tmp_path, capsys, damage):
    folder = shutil.copytree(made, tmp_path / "ensemble")
    damaged, sentence = DAMAGE[damage]
    damaged(folder)
    assert main(["predict", str(folder), "--text", "It rained."]) == 2
    assert sentence in capsys.readouterr().err


def test_ensemble_with_a_damaged_weight_file_is_refused(made, tmp_path, capsys):
    folder = shutil.copytree(made, tmp_path / "ensemble")
    weights = next(folder.glob("members/*/model.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert main(["predict", str(folder), "--text", "It rained."]) == 2
    assert "is damaged" in capsys.readouterr().err
