import json
from pathlib import Path

import pytest
import yaml
from checkpoint_samples import put
from run_configs import config_of

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.hpo.messages import WORKER_STOPPED, Ended, Task
from redsm5.hpo.taking_over import take_over
from redsm5.hpo.trial import config_text, run_attempt
from redsm5.hpo.usage import Usage

HEADER = "epoch,step,name,value\n"


class Fits:
    """Stands for fits that end in turn as they are told; each leaves what a run leaves."""

    def __init__(self, *endings, rows=(), **facts):
        self.endings, self.rows, self.facts = list(endings), rows, facts
        self.args = []

    def __call__(self, task):
        self.args.append(task.args)
        if self.endings[0] == STAGE:  # before the fit has a folder
            return self.endings.pop(0)
        run_dir = Path(task.run_dir)
        given = dict(arg.removeprefix("--").split("=") for arg in task.args)
        train = int(given.get("data.batching.train", 8))
        accumulate = int(given.get("trainer.accumulate_grad_batches", 1))
        config_of(run_dir, accumulate=accumulate, train=train, eval=int(given.get("data.batching.eval", 4)))
        ended = self.endings.pop(0)
        if ended.how in ("trained", "pruned"):
            (run_dir / "training.json").write_text(json.dumps(self.facts), encoding="utf-8")
        lines = "".join(f"{epoch},{epoch},{name},{value}\n" for epoch, name, value in self.rows)
        (run_dir / "metrics.csv").write_text(HEADER + lines, encoding="utf-8")
        return ended


def attempt(tmp_path, fits, mode="max", objective="val_f1_macro", run="attempt-1", tell=lambda _: None):
    run_dir = tmp_path / "trial" / run
    return run_attempt(["--x=1"], tmp_path / "trial", run_dir, objective, objective, mode, fits, tell)


OUT = Ended("out of memory", "out of memory")
STAGE = Ended("out of memory in pretraining", "out of memory")
DONE = Ended("trained")
KILLED = Ended("killed", "killed by SIGKILL")


def test_attempt_halves_the_batch_until_it_fits_and_tells_each_time(tmp_path):
    fits = Fits(OUT, OUT, DONE, best_value=0.5, best_epoch=0, epochs=1)
    outcome = attempt(tmp_path, fits)
    assert outcome.ended == DONE
    assert [h.options["data.batching.train"] for h in outcome.halved] == [4, 2]
    assert [h.options["trainer.accumulate_grad_batches"] for h in outcome.halved] == [2, 4]
    assert fits.args[-1] == (
        "--x=1", "--data.batching.train=2", "--data.batching.eval=1", "--trainer.accumulate_grad_batches=4"
    )  # fmt: skip


def test_attempt_halves_the_batch_of_its_pretraining_and_keeps_it(tmp_path):
    fits = Fits(STAGE, STAGE, OUT, DONE, best_value=0.5, best_epoch=0, epochs=1)
    outcome = attempt(tmp_path, fits)
    assert outcome.ended == DONE
    tokens = [dict(arg.removeprefix("--").split("=") for arg in args) for args in fits.args]
    assert [given.get("pretraining.batch_tokens") for given in tokens] == [None, "2048", "1024", "1024"]
    assert [given.get("pretraining.accumulate") for given in tokens] == [None, "2", "4", "4"]
    assert [given.get("data.batching.train") for given in tokens] == [None, None, None, "4"]
    assert [h.options.get("pretraining.batch_tokens") for h in outcome.halved] == [2048, 1024, 1024]
    assert outcome.args == fits.args[-1]  # its config says so


def test_attempt_fails_where_no_row_of_its_pretraining_fits(tmp_path):
    outcome = attempt(tmp_path, Fits(*[STAGE] * 9))
    assert (outcome.ended, len(outcome.halved)) == (STAGE, 4)
    assert outcome.halved[-1].options == {"pretraining.batch_tokens": 256, "pretraining.accumulate": 16}


def test_attempt_goes_on_with_the_pretraining_that_it_was_begun_with(tmp_path):
    """Other batches make another stage, and so another encoder: its config would be another one."""
    attempt(tmp_path, Fits(STAGE, Ended("killed", "ended by its worker")))
    put(CheckpointFolder(tmp_path / "trial" / "attempt-1" / "checkpoints"), epoch=2)
    take_over(tmp_path / "trial" / "attempt-1", tmp_path / "trial" / "attempt-2")
    fits = Fits(DONE, best_value=0.5, best_epoch=0, epochs=1)
    outcome = attempt(tmp_path, fits, run="attempt-2")
    assert {"--pretraining.batch_tokens=2048", "--pretraining.accumulate=2", "--data.batching.train=8"} < set(
        fits.args[0]
    )
    assert len(outcome.halved) == 1


