"""``redsm5 confirm`` as its user runs it: the best trials of a search on a tiny encoder and corpus, trained again."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from scipy import stats
from searches import search_options
from sklearn.metrics import f1_score
from stage_records import stage

from redsm5.cli import main
from redsm5.confirm import refits as running
from redsm5.hpo.study import load_study
from redsm5.report.schema import report_schema

ASKED = ("--top", "2", "--seeds", "2", "--folds", "2")


@pytest.fixture(scope="module")
def searched(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    """A study of three trials."""
    folder = tmp_path_factory.mktemp("search")
    options = search_options(tiny_corpus_dir, tiny_encoder, folder)
    assert main(options("--n-trials", "3", "--trainer.max_epochs=1")) == 0
    return folder / "study"


@pytest.fixture(scope="module")
def confirmed(searched):
    """The same, its best two confirmed."""
    assert main(["confirm", str(searched), *ASKED]) == 0
    return searched


@pytest.fixture
def study(searched, tmp_path):
    """A copy that nothing was confirmed of."""
    return shutil.copytree(searched, tmp_path / "study", ignore=shutil.ignore_patterns("confirm*"))


def read(study):
    return json.loads((study / "confirm.json").read_text(encoding="utf-8"))


def study_split(study):
    return json.loads(next(study.glob("trials/00000/*/split.json")).read_text(encoding="utf-8"))["parts"]


def folds_of(study):
    """Posts tested and trained on, of each fold."""
    rows = [list(csv.DictReader(path.open(encoding="utf-8"))) for path in study.glob("confirm/*/seed-*-fold-*.csv")]
    counts = [Counter(row["split"] for row in one) for one in rows]
    return [count["test"] for count in counts], [count["train"] for count in counts]


def refit_folders(study):
    return sorted(path.parent for path in study.glob("confirm/*/trial-*/seed-*/fold-*/refit.json"))


def test_confirm_trains_each_trial_on_each_fold_with_each_seed(confirmed):
    found = read(confirmed)
    jsonschema.validate(found, report_schema("confirm"))
    whole = json.loads((confirmed / "study.json").read_text(encoding="utf-8"))
    assert {one["trial"] for one in found["candidates"]} > {whole["best"][0]["trial"]} - {None}
    assert [(one["seed"], one["fold"]) for one in found["refits"]] == 2 * [(s, f) for s in (1, 2) for f in (0, 1)]
    assert found["seeds"] == [1, 2]
    assert len(refit_folders(confirmed)) == 8
    for folder in refit_folders(confirmed):
        assert not (folder / "checkpoints").exists()


def test_confirm_never_shows_a_training_its_fold_or_the_test_posts(confirmed):
    split = study_split(confirmed)
    tested = {}
    for path in confirmed.glob("confirm/*/seed-*-fold-*.csv"):
        rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
        parts = {name: {row["post_id"] for row in rows if row["split"] == name} for name in ("train", "val", "test")}
        unused = {row["post_id"] for row in rows if row["split"] == "unused"}
        assert unused == set(split["test"])
        assert not parts["test"] & (parts["train"] | parts["val"])
        tested.setdefault(path.name.split("-")[1], []).extend(parts["test"])
    assert all(sorted(posts) == sorted(split["train"] + split["val"]) for posts in tested.values())
    for folder in refit_folders(confirmed):
        lines = (folder / "predictions-test.jsonl").read_text(encoding="utf-8").splitlines()
        assert not {json.loads(line).get("post_id") for line in lines} & set(split["test"])


def test_confirm_reports_what_its_refits_say(confirmed):
    found = read(confirmed)
    tested, trained = folds_of(confirmed)
    ratio = np.sum(tested) / np.sum(trained)
    assert ratio > 1  # half of the posts, and of the other half some validate
    assert found["test_to_training"] == pytest.approx(ratio)
    assert found["refit_training_posts"] == pytest.approx(np.mean(trained))
    assert found["training_posts"] == len(study_split(confirmed)["train"])
    for one in found["candidates"]:
        values = [refit["value"] for refit in found["refits"] if refit["trial"] == one["trial"]]
        assert one["mean"] == pytest.approx(np.mean(values))
        assert one["deviation"] == pytest.approx(np.std(values, ddof=1))
        half = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + ratio) * np.var(values, ddof=1))
        assert one["interval"]["high"] - one["mean"] == pytest.approx(half)
        assert one["search_difference"] == pytest.approx(one["search_value"] - one["mean"])
    means = [one["mean"] for one in found["candidates"]]
    assert means == sorted(means, reverse=True)
    assert found["best"] == found["candidates"][0]["trial"]
    [apart] = found["differences"]
    values = {(refit["trial"], refit["seed"], refit["fold"]): refit["value"] for refit in found["refits"]}
    pairs = [values[apart["trial"], s, f] - value for (trial, s, f), value in values.items() if trial == apart["other"]]
    assert apart["refits"] == len(pairs) == 4
    assert apart["difference"] == pytest.approx(np.mean(pairs))
    assert apart["difference"] == pytest.approx(means[0] - means[1])
    error = np.sqrt((1 / 4 + ratio) * np.var(pairs, ddof=1))
    assert apart["p_value"] == pytest.approx(2 * stats.t.sf(abs(np.mean(pairs)) / error, 3))
    assert apart["p_holm"] == apart["p_value"]  # of one pair
    assert apart["interval"]["low"] == pytest.approx(np.mean(pairs) - stats.t.ppf(0.975, 3) * error)
    first, second = (one["pooled"]["scores"]["f1_macro"] for one in found["candidates"])
    assert [one["pooled_value"] for one in found["candidates"]] == pytest.approx([first, second])
    assert apart["pooled_difference"] == pytest.approx(first - second)
    assert apart["pooled_interval"]["low"] <= apart["pooled_difference"] <= apart["pooled_interval"]["high"]


def test_confirm_pools_the_predictions_of_all_folds(confirmed, tiny_corpus_dir):
    found = read(confirmed)
    with (tiny_corpus_dir / "redsm5_annotations.csv").open(encoding="utf-8", newline="") as file:
        has = {(row["post_id"], row["DSM5_symptom"]) for row in csv.DictReader(file) if row["status"] == "1"}
    for one in found["candidates"]:
        scores, unselected = [], []
        for seed in found["seeds"]:
            folders = confirmed.glob(f"confirm/*/trial-{one['trial']:05d}/seed-{seed}/fold-*")
            files = [(folder / "predictions-test.jsonl").read_text(encoding="utf-8") for folder in folders]
            lines = [json.loads(line) for text in files for line in text.splitlines()]
            codes = sorted({line["criterion"] for line in lines})
            of = {(line["post_id"], line["criterion"]): line["probability"] for line in lines}
            posts = sorted({post for post, _ in of})
            assert len(of) == len(lines) == len(posts) * len(codes)
            assert len(posts) == found["posts"]
            truth = np.array([[(post, code) in has for code in codes] for post in posts])
            guess = np.array([[of[post, code] >= 0.5 for code in codes] for post in posts])
            scores.append(f1_score(truth, guess, average="macro", zero_division=0))
            own = [i for i, post in enumerate(posts) if post in study_split(confirmed)["train"]]
            assert 0 < len(own) < len(posts)
            has_any = truth[own].any(0)  # a criterion without support is in no mean
            unselected.append(f1_score(truth[own][:, has_any], guess[own][:, has_any], average="macro"))
        assert one["pooled"]["scores"]["f1_macro"] == pytest.approx(np.mean(scores))
        assert one["unselected_value"] == pytest.approx(np.mean(unselected))


def test_pooled_rankings_of_spans_are_those_of_the_folds_by_their_pairs(confirmed):
    """A right candidate below null is a hit in both; pairs are what hit@1 and MRR are means over."""
    ranked = 0
    for one in read(confirmed)["candidates"]:
        found = {"hit_at_1": [], "mrr": []}
        for seed in (1, 2):
            folders = sorted(confirmed.glob(f"confirm/*/trial-{one['trial']:05d}/seed-{seed}/fold-*"))
            parts = [json.loads((folder / "report.json").read_text())["evaluations"]["test"] for folder in folders]
            pairs = [part["evidence_pairs"] for part in parts]
            for key, values in found.items():
                values.append(np.average([part["evidence_given_gold"][key] for part in parts], weights=pairs))
        for key, values in found.items():
            assert one["pooled"]["scores"][key] == pytest.approx(np.mean(values))
        ranked += sum(found["hit_at_1"])
        file = next(confirmed.glob(f"confirm/*/trial-{one['trial']:05d}/seed-1/fold-0/predictions-test.jsonl"))
        scores = [span["score"] for line in file.open() for span in json.loads(line)["spans"]]
        assert min(scores) < 0
    assert ranked > 0


def test_confirm_again_trains_nothing(confirmed, capfd):
    before = [(path, path.stat().st_mtime_ns) for path in sorted(confirmed.glob("confirm/**/refit.json"))]
    assert main(["confirm", str(confirmed), *ASKED]) == 0
    out = capfd.readouterr().out
    assert "seed 1, fold 0:" not in out
    assert "is the confirmed best" in out
    assert [(path, path.stat().st_mtime_ns) for path in sorted(confirmed.glob("confirm/**/refit.json"))] == before


def test_confirm_goes_on_where_it_was_ended(study, monkeypatch, capfd):
    told = []

    def interrupt(refit, new):
        told.append(refit)
        if len(told) == 3:
            raise KeyboardInterrupt

    real = running.run_refits
    monkeypatch.setattr("redsm5.confirm.confirmation.run_refits", lambda *a, tell, **k: real(*a, tell=interrupt, **k))
    assert main(["confirm", str(study), *ASKED]) == 130
    assert len(refit_folders(study)) == 3
    assert not (study / "confirm.json").exists()
    monkeypatch.undo()
    capfd.readouterr()
    assert main(["confirm", str(study), *ASKED]) == 0
    assert capfd.readouterr().out.count(" of 8 refits") == 5
    assert len(refit_folders(study)) == 8


def test_confirm_with_two_workers_comes_to_the_same(study, confirmed, monkeypatch):
    """Trainings on the CPU need no GPU each."""
    monkeypatch.setattr("redsm5.confirm.confirmation.gpus", lambda: 1)
    assert main(["confirm", str(study), *ASKED, "--workers", "2"]) == 0
    kept = {"trial", "seed", "fold", "failed", "value", "val_value", "best_epoch", "epochs"}
    apart = [[{key: refit[key] for key in kept} for refit in read(folder)["refits"]] for folder in (study, confirmed)]
    assert apart[0] == apart[1]


@pytest.mark.slow
def test_confirm_goes_on_when_a_training_is_killed(study, capfd):
    """A training that is killed is a sentence; the next call goes on from its checkpoint or begins it again."""
    command = [sys.executable, "-m", "redsm5", "confirm", str(study), *ASKED]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(refit_folders(study))
    assert 1 <= done < 8
    deadline = time.monotonic() + 60
    while (code := main(["confirm", str(study), *ASKED])) == 2 and time.monotonic() < deadline:
        time.sleep(1)  # until the orphaned training has seen that its parent is gone
    assert code == 0
    assert len(read(study)["refits"]) == 8


def test_confirm_says_which_refits_failed_and_confirms_the_others(study, capfd):
    """Of three the best diverges, and the config of the next one cannot be used any more."""
    diverging, refused, good = (one["trial"] for one in _best(study))
    path = study / f"trials/{diverging:05d}/config.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    lr: ", "    lr: 1.0e+30  # "), encoding="utf-8")
    path = study / f"trials/{refused:05d}/config.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "oops: 1\n", encoding="utf-8")
    assert main(["confirm", str(study), "--top", "3", *ASKED[2:]]) == 0
    found = read(study)
    first, *others = found["candidates"]
    assert found["best"] == first["trial"] == good
    assert {one["trial"] for one in others} == {diverging, refused}
    for one in others:
        assert len(one["failed"]) == 4
        assert one["mean"] is one["pooled"] is None
        assert ("oops" in one["failed"][0]) == (one["trial"] == refused)
    assert found["differences"] == []
    assert "failed" in capfd.readouterr().out


def test_confirm_of_a_study_that_was_split_otherwise(tiny_corpus_dir, tiny_encoder, tmp_path):
    """A split file leaves nothing of these settings to a refit; what may be torn apart is that of the study."""
    split = ("--data.fractions=[0.6,0.2,0.2]", "--data.split_seed=3", "--data.group_by=post")
    options = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)
    assert main(options("--n-trials", "1", "--trainer.max_epochs=1", *split)) == 0
    assert main(["confirm", str(tmp_path / "study"), "--top", "1", "--seeds", "1", "--folds", "2"]) == 0
    assert [one["failed"] for one in read(tmp_path / "study")["refits"]] == ["", ""]
    for path in (tmp_path / "study").glob("confirm/*/seed-*-fold-*.csv"):
        rows = [(row["post_id"].rsplit("_", 1)[0], row["split"]) for row in csv.DictReader(path.open(encoding="utf-8"))]
        authors = [{author for author, part in rows if part in parts} for parts in (("test",), ("train", "val"))]
        assert authors[0] & authors[1]


def test_confirm_by_a_metric_that_folds_have_not_is_a_sentence_before_any_training(study, monkeypatch, capfd):
    def load(settings):
        found = load_study(settings)
        return replace(found, plan=replace(found.plan, objective="val_loss"))

    monkeypatch.setattr("redsm5.hpo.study.load_study", load)
    assert main(["confirm", str(study), *ASKED]) == 2
    assert "val_loss, which is not computed on folds" in capfd.readouterr().err
    assert not (study / "confirm").exists()


def test_confirm_of_a_study_whose_files_lie_elsewhere_now(study, tiny_corpus_dir, tmp_path, capfd):
    for path in study.glob("trials/*/config.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(str(tiny_corpus_dir), str(tmp_path / "gone")), encoding="utf-8")
    asked = ["confirm", str(study), "--top", "1", "--seeds", "1", "--folds", "2"]
    assert main(asked) == 2
    assert "gone" in capfd.readouterr().err
    posts, annotations = (str(next(tiny_corpus_dir.glob(f"*{name}*"))) for name in ("posts", "annotations"))
    assert main([*asked, "--data.posts", posts, f"--data.annotations={annotations}"]) == 0
    assert [one["failed"] for one in read(study)["refits"]] == ["", ""]


@pytest.mark.parametrize("kind", ["tapt", "dapt"])
def test_confirm_says_where_the_encoder_has_read_the_posts(study, tiny_encoder, tmp_path, monkeypatch, capfd, kind):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("redsm5.confirm.confirmation.run_refits", interrupt)
    encoder = shutil.copytree(tiny_encoder, tmp_path / "adapted")
    (encoder / "pretraining.json").write_text(stage(kind, [9.0, 8.0]).model_dump_json(), encoding="utf-8")
    _, second, _ = _best(study)
    path = study / f"trials/{second['trial']:05d}/config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(str(tiny_encoder), str(encoder)), encoding="utf-8")
    assert main(["confirm", str(study), *ASKED]) == 130
    said = f"The encoder of trial {second['trial']} was pretrained on training posts before the search: "
    assert (said in capfd.readouterr().err) == (kind == "tapt")


def _best(study):
    made = [json.loads(path.read_text(encoding="utf-8")) for path in study.glob("trials/*/report.json")]
    return sorted(made, key=lambda one: -one["value"])


def _no_config(study):
    for path in study.glob("trials/*/config.yaml"):
        path.unlink()


def _no_run(study):
    """Only the files of the trials were copied, not their runs."""
    for path in study.glob("trials/*/attempt-*"):
        shutil.rmtree(path)


def _no_yaml(study):
    for path in study.glob("trials/*/config.yaml"):
        path.write_text("data: {", encoding="utf-8")


def _no_refit(study):
    """Trials that cannot be trained any more."""
    for path in study.glob("trials/*/config.yaml"):
        path.write_text(path.read_text(encoding="utf-8") + "oops: 1\n", encoding="utf-8")


WRONG = [
    (["--top", "0"], "--top is 0; it must be at least 1", None),
    (["--seeds", "0"], "--seeds is 0; it must be at least 1", None),
    (["--folds", "1"], "--folds is 1; it must be at least 2", None),
    (["--workers", "0"], "--workers is 0; it must be at least 1", None),
    (["--folds", "500"], "--folds 500 needs 501", None),
    (["--storage", "mongodb://x/y"], "--storage", None),
    (["--study", "other"], "the database has no study of the name other", None),
    (["--data.folds", "3"], "unrecognized arguments: --data.folds", None),
    ([], "copy all of", _no_config),
    ([], "copy all of", _no_run),
    ([], "is not YAML", _no_yaml),
    ([], "oops", _no_refit),
]


@pytest.mark.parametrize(("args", "says", "spoil"), WRONG)
def test_confirm_that_cannot_be_done_is_a_sentence(study, capfd, args, says, spoil):
    if spoil is not None:
        spoil(study)
    assert main(["confirm", str(study), *args]) == 2
    err = capfd.readouterr().err
    assert says in err
    assert "Traceback" not in err
    assert not (study / "confirm.json").exists()


def test_confirm_of_no_study_is_a_sentence(tmp_path, capfd):
    assert main(["confirm", str(tmp_path / "none")]) == 2
    assert "there is no study in" in capfd.readouterr().err
    assert not (tmp_path / "none").exists()


def test_confirm_of_another_corpus_is_refused(study, tiny_corpus_dir, tmp_path, capfd):
    other = shutil.copytree(tiny_corpus_dir, tmp_path / "other")
    text = (other / "redsm5_posts.csv").read_text(encoding="utf-8")
    (other / "redsm5_posts.csv").write_text(text.rstrip("\n") + "\ns_9999_1,More of it.\n", encoding="utf-8")
    for path in study.glob("trials/*/config.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(str(tiny_corpus_dir), str(other)), encoding="utf-8")
    assert main(["confirm", str(study), *ASKED]) == 2
    assert "corpus" in capfd.readouterr().err
    assert not list(study.glob("confirm/*/trial-*"))
