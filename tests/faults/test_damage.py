"""Flipped bits and cut files, anywhere in a run's folder: each is found and said, or changes nothing."""

import json
import shutil
from contextlib import suppress

import pytest
from run_outcomes import assert_equal, outcome
from tiny_runs import fit_options

import redsm5
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.cli import main
from redsm5.errors import UserError
from redsm5.run.folder import RunFolder


@pytest.fixture(scope="module")
def args(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    root = tmp_path_factory.mktemp("damage")
    more = ("--trainer.max_epochs=2", f"--data.cache_dir={root / 'cache'}", "--checkpoint.keep_last=2")
    return fit_options(tiny_corpus_dir, tiny_encoder, root / "run", *more), root / "run"


@pytest.fixture(scope="module")
def interrupted(args, tmp_path_factory):
    """A run that was interrupted in its second epoch: its folder, what it comes to in the end, its folder then."""
    command, run = args
    patch = pytest.MonkeyPatch()
    start = MetricsFile.on_train_epoch_start

    def stop(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        start(self, trainer, pl_module)

    patch.setattr(MetricsFile, "on_train_epoch_start", stop)
    assert main(command) == 130
    patch.undo()
    copies = tmp_path_factory.mktemp("copies")
    shutil.copytree(run, copies / "interrupted")
    assert main(command) == 0
    shutil.copytree(run, copies / "finished")
    return copies / "interrupted", outcome(run), copies / "finished"


@pytest.fixture(scope="module")
def finished(interrupted):
    """A copy of the folder of the finished run, and what it predicts."""
    return interrupted[2], predicted(interrupted[2])


def predicted(run):
    return redsm5.load(run).predict(["I feel gloomy. I have been sleepless for weeks now."])


def files_of(run):
    """Names without what differs between runs."""
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())


def spoil(path, how):
    content = bytearray(path.read_bytes())
    if how == "flip" and content:
        content[len(content) // 2] ^= 4
    elif how == "cut":
        del content[len(content) // 2 :]
    path.write_bytes(content)


def restore(copy, run):
    shutil.rmtree(run)
    shutil.copytree(copy, run)


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_interrupted_run_with_a_damaged_file_ends_as_it_would_have_or_is_refused(args, interrupted, how, capsys):
    command, run = args
    copy, whole, _ = interrupted
    names, said = files_of(copy), {}
    assert len(names) >= 12
    for name in names:
        restore(copy, run)
        spoil(run / name, how)
        code = main(command)
        errors = capsys.readouterr().err
        assert code in (0, 2), f"{name}: {errors}"
        assert "Traceback" not in errors
        if code == 0 and not (name == "metrics.csv" and "is not as the run has written it" in errors):
            assert_equal(outcome(run), whole, name)
        said[name.split("/")[-1]] = errors
    for name in ("weights.safetensors", "state.safetensors", "state.json"):
        assert f"{name} is not what was written" in said[name]


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_finished_run_with_a_damaged_file_predicts_as_it_did_or_is_refused(args, finished, how, capsys):
    run, (copy, before) = args[1], finished
    for name in files_of(copy):
        restore(copy, run)
        spoil(run / name, how)
        after = None
        with suppress(UserError):
            after = predicted(run)
        noted = "is not as the fit has written it" in capsys.readouterr().err
        assert after is None or after == before or (name == "thresholds.json" and noted), name


def test_edited_thresholds_are_used_and_said(args, finished, capsys):
    run, (copy, _) = args[1], finished
    restore(copy, run)
    path = RunFolder(run).thresholds
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), 0.001)))
    [prediction] = predicted(run)
    assert set(prediction.decisions.values()) == {True}
    assert f"{path} is not as the fit has written it; it is used as it is" in capsys.readouterr().err