def test_attempt_that_goes_on_knows_of_no_other_what_it_halved(tmp_path):
    run_dir = tmp_path / "trial" / "attempt-3"
    config_of(run_dir, train=8, eval=4)
    attempt(tmp_path, Fits(OUT, Ended("killed", "ended by its worker")), run="attempt-2")  # on another machine
    outcome = attempt(tmp_path, Fits(DONE, best_value=0.5, best_epoch=0, epochs=1), run="attempt-3")
    assert outcome.halved == ()


def test_attempt_fails_where_not_even_one_example_fits(tmp_path):
    outcome = attempt(tmp_path, Fits(*[OUT] * 9))
    assert outcome.ended.how == "out of memory"
    assert outcome.halved[-1].options["data.batching.train"] == 1
    assert outcome.value is None


@pytest.mark.parametrize(("kills", "how"), [(0, "trained"), (1, "trained"), (2, "trained"), (3, "killed")])
def test_attempt_goes_on_after_a_kill_from_outside_twice(tmp_path, kills, how):
    outcome = attempt(tmp_path, Fits(*[KILLED] * kills, DONE, best_value=0.5, best_epoch=0, epochs=1))
    assert outcome.ended.how == how
    assert outcome.kills == min(kills, 2)
    assert outcome.halved == ()


@pytest.mark.parametrize(
    ("reason", "how"),
    [
        ("killed by SIGKILL", "trained"),
        ("killed by SIGTERM", "trained"),
        ("killed by SIGSEGV", "killed"),
        ("ended with exit code 1", "killed"),
    ],
)
def test_attempt_goes_on_only_where_the_kill_came_from_outside(tmp_path, reason, how):
    fits = Fits(Ended("killed", reason), DONE, best_value=0.5, best_epoch=0, epochs=1)
    assert attempt(tmp_path, fits).ended.how == how


def test_attempt_goes_on_however_often_its_worker_was_stopped(tmp_path):
    stopped = Ended("killed", WORKER_STOPPED)
    outcome = attempt(tmp_path, Fits(*[stopped] * 5, DONE, best_value=0.5, best_epoch=0, epochs=1))
    assert (outcome.ended.how, outcome.kills) == ("trained", 0)


@pytest.mark.parametrize(("mark", "how"), [(None, "trained"), ("pruned.json", "pruned")])
def test_attempt_does_not_fit_again_what_was_finished_and_not_told(tmp_path, mark, how):
    run_dir = tmp_path / "trial" / "attempt-1"
    Fits(DONE, best_value=0.5, best_epoch=0, epochs=1)(Task((), str(run_dir), "", "", "", 0.0))
    for name in ("report.json", "view-val.html", *([mark] if mark else [])):
        (run_dir / name).write_text("{}")
    fits = Fits()
    outcome = attempt(tmp_path, fits)
    assert (outcome.ended.how, outcome.value, fits.args) == (how, 0.5, [])


def test_attempt_whose_process_was_killed_at_its_very_end_has_trained(tmp_path):
    class KilledAtTheEnd(Fits):
        def __call__(self, task):
            ended = super().__call__(task)
            for name in ("report.json", "view-val.html"):
                (Path(task.run_dir) / name).write_text("{}")
            return ended

    fits = KilledAtTheEnd(KILLED)
    assert attempt(tmp_path, fits).ended.how == "trained"
    assert len(fits.args) == 1


def test_attempt_goes_on_with_the_batches_that_it_was_begun_with(tmp_path):
    """They were halved, or fitted the memory of another machine."""
    run_dir = tmp_path / "trial" / "attempt-1"
    config_of(run_dir, accumulate=4, train=2, eval=1)
    fits = Fits(DONE, best_value=0.5, best_epoch=0, epochs=1)
    attempt(tmp_path, fits)
    assert fits.args == [
        ("--x=1", "--data.batching.train=2", "--data.batching.eval=1", "--trainer.accumulate_grad_batches=4")
    ]


def test_attempt_knows_what_earlier_ones_halved(tmp_path):
    first = Fits(OUT, Ended("killed", "ended by its worker"))
    assert len(attempt(tmp_path, first).halved) == 1
    second = Fits(DONE, best_value=0.5, best_epoch=0, epochs=1)  # the first left no checkpoint to go on from
    outcome = attempt(tmp_path, second, run="attempt-12")
    assert [h.options["data.batching.train"] for h in outcome.halved] == [4]
    assert "--data.batching.train=4" in second.args[0]


def test_attempt_writes_nothing_but_its_log_outside_its_own_folder(tmp_path):
    """A worker that was stalled, and has lost its trial, must not say what the batches of the next attempt are."""
    attempt(tmp_path, Fits(OUT, Ended("killed", "ended by its worker")), run="attempt-3")
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["attempt-3"]
    assert json.loads((tmp_path / "trial" / "attempt-3" / "batches.json").read_text())


