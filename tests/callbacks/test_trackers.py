"""Real trackers through the command line, read back with their own readers."""

import importlib.util
import json
import sys
from types import ModuleType

import pytest
from tiny_runs import fit_options

from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.callbacks.trackers import Trackers
from redsm5.cli import main
from redsm5.metrics_csv import read_rows


def interrupt_in_epoch(monkeypatch, number):
    started = MetricsFile.on_train_epoch_start

    def interrupt(self, trainer, pl_module):
        if trainer.current_epoch == number:
            raise KeyboardInterrupt
        started(self, trainer, pl_module)

    monkeypatch.setattr(MetricsFile, "on_train_epoch_start", interrupt)


def rows_of(run):
    return sorted((row.name, row.step, row.value) for row in read_rows(run / "metrics.csv"))


def tensorboard_rows(run):
    """All of its event files, in their order, as TensorBoard's own reader has them."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard"
    )
    events = accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={accumulator.SCALARS: 0})
    events.Reload()
    return sorted((tag, e.step, e.value) for tag in events.Tags()["scalars"] for e in events.Scalars(tag))


def test_tensorboard_has_every_row_once_after_an_interruption(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    command = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--trackers.tensorboard=true")
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, 2)
        assert main(command) == 130
    assert main(command) == 0
    expected, found = rows_of(tmp_path / "run"), tensorboard_rows(tmp_path / "run")
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], rel=1e-6)  # it has single precision
    assert main([*command, "--fresh", "--trainer.max_epochs=1"]) == 0
    assert {step for _, step, _ in tensorboard_rows(tmp_path / "run")} == {row.step for row in read_rows(
        tmp_path / "run" / "metrics.csv"
    )}  # fmt: skip


def test_tensorboard_hides_what_a_run_that_went_back_has_replaced(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from redsm5.metrics_csv import MetricRow, append_rows, keep_rows

    def send(status):
        Trackers(tensorboard=True).build(tmp_path, tmp_path / "metrics.csv", {}).send(status)

    append_rows(tmp_path / "metrics.csv", [MetricRow(epoch, epoch + 1, "x", 0.5) for epoch in range(3)])
    send("failed")
    keep_rows(tmp_path / "metrics.csv", lambda row: row.epoch < 1)
    send("failed")
    append_rows(tmp_path / "metrics.csv", [MetricRow(epoch, epoch + 1, "x", 0.25) for epoch in range(1, 4)])
    send("success")
    assert tensorboard_rows(tmp_path) == [("x", 1, 0.5), ("x", 2, 0.25), ("x", 3, 0.25), ("x", 4, 0.25)]


@pytest.mark.slow
def test_mlflow_has_every_metric_and_parameter_in_one_run(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    command = fit_options(
        tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--trackers.mlflow=true", "--trackers.project=tiny"
    )
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, 2)
        assert main(command) == 130
    assert main(command) == 0
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [experiment] = client.search_experiments(filter_string="name = 'tiny'")
    query = "params.`model.optimizer.init_args.lr` = '0.003' and metrics.val_loss > 0 and params.seed_everything = '0'"
    [run] = client.search_runs([experiment.experiment_id], query)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run")
    found = [
        (name, m.step, m.value)
        for name in run.data.metrics
        for m in client.get_metric_history(run.info.run_id, name)
    ]  # fmt: skip
    assert sorted(found) == rows_of(tmp_path / "run")
    assert run.data.params["data.path"] == str(tiny_corpus_dir)
    assert not list(tmp_path.rglob("mlruns"))


def test_a_tracker_that_is_down_changes_no_figure(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch, capsys):
    """A module that raises in W&B's place."""
    broken = ModuleType("wandb")
    broken.__spec__ = importlib.util.spec_from_loader("wandb", None)
    broken.Settings = lambda **settings: (_ for _ in ()).throw(ConnectionError("api.wandb.ai does not answer"))
    monkeypatch.setitem(sys.modules, "wandb", broken)
    more = ("--trainer.max_epochs=2", "--trackers.wandb=true")
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "tracked", *more)) == 0
    said = capsys.readouterr().err
    assert said.count("wandb cannot be reached (ConnectionError: api.wandb.ai does not answer); training goes on") == 1
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "plain", "--trainer.max_epochs=2")) == 0
    without = [row for row in rows_of(tmp_path / "plain") if row[0] != "seconds"]
    assert [row for row in rows_of(tmp_path / "tracked") if row[0] != "seconds"] == without
    log = [json.loads(line) for line in (tmp_path / "tracked" / "run.jsonl").read_text().splitlines()]
    behind = [line for line in log if line["message"] == "tracker is behind"]
    assert len(behind) >= 3
    assert {line["context"]["tracker"] for line in behind} == {"wandb"}
    # What it lacks is sent by a later command, when it answers.
    assert main(["validate", str(tmp_path / "tracked")]) == 0
    assert "wandb cannot be reached" in capsys.readouterr().err
    assert main(["validate", str(tmp_path / "tracked"), "--trackers.wandb=false"]) == 0
    assert "wandb" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorboard", "tensorboard"), ("mlflow", "mlflow"), ("mlflow", "sqlalchemy"), ("wandb", "wandb")],
)
def test_a_missing_package_is_said_before_anything_is_written(
    name, package, tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch, capsys
):
    find = importlib.util.find_spec
    there = object()
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted, *rest: find(wanted, *rest) if wanted not in (
        "tensorboard", "mlflow", "sqlalchemy", "wandb"
    ) else None if wanted == package else there)  # fmt: skip
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", f"--trackers.{name}=true")) == 2
    said = capsys.readouterr().err
    assert f"trackers.{name} needs the package {package}; pip install 'redsm5[{name}]', or --trackers.{name} " in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("project", " ", "trackers.project is empty"),
        ("mlflow_uri", "https://me:topsecret@host", "trackers.mlflow_uri names a user or password"),
    ],
)
def test_impossible_options_are_refused(field, value, said, tiny_corpus_dir, tiny_encoder, tmp_path, capsys):
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", f"--trackers.{field}={value}")) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "topsecret" not in printed
