"""Optimizers and schedules through the command: steps, rates, going on after an interruption."""

from types import SimpleNamespace

import pytest
import torch

from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.cli import build_cli, main
from redsm5.metrics_csv import read_epochs
from redsm5.modules.module import MultiTaskModule
from redsm5.optim.adafactor import Adafactor
from redsm5.optim.optimizer import Optimizer


def options(corpus, encoder, run_dir, *more):
    return [
        f"--data.path={corpus}",
        f"--model.encoder.id={encoder}",
        f"--run_dir={run_dir}",
        "--data.max_length=48",
        "--data.stride=8",
        "--data.workers=0",
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
        "--runtime.threads=1",
        *more,
    ]


def metric_rows(run_dir):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_epochs(run_dir / "metrics.csv")]


@pytest.mark.parametrize(
    "more",
    [
        ["--trainer.accumulate_grad_batches=4", "--data.batching=BatchSize", "--data.batching.train=6"],
        ["--trainer.accumulate_grad_batches=3", "--data.batching=TokenBudget", "--data.batching.train_tokens=500"],
    ],
    ids=["accumulation", "token-budget"],
)
def test_total_steps_are_those_that_the_training_takes(more, tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    totals = []
    counted = MultiTaskModule.total_steps
    monkeypatch.setattr(MultiTaskModule, "total_steps", lambda self: totals.append(counted(self)) or totals[-1])
    command = options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--trainer.max_epochs=2", *more)
    assert main(["fit", *command]) == 0
    rows = metric_rows(tmp_path / "run")
    assert totals == [rows[-1]["step"]]
    assert rows[0]["step"] * 2 == rows[1]["step"]


def test_total_steps_of_several_devices(tiny_corpus_dir, tiny_encoder, tmp_path):
    """Each rank gets its share of the batches: a step takes one batch of every rank."""
    steps = {}
    for world in (1, 2, 4):
        cli = build_cli(options(tiny_corpus_dir, tiny_encoder, tmp_path, "--data.batching.train=4"))
        ranks = SimpleNamespace(
            global_rank=world - 1, world_size=world, accumulate_grad_batches=3, limit_train_batches=1.0,
            max_epochs=5, max_steps=-1, datamodule=cli.datamodule,
        )  # fmt: skip
        cli.datamodule.trainer = ranks
        cli.datamodule.setup()
        cli.model._trainer = ranks  # what self.trainer returns
        batches = len(list(cli.datamodule._sampler("train", training=True)))
        steps[world] = cli.model.total_steps()
        assert cli.datamodule.steps_per_epoch() == batches
        assert steps[world] == 5 * -(-batches // 3)
    assert steps[1] > steps[2] > steps[4]


RATES = {"lr": "encoder", "head_lr": "head"}
PLATEAU = [
    "--trainer.max_epochs=5",
    "--model.optimizer.lr=0.003",
    "--model.schedule=ReduceOnPlateau",
    "--model.schedule.patience=0",
    "--model.schedule.warmup_ratio=null",
    "--model.schedule.warmup_steps=2",
    # Minimised, and only its collapse by more than 99 % would count as an improvement: so it falls every epoch.
    "--early_stopping.monitor=val_loss",
    "--model.schedule.threshold=0.99",
]


def test_reduce_on_plateau_follows_the_monitor_and_goes_on_by_the_same_command(
    tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch
):
    whole = options(tiny_corpus_dir, tiny_encoder, tmp_path / "whole", *PLATEAU)
    assert main(["fit", *whole]) == 0
    rows = metric_rows(tmp_path / "whole")
    # The first epoch sets the best value; each one after it halves the rate.
    assert [row["lr_encoder"] for row in rows] == pytest.approx([3e-3, 3e-3, 1.5e-3, 0.75e-3, 0.375e-3])

    cut = options(tiny_corpus_dir, tiny_encoder, tmp_path / "cut", *PLATEAU)
    started = MetricsFile.on_train_epoch_start

    def interrupt_in_the_fourth_epoch(self, trainer, pl_module):
        if trainer.current_epoch == 3:
            raise KeyboardInterrupt
        started(self, trainer, pl_module)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsFile, "on_train_epoch_start", interrupt_in_the_fourth_epoch)
        assert main(["fit", *cut]) == 130
    assert main(["fit", *cut]) == 0
    assert metric_rows(tmp_path / "cut") == rows


@pytest.mark.slow
@pytest.mark.parametrize(
    "option", [*(kind() for kind in Optimizer.__subclasses__()), Adafactor(relative_step=True)], ids=str
)
def test_every_optimizer_lowers_the_loss_and_goes_on(option, tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    name = f"--model.optimizer={type(option).__name__}"
    if option.rate("head") is None:
        chosen = [name, "--model.optimizer.relative_step=true", "--model.schedule=NoSchedule"]
    else:
        # The rates are for encoders some thousand times as large as this one.
        rates = [f"--model.optimizer.{key}={20 * option.rate(part)}" for key, part in RATES.items()]
        chosen = [name, *rates, "--model.schedule=Cosine"]
    more = [*chosen, "--trainer.max_epochs=3", "--trainer.accumulate_grad_batches=2", "--runtime.precision=bf16"]
    whole = options(tiny_corpus_dir, tiny_encoder, tmp_path / "whole", *more)
    assert main(["fit", *whole]) == 0
    rows = metric_rows(tmp_path / "whole")
    losses = [row["train_loss"] for row in rows]
    assert losses[-1] < losses[0]
    assert torch.tensor(losses).isfinite().all()
    cut = options(tiny_corpus_dir, tiny_encoder, tmp_path / "cut", *more)
    started = MetricsFile.on_train_epoch_start

    def interrupt_in_the_second_epoch(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        started(self, trainer, pl_module)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsFile, "on_train_epoch_start", interrupt_in_the_second_epoch)
        assert main(["fit", *cut]) == 130
    assert main(["fit", *cut]) == 0
    assert metric_rows(tmp_path / "cut") == rows
