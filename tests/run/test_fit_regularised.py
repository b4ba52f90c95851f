"""Losses that learn, adversarial training, augmentation and token dropout through the real command."""

from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from tiny_runs import fit_options

from redsm5.cli import main
from redsm5.metrics_csv import read_epochs

ALL = (
    *("--model.criteria_loss=AdaptiveFocal", "--model.criteria_loss.label_smoothing=0.1"),
    "--model.adversarial=FGM",
    *("--data.augmentation=Mixed", "--data.augmentation.probability=0.3", "--data.token_dropout=0.1"),
    *("--trainer.max_epochs=2", "--trainer.accumulate_grad_batches=2", "--runtime.precision=bf16"),
)


def rows(run_dir):
    return read_epochs(run_dir / "metrics.csv")


def options(corpus, encoder, run_dir, *more):
    without = [o for o in fit_options(corpus, encoder, run_dir) if "lambda_span" not in o]
    return [*without, "--model.task_weighting=Uncertainty", *more]


@pytest.fixture(scope="module")
def regularised_run(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("regularised") / "run"
    assert main(options(tiny_corpus_dir, tiny_encoder, run_dir, *ALL)) == 0
    return run_dir


def test_what_losses_learn_is_logged_and_moves(regularised_run):
    first, last = rows(regularised_run)
    for name in ("train_gamma", "train_weight_criteria", "train_weight_evidence", "train_loss_adversarial"):
        assert float(first[name]) > 0, name
        assert first[name] != last[name], name
    # Evidence has the larger loss, so its weight falls below that of the criteria.
    assert float(last["train_weight_evidence"]) < 1
    assert float(first["lr_loss"]) > 0


def test_what_losses_learn_is_saved_but_not_needed_to_test_or_export(regularised_run, tmp_path):
    (weights,) = list(regularised_run.glob("checkpoints/*/weights.safetensors"))[:1]
    names = [name.removeprefix("state_dict/") for name in load_file(weights)]
    assert {"criteria_loss.raw_gamma", "task_weights.log_variances"} <= set(names)
    assert main(["test", str(regularised_run)]) == 0
    assert main(["export", str(regularised_run), "--out", str(tmp_path / "export")]) == 0
    (exported,) = (tmp_path / "export").glob("*.safetensors")
    assert not [name for name in load_file(exported) if "loss" in name or "log_variances" in name]


@pytest.mark.parametrize(
    "more",
    [
        ["--model.adversarial=FGM", "--model.adversarial.epsilon=0.005"],
        ["--model.adversarial=PGD", "--model.adversarial.steps=2"],
        ["--data.token_dropout=0.2"],
        ["--data.augmentation=Typos"],
        ["--model.criteria_loss=Focal"],
        ["--model.criteria_loss=Hybrid"],
        ["--model.criteria_loss=WeightedBCE"],
        ["--model.criteria_loss.label_smoothing=0.1"],
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_every_option_changes_the_training(more, tiny_corpus_dir, tiny_encoder, tmp_path):
    plain, changed = (
        options(tiny_corpus_dir, tiny_encoder, tmp_path / name, "--trainer.max_epochs=1", *some)
        for name, some in (("plain", []), ("changed", more))
    )
    assert main(plain) == 0
    assert main(changed) == 0
    before, after = (rows(tmp_path / name)[0] for name in ("plain", "changed"))
    assert before["train_loss"] != after["train_loss"]
    assert before["val_loss_evidence"] != after["val_loss_evidence"]


def test_shipped_config_weighs_the_tasks_as_before():
    config = yaml.safe_load(Path("configs/fit.yaml").read_text(encoding="utf-8"))
    assert config["model"]["task_weighting"]["init_args"] == {"lambda_class": 1.0, "lambda_span": 0.3}