def test_attempt_counts_the_time_and_the_memory_of_those_before_it(tmp_path):
    """The process that ends a trial may have read a finished run only, or its last epoch."""
    first, second = tmp_path / "trial" / "attempt-1", tmp_path / "trial" / "attempt-2"
    config_of(first, train=8, eval=8)
    Usage(3.0, 1000.0).note(first)
    put(CheckpointFolder(first / "checkpoints"), epoch=2)
    take_over(first, second)
    tasks = []

    def fit(task):
        tasks.append(task)
        return Ended("stuck", "nothing was heard of it")

    outcome = attempt(tmp_path, fit, run="attempt-2")
    assert 1000.0 <= tasks[0].spent <= outcome.seconds < 1100.0
    assert outcome.ended.memory_gb == 3.0


def test_attempt_starts_over_where_its_config_is_another_one_now(tmp_path):
    run_dir = tmp_path / "trial" / "attempt-1"
    config_of(run_dir, accumulate=4, train=2, eval=1)
    differs = Ended("differs", "another config", "its config differs in x; use the same config")
    fits, lines = Fits(differs, DONE, best_value=0.5, best_epoch=0, epochs=1), []
    assert attempt(tmp_path, fits, tell=lines.append).ended.how == "trained"
    assert fits.args[1] == ("--x=1",)
    assert lines == ["its config differs in x: it starts over"]


@pytest.mark.parametrize("how", ["diverged", "refused", "crashed", "stuck"])
def test_attempt_ends_with_what_the_fit_ended_with(tmp_path, how):
    rows = [(0, "val_f1_macro", 0.25), (1, "val_f1_macro", 0.5), (2, "val_f1_macro", 0.375)]
    outcome = attempt(tmp_path, Fits(Ended(how, "why"), rows=rows))
    assert (outcome.ended.how, outcome.value, outcome.metrics["epoch"]) == (how, 0.5, 1)
    assert (outcome.best_epoch, outcome.epochs) == (1, 3)


def test_attempt_takes_the_metrics_of_the_best_epoch(tmp_path):
    rows = [(0, "val_loss", 3.0), (0, "val_f1_macro", 0.5), (1, "val_loss", 2.0), (1, "val_f1_macro", 0.5)]
    outcome = attempt(tmp_path, Fits(DONE, rows=rows, best_value=0.5, best_epoch=1, epochs=2))
    assert outcome.metrics == {"epoch": 1, "step": 1, "val_loss": 2.0, "val_f1_macro": 0.5}
    assert (outcome.best_epoch, outcome.epochs) == (1, 2)
    lowest = attempt(tmp_path / "other", Fits(Ended("refused", "x"), rows=rows), mode="min", objective="val_loss")
    assert lowest.value == 2.0


def test_written_config_is_that_of_the_run_in_a_folder_of_its_own(tmp_path, monkeypatch):
    run_dir = tmp_path / "attempt-1"
    config_of(run_dir, train=8, eval=8)
    text = config_text(tmp_path / "study/trials/00007", run_dir, tmp_path / "refits" / "00003", ())
    assert text.startswith(f"# redsm5 fit --config {tmp_path}/study/trials/00007/config.yaml\n")
    monkeypatch.chdir(tmp_path)  # as its run_dir is meant
    here = config_text(tmp_path / "study/trials/00007", run_dir, tmp_path / "refits" / "00003", ())
    assert here.startswith("# redsm5 fit --config study/trials/00007/config.yaml\n")
    written, ran = yaml.safe_load(text), yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    assert written.pop("run_dir") == str(tmp_path / "refits" / "00003")
    ran.pop("run_dir")
    assert written == ran


def test_written_config_pretrains_again_and_needs_no_cache(tmp_path):
    run_dir = tmp_path / "attempt-1"
    plain = {"pretraining": {"use_tapt": False, "tapt_epochs": 2, "tapt_mlm_prob": 0.15}}
    model = {"encoder": {"id": "/cache/tapt-1/epoch-1", "revision": None, "random_weights": False}}
    run_dir.mkdir()
    (run_dir / "config.yaml").write_text(yaml.safe_dump({"run_dir": "x", "model": model, **plain}))
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump({"pretraining": {"tapt_epochs": 1}, "model": {"encoder": {"id": "bert"}}}))
    args = ["--config", str(base), "--pretraining.use_tapt=true", "--model.encoder.id=tiny", "--trainer.max_epochs=3"]
    assert yaml.safe_load(config_text(tmp_path, run_dir, tmp_path / "refit", args)) == {
        "run_dir": str(tmp_path / "refit"),
        "model": {"encoder": {"id": "tiny", "revision": None, "random_weights": False}},
        "pretraining": {"use_tapt": True, "tapt_epochs": 1, "tapt_mlm_prob": 0.15},
    }
