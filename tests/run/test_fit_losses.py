"""Losses with parameters, learned task weights and adversarial training, through the real command."""

import signal

import pytest
import torch
from tiny_runs import fit_options

import redsm5
from redsm5.checkpoints.store import read_checkpoint
from redsm5.cli import main
from redsm5.metrics_csv import read_epochs
from redsm5.modules.module import MultiTaskModule
from redsm5.run.folder import RunFolder

SHORT = ("--trainer.max_epochs=1", "--data.batching.train=8")
LEARNED = (
    "--model.criteria_loss=AdaptiveFocal",
    "--model.criteria_loss.label_smoothing=0.1",
    "--model.task_weighting=Uncertainty",
)
PGD = ("--model.adversarial=PGD", "--model.adversarial.steps=2", "--model.adversarial.epsilon=0.005")


@pytest.fixture(scope="module")
def command(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    cache = tmp_path_factory.mktemp("losses-cache")

    def made(run_dir, *more):
        # With learned weights there is no lambda_span for it to set.
        base = fit_options(tiny_corpus_dir, tiny_encoder, run_dir, *SHORT, f"--data.cache_dir={cache}")
        base = [option for option in base if "lambda_span" not in option or "Uncertainty" not in " ".join(more)]
        return [*base, *more]

    return made


def rows_of(run):
    return read_epochs(run / "metrics.csv")


@pytest.fixture(scope="module")
def learned_run(command, tmp_path_factory):
    run = tmp_path_factory.mktemp("learned") / "run"
    assert main(command(run, *LEARNED, *PGD, "--trainer.max_epochs=2")) == 0
    return run


def test_learned_weights_are_logged_and_move(learned_run):
    first, second = rows_of(learned_run)
    for name in ("train_gamma", "train_weight_criteria", "train_weight_evidence"):
        assert float(first[name]) != float(second[name]) > 0
    # The evidence loss is far above 1/2: its weight falls towards 1 / (2 L).
    assert float(second["train_weight_evidence"]) < float(first["train_weight_evidence"]) < 1
    assert float(first["train_loss_adversarial"]) > 0
    assert "val_loss_adversarial" not in first


def test_learned_weights_are_in_the_checkpoint_and_not_in_the_export(learned_run, tmp_path):
    state = read_checkpoint(RunFolder(learned_run).resume_from())["state_dict"]
    assert {name for name in state if not name.startswith("network.")} == {
        "criteria_loss.raw_gamma",
        "task_weights.log_variances",
    }
    assert state["task_weights.log_variances"].abs().min() > 0
    assert main(["test", str(learned_run)]) == 0
    assert main(["export", str(learned_run), "--out", str(tmp_path / "model")]) == 0
    texts = ["I feel gloomy all the time."]
    exported, run = (redsm5.load(folder).predict(texts) for folder in (tmp_path / "model", learned_run))
    assert exported == run


def test_stopped_run_with_learned_weights_ends_as_the_uninterrupted_one(command, learned_run, tmp_path, monkeypatch):
    step, calls = MultiTaskModule.training_step, []

    def stop(module, batch, index):
        calls.append(index)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return step(module, batch, index)

    cut = command(tmp_path / "run", *LEARNED, *PGD, "--trainer.max_epochs=2")
    with monkeypatch.context() as patch:
        patch.setattr(MultiTaskModule, "training_step", stop)
        assert main(cut) == 128 + signal.SIGTERM
    assert main(cut) == 0
    whole, resumed = (
        read_checkpoint(RunFolder(run).resume_from())["state_dict"] for run in (learned_run, tmp_path / "run")
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    "more",
    [
        ("--runtime.precision=bf16", "--trainer.accumulate_grad_batches=2"),
        ("--model.encoder.gradient_checkpointing=true",),
        *(
            pytest.param(more, marks=pytest.mark.slow)
            for more in (
                ("--model.peft=LoRA",),
                ("--model.peft=AdaLoRA", "--model.peft.initial_r=4", "--model.peft.target_r=2"),
                ("--model.freezing=WholeEncoder",),
                ("--data.format=BinaryPairs", "--data.max_length=128"),
            )
        ),
    ],
    ids=" ".join,
)
def test_adversarial_training_goes_with(more, command, tmp_path):
    assert main(command(tmp_path / "run", *PGD, *more)) == 0
    (row,) = rows_of(tmp_path / "run")
    plain, attacked = float(row["train_loss"]), float(row["train_loss_adversarial"])
    assert 0.4 * plain < attacked < 0.6 * plain  # about half of their sum


def test_no_attack_changes_nothing_and_draws_nothing(command, tmp_path):
    """A run without the option, and one that names it: the same weights to the bit."""
    assert main(command(tmp_path / "a")) == 0
    assert main(command(tmp_path / "b", "--model.adversarial=NoAdversarial")) == 0
    a, b = (read_checkpoint(RunFolder(tmp_path / run).resume_from())["state_dict"] for run in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)
