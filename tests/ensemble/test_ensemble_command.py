"""``redsm5 ensemble`` as its user runs it: the best trials of a search on a tiny encoder and corpus as one model."""

import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from confirmed_samples import confirmation
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
    averaged = [one["trials"] for one in found["compared"] if one["kind"] == "averaged"]
    assert averaged == [[report["trial"] for report in best]]  # LoRA of any rank is folded in: they share the encoder


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


def test_ensemble_holds_one_member_at_a_time(made, texts, monkeypatch):
    from redsm5.inference import ensemble_predictor as module

    alive = []
    read = module.read_model

    def counted(folder):
        assert not any(one() is not None for one in alive)
        files = read(folder)
        alive.append(weakref.ref(files))
        return files

    class Kept(module.NetworkPredictor):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            alive.extend((weakref.ref(self), weakref.ref(self.network), weakref.ref(self.network.encoder.layers[0])))

    monkeypatch.setattr(module, "read_model", counted)
    monkeypatch.setattr(module, "NetworkPredictor", Kept)
    module.EnsemblePredictor(made, device="cpu", one_at_a_time=True).predict(texts)
    assert len(alive) == 12
    assert not any(one() is not None for one in alive)


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
    for code, threshold in found["thresholds"].items():
        assert f"| {code} | " in card
        assert f" | {threshold:.2f} | " in next(line for line in card.splitlines() if line.startswith(f"| {code} |"))
    for one in found["compared"]:
        assert f"| {one['name']}{' *' if one is chosen else ''} | {one['scores']['tuned_f1_macro']:.3f} |" in card
    assert "- the search: 4 trials asked for; " in card
    assert "Whether its members hold" not in card


def test_ensemble_keeps_figures_per_criterion_of_what_was_judged(made):
    found = read(made)
    chosen = next(one for one in found["compared"] if one["name"] == found["chosen"])
    evaluation = found["evaluation"]
    assert {one["code"]: one["threshold"] for one in evaluation["criteria"]} == found["thresholds"]
    assert evaluation["tuned"]["f1_macro"] == pytest.approx(chosen["scores"]["tuned_f1_macro"])
    assert evaluation["intervals"]["tuned_f1_macro"] == chosen["intervals"]["tuned_f1_macro"]


def test_cards_of_members_say_how_they_were_found(made, searched):
    for member in read(made)["members"]:
        card = (made / member["folder"] / "README.md").read_text(encoding="utf-8")
        assert f"- trial {member['trial']} of a hyperparameter search with redsm5, rank" in card
        assert str(searched) not in card
        assert "- the ensemble of trials " in card
        assert f"against trial {read(made)['members'][0]['trial']}, the best single one" in card
        assert "this trial is a member" in card


def moved(searched, tmp_path):
    """The study as on another machine, where its corpus lies elsewhere."""
    folder = shutil.copytree(searched, tmp_path / "moved", ignore=shutil.ignore_patterns("ensemble"))
    for path in folder.glob("trials/*/config.yaml"):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["data"]["path"] = "/nowhere/corpus"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def test_study_whose_corpus_lies_elsewhere_is_combined_where_it_is_named(searched, tiny_corpus_dir, tmp_path, capsys):
    folder = moved(searched, tmp_path)
    assert main(["ensemble", str(folder), "--top", "2"]) == 2
    assert "where the corpus lies elsewhere by now, name its folder with --data.path" in capsys.readouterr().err
    posts, annotations = (str(next(tiny_corpus_dir.glob(f"*{name}*"))) for name in ("posts", "annotations"))
    given = ("--data.posts", posts, "--data.annotations", annotations)
    assert main(["ensemble", str(folder), "--top", "2", *given]) == 0
    shutil.copytree(tiny_corpus_dir, tmp_path / "other")
    with (tmp_path / "other" / Path(posts).name).open("a", encoding="utf-8") as file:
        file.write("s_new_1,It rained.\n")
    given = ("--data.path", str(tmp_path / "other"), "--overwrite")
    assert main(["ensemble", str(folder), "--top", "2", *given]) == 2
    assert "another corpus" in capsys.readouterr().err


