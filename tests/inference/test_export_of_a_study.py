"""``redsm5 export`` of a trial, and of a study: their files say where the model is from."""

import json
import shutil
from datetime import timedelta

import numpy as np
import pytest
from confirmed_samples import NOW, confirmation, ensemble, study, trial
from search_samples import search

import redsm5
from redsm5.cli import main
from redsm5.confirm.models import Calibration, Confirmation
from redsm5.confirm.origin import StudyFiles
from redsm5.confirm.sameness import config_sha256
from redsm5.datamodules.manifest import manifest_sha256
from redsm5.errors import UserError
from redsm5.metrics.platt import Platt
from redsm5.report.study_models import TrialReport

TEXTS = ["Honestly I feel gloomy all the time. The bus was late again today.", "It rained."]


@pytest.fixture
def searched(trained_run, tmp_path):
    """A study of two trials, both of which are the run of the tests; 3 is the best, and 7 the next one."""
    folder = tmp_path / "study"
    for number, value in ((3, 0.82), (7, 0.8)):
        run = folder / "trials" / f"{number:05d}" / "attempt-1"
        shutil.copytree(trained_run, run)
        text = (
            (trained_run / "config.yaml")
            .read_text(encoding="utf-8")
            .replace("seed_everything: 0", "seed_everything: 1")
        )
        (run.parent / "config.yaml").write_text(f"{text}\n# {number}\n", encoding="utf-8")
        report = trial(number, value=value, run=f"trials/{number:05d}/attempt-1")
        (run.parent / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
    (folder / ".study").write_text("key")
    return folder


def write_study(folder, **changes):
    found = study(tested=3)
    best = found.best[0].model_copy(update={"trial": 3, "value": 0.82})
    counts = found.counts.model_copy(update={"complete": 2})
    found = found.model_copy(update={"best": [best], "counts": counts, "test_evaluations": 1, **changes})
    (folder / "study.json").write_text(found.model_dump_json(), encoding="utf-8")


def write_confirmation(folder, best=7, **changes):
    """Trial 7 is the confirmed best one, with thresholds that decide otherwise than those of the run."""
    codes = sorted(json.loads((folder / "trials/00003/attempt-1/thresholds.json").read_text()))
    thresholds = [
        Calibration(code=code, support=4, threshold=0.05 + 0.1 * k, slope=0.2 * k, offset=-1.0)
        for k, code in enumerate(codes)
    ]
    found = confirmation((7, 0.65), (3, 0.61)) if best == 7 else confirmation((3, 0.65), (7, 0.61))
    candidates = [
        one.model_copy(
            update={
                "config_sha256": config_sha256(folder / f"trials/{one.trial:05d}/config.yaml"),
                "pooled": one.pooled.model_copy(update={"thresholds": thresholds}),
            }
        )
        for one in found.candidates
    ]
    corpus, split = manifest_sha256(folder / "trials/00003/attempt-1/split.json")
    of = {"corpus_sha256": corpus, "split_sha256": split}
    found = found.model_copy(update={"candidates": candidates, **of, **changes})
    (folder / "confirm.json").write_text(found.model_dump_json(), encoding="utf-8")
    return {one.code: one for one in thresholds}


def exported(source, tmp_path, *more):
    assert main(["export", str(source), "--out", str(tmp_path / "model"), *more]) == 0
    return (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_export_of_a_trial_finds_its_study(searched, tmp_path):
    write_study(searched)
    write_confirmation(searched)
    card = exported(searched / "trials/00003/attempt-1", tmp_path)
    assert "trial 3 of a hyperparameter search with redsm5, rank 1 of 2 that were trained to their end" in card
    assert "this trial on the test part: `f1_macro` 0.667" in card
    assert "place 2 of 2" in card
    assert "Thresholds and calibration" not in card
    assert card.index("## How good it is") < card.index("## How it was found") < card.index("## Whether it holds")
    assert card.index("## Whether it holds") < card.index("## Limits of the data")
    assert str(tmp_path) not in card
    run, model = searched / "trials/00003/attempt-1", tmp_path / "model"
    assert redsm5.load(model).predict(TEXTS) == redsm5.load(run).predict(TEXTS)
    assert (model / "thresholds.json").read_bytes() == (run / "thresholds.json").read_bytes()
    assert not (model / "calibration.json").exists()


def test_export_of_a_study_that_has_not_ended_takes_its_best_trial(searched, tmp_path, capfd):
    card = exported(searched, tmp_path)
    assert "trial 3 of study: the best one so far" in capfd.readouterr().err
    assert "the search has not ended" in card


def test_export_of_a_study_takes_the_best_then_the_confirmed_best(searched, tmp_path, capfd):
    write_study(searched)
    assert "trial 3 of a hyper" in exported(searched, tmp_path)
    assert "none is confirmed" in capfd.readouterr().err
    write_confirmation(searched)
    card = exported(searched, tmp_path, "--overwrite")
    assert "trial 7 of a hyperparameter search with redsm5, rank 2 of 2" in card
    assert "what was tested is trial 3, not this one" in card
    told = capfd.readouterr().err
    assert "trial 7 of study: the confirmed best one" in told
    assert f"the best one of the search is trial 3: redsm5 export {searched / 'trials/00003/attempt-1'}\n" in told


@pytest.mark.parametrize(
    ("of_seven", "told"),
    [({}, ""), ({"value": 0.1}, "(trial 7)"), ({"params": {"lr": 1.0}}, "(trial 7)"), ({"trial": 8}, "(trial 7)")],
)
def test_export_says_what_mattered_where_the_report_is_of_its_trials(searched, tmp_path, capfd, of_seven, told):
    whole = search()
    rows = [
        whole.trials[0].model_copy(update={"trial": number, "value": value, "params": {}, **more})
        for number, value, more in ((3, 0.82, {}), (7, 0.8, of_seven))
    ]
    (searched / "search.json").write_text(whole.model_copy(update={"trials": rows}).model_dump_json(), encoding="utf-8")
    card = exported(searched / "trials/00003/attempt-1", tmp_path)
    first = next(one for one in whole.importances if one.above)
    assert (f"with what this trial has: `{first.name}` {first.importance:.0%} (not active)" in card) == (not told)
    err = capfd.readouterr().err
    assert ("is of other trials than are there now" in err) == bool(told)
    assert told in err


def test_run_that_is_a_link_into_another_study_is_none_of_this_one(searched, tmp_path, capfd):
    other = shutil.copytree(searched, tmp_path / "other")
    shutil.rmtree(searched / "trials/00007")
    (searched / "trials/00007").symlink_to(other / "trials/00003")
    run, files = searched / "trials/00007/attempt-1", StudyFiles.read(searched, print)
    assert files.origin_of(run, confirmed=False, tell=print) is None


def test_export_confirmed_ships_thresholds_and_calibration(searched, tmp_path):
    write_study(searched)
    thresholds = write_confirmation(searched)
    card = exported(searched, tmp_path, "--confirmed")
    assert "## Thresholds and calibration" in card
    model, run = redsm5.load(tmp_path / "model"), redsm5.load(searched / "trials/00007/attempt-1")
    for found, raw in zip(model.predict(TEXTS), run.predict(TEXTS), strict=True):
        for code, one in thresholds.items():
            expected = Platt(one.slope, one.offset)(np.array([raw.probabilities[code]]))[0]
            assert found.probabilities[code] == pytest.approx(expected, abs=1e-6)
            assert found.decisions[code] == (raw.probabilities[code] >= one.threshold)
            assert f"| {code} | 4 | {one.threshold:.2f} |" in card


def test_confirmation_of_other_trials_is_left_out_and_said(searched, tmp_path, capfd):
    """A study that was begun anew in the same folder."""
    write_study(searched)
    write_confirmation(searched)
    path = searched / "trials/00007/config.yaml"
    path.write_text(path.read_text().replace("max_epochs: ", "max_epochs: 1"), encoding="utf-8")
    card = exported(searched, tmp_path)
    assert "trial 3 of a hyper" in card
    assert "Whether it holds" not in card
    assert "confirm.json is of other trials than are there now (trial 7)" in capfd.readouterr().err
    assert main(["export", str(searched), "--out", str(tmp_path / "other"), "--confirmed"]) == 2
    assert "trial 3" in capfd.readouterr().err


@pytest.mark.parametrize("other", ["corpus_sha256", "split_sha256"])
def test_confirmation_on_other_posts_is_left_out_and_said(searched, tmp_path, capfd, other):
    """The same configs, whose files hold something else."""
    write_study(searched)
    write_confirmation(searched, **{other: "another"})
    assert "Whether it holds" not in exported(searched, tmp_path)
    assert "confirm.json is of another corpus or split than trial 7, and left out" in capfd.readouterr().err


def changed(folder, number, **changes):
    """The trial with another report."""
    path = folder / f"trials/{number:05d}/report.json"
    report = TrialReport.model_validate_json(path.read_text()).model_copy(update=changes)
    path.write_text(report.model_dump_json(), encoding="utf-8")


def test_study_file_older_than_any_trial_is_left_out_and_said(searched, tmp_path, capfd):
    """The search went on: what it had found stands no more, for the trials of then neither."""
    write_study(searched, created=NOW - timedelta(days=1))
    changed(searched, 3, created=NOW - timedelta(days=2))
    card = exported(searched / "trials/00003/attempt-1", tmp_path)
    assert "the search has not ended" in card
    assert "best value of the search" not in card
    assert "study.json is older than trial 7: the search went on, and it is left out" in capfd.readouterr().err


def test_export_of_a_study_that_went_on_takes_the_best_so_far(searched, tmp_path, capfd):
    write_study(searched, created=NOW - timedelta(days=1))
    changed(searched, 7, value=0.9)
    assert "trial 7 of a hyper" in exported(searched, tmp_path)
    err = capfd.readouterr().err
    assert "trial 7 of study: the best one so far; the search has not ended" in err
    assert "best one of the search" not in err
    assert err.count("study.json is older than trial ") == 1
    write_confirmation(searched, best=3)
    exported(searched, tmp_path, "--overwrite")
    err = capfd.readouterr().err
    assert "trial 3 of study: the confirmed best one" in err
    assert f"the best one so far is trial 7: redsm5 export {searched / 'trials/00007/attempt-1'}\n" in err


def test_export_confirmed_of_a_trial_whose_metric_is_undefined_is_a_sentence(searched, tmp_path, capfd):
    write_confirmation(searched)
    found = Confirmation.model_validate_json((searched / "confirm.json").read_text())
    candidates = [one.model_copy(update={"mean": None, "refits": 0}) for one in found.candidates]
    found = found.model_copy(update={"candidates": candidates, "best": None})
    (searched / "confirm.json").write_text(found.model_dump_json(), encoding="utf-8")
    assert main(["export", str(searched), "--out", str(tmp_path / "model"), "--confirmed"]) == 2
    assert "is not confirmed, as the metric is undefined on all of its folds" in capfd.readouterr().err
    assert not (tmp_path / "model").exists()


def test_ensemble_of_the_study_is_on_the_card_of_its_trials(searched, tmp_path, capfd):
    (searched / "ensemble").mkdir()
    file = searched / "ensemble/ensemble.json"
    file.write_text(ensemble((3, 0.82), (7, 0.8)).model_dump_json(), encoding="utf-8")
    assert "- the ensemble of trials 3, 7 (mean, equal): +0.012" in exported(searched, tmp_path)
    file.write_text(ensemble((3, 0.82), (7, 0.7)).model_dump_json(), encoding="utf-8")
    assert "the ensemble of" not in exported(searched, tmp_path, "--overwrite")
    assert "ensemble.json is of other trials than are there now (trial 7), and left out" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("source", "said"),
    [("trials/00003/attempt-1", "trial 3 of"), ("run", "--confirmed is for the trials of a study")],
)
def test_export_confirmed_of_what_is_not_confirmed_is_a_sentence(searched, trained_run, tmp_path, capfd, source, said):
    run = trained_run if source == "run" else searched / source
    assert main(["export", str(run), "--out", str(tmp_path / "model"), "--confirmed"]) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("source", ["", "trials/00007/attempt-1"])
def test_trial_without_weights_is_exported_once_it_is_trained_again(searched, tmp_path, capfd, source):
    write_study(searched)
    thresholds = write_confirmation(searched)
    shutil.rmtree(searched / "trials/00007/attempt-1/checkpoints")
    command = ["export", str(searched / source), "--out", str(tmp_path / "model"), "--confirmed"]
    assert main(command) == 2
    err = capfd.readouterr().err
    assert "trial 7 keeps no weights" in err
    advice, _, then = err.partition("train it again with redsm5 ")[2].partition(", ")
    assert then == "and give the same command again\n"
    assert main(advice.split()) == 0
    capfd.readouterr()
    assert main(command) == 0
    again = searched / "refits/00007"
    assert f"what is exported is its config trained again, {again}\n" in capfd.readouterr().err
    card = (tmp_path / "model/README.md").read_text(encoding="utf-8")
    assert "trial 7 of a hyperparameter search with redsm5, rank 2 of 2" in card
    assert "this model is the config of that trial trained again" in card
    assert "place 1 of 2" in card
    assert "## Thresholds and calibration" in card
    assert str(tmp_path) not in card
    found, raw = (redsm5.load(model).predict(TEXTS)[0] for model in (tmp_path / "model", again))
    for code, one in thresholds.items():
        assert found.decisions[code] == (raw.probabilities[code] >= one.threshold)


def test_run_beside_the_trials_is_of_one_where_it_has_its_config(searched, trained_run, capfd):
    write_confirmation(searched)
    run = shutil.copytree(trained_run, searched / "refits/00007")
    files = StudyFiles.read(searched, print)
    assert files.origin_of(run, confirmed=True, tell=print).again
    assert capfd.readouterr().out == ""
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("seed_everything: 0", "seed_everything: 5"), encoding="utf-8")
    assert files.origin_of(run, confirmed=False, tell=print) is None
    assert "refits/00007 is of another config than trial 7" in capfd.readouterr().out
    with pytest.raises(UserError, match=r"train it anew: redsm5 fit --config .*/refits/00007 --fresh"):
        files.origin_of(run, confirmed=True, tell=print)


def test_export_of_a_study_elsewhere_is_a_sentence(searched, tmp_path, capfd):
    write_study(searched)
    shutil.rmtree(searched / "trials/00003")
    assert main(["export", str(searched), "--out", str(tmp_path / "model")]) == 2
    assert "trial 3 of" in capfd.readouterr().err
    shutil.rmtree(searched / "trials/00007")
    (searched / "study.json").unlink()
    assert main(["export", str(searched), "--out", str(tmp_path / "model")]) == 2
    assert "has no trial that was trained to its end" in capfd.readouterr().err


def test_run_of_a_fit_says_nothing_of_a_search(trained_run, tmp_path):
    assert "How it was found" not in exported(trained_run, tmp_path)