def test_confirmed_members_are_on_the_card(searched, tmp_path, monkeypatch):
    from redsm5.confirm.origin import StudyFiles

    best = sorted(reports(searched), key=lambda r: (-r["value"], r["metrics"]["val_loss"], r["trial"]))[:3]
    first, second, third = (report["trial"] for report in best)
    found, real = confirmation((second, 0.65), (third, 0.6), (first, 0.55)), StudyFiles.read
    monkeypatch.setattr(StudyFiles, "read", lambda *args: replace(real(*args), confirmation=found))
    out = tmp_path / "out"
    assert main(["ensemble", str(searched), "--top", "2", "--out", str(out)]) == 0
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "The best 3 trials, 2 of the 2 members among them, were trained again on 3 seeds x 5 folds" in card
    assert f"| {second} | 0.8000 | 0.6500 | 0.5500 to 0.7500 | +0.1500 |" in card
    assert f"| {first} | 0.8000 | 0.5500 | 0.5500 to 0.7500 | +0.2500 | +0.0400, p 0.400 |" in card
    assert f"\n| {third} |" not in card
    member = (out / f"members/{second:05d}/README.md").read_text(encoding="utf-8")
    assert "place 1 of 3" in member


def test_trial_without_weights_is_combined_once_it_is_trained_again(searched, tmp_path, capsys):
    folder = shutil.copytree(searched, tmp_path / "study", ignore=shutil.ignore_patterns("ensemble"))
    best = sorted(reports(folder), key=lambda r: (-r["value"], r["metrics"]["val_loss"], r["trial"]))[0]
    shutil.rmtree(folder / best["run"] / "checkpoints")
    options = ["ensemble", str(folder), "--top", "2"]
    assert main(options) == 2
    advice = capsys.readouterr().err.partition("train it again: redsm5 ")[2].split()
    assert main([*advice, "--seed_everything=7"]) == 0
    assert main(options) == 2  # with another seed it is no training of this config
    assert main([*advice, "--fresh"]) == 0
    assert main(options) == 0
    found = read(folder / "ensemble")
    assert found["members"][0]["trial"] == best["trial"]
    own = found["compared"][0]["scores"]["f1_macro"]
    assert own == pytest.approx(best["metrics"]["val_f1_macro"], abs=1e-6)
    card = (folder / "ensemble/README.md").read_text(encoding="utf-8")
    assert f"Trained again with the config of the trial, whose value this is: {best['trial']}.\n" in card
    member = (folder / f"ensemble/members/{best['trial']:05d}/README.md").read_text(encoding="utf-8")
    assert "this model is the config of that trial trained again" in member


def test_ensemble_of_trials_that_were_all_trained_again_says_how_they_were_found(searched, tmp_path):
    folder = shutil.copytree(searched, tmp_path / "study", ignore=shutil.ignore_patterns("ensemble"))
    best = sorted(reports(folder), key=lambda r: (-r["value"], r["metrics"]["val_loss"], r["trial"]))[:2]
    for report in best:
        shutil.copytree(folder / report["run"], folder / f"refits/{report['trial']:05d}")
        shutil.rmtree(folder / report["run"] / "checkpoints")
    assert main(["ensemble", str(folder), "--top", "2"]) == 0
    card = (folder / "ensemble/README.md").read_text(encoding="utf-8")
    assert "## How its members were found" in card
    assert f"whose value this is: {best[0]['trial']}, {best[1]['trial']}.\n" in card


def test_no_two_models_are_held_while_trials_predict(searched, tmp_path, monkeypatch):
    from redsm5.ensemble import build as module

    alive = []
    read_one = module.read_model

    def counted(folder):
        assert sum(one() is not None for one in alive) <= 1  # one whose weights the mean begins with
        files = read_one(folder)
        alive.append(weakref.ref(files))
        return files

    monkeypatch.setattr(module, "read_model", counted)
    assert main(["ensemble", str(searched), "--top", "2", "--out", str(tmp_path / "out")]) == 0
    assert len(alive) == 4


@pytest.mark.parametrize("weights", ["greedy", "fitted"])
def test_members_without_weight_are_left_out(searched, tmp_path, monkeypatch, weights):
    """The third trial says of every post that it has everything."""
    from redsm5.ensemble import build as module

    real, calls = module._predict, []

    def third_is_useless(*args):
        calls.append(1)
        posts = real(*args)
        if len(calls) != 3:
            return posts
        return [replace(post, probabilities=(0.999,) * len(post.probabilities)) for post in posts]

    monkeypatch.setattr(module, "_predict", third_is_useless)
    out = tmp_path / "out"
    assert main(["ensemble", str(searched), "--top", "3", "--weights", weights, "--out", str(out)]) == 0
    found = read(out)
    assert 1 <= len(found["members"]) < 3
    assert found["compared"][2]["trials"][0] not in {member["trial"] for member in found["members"]}
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
