from __future__ import annotations

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from peft_samples import adapted, loss_of, stir

from redsm5.peft.adalora import RankAllocation, orthogonality
from redsm5.peft.lora import AdaLoRA

METHOD = AdaLoRA(initial_r=4, target_r=1, start=0.2, end=0.8, interval=2)
MATRICES = 12
"""Six linear layers in each of two layers."""


class Module(pl.LightningModule):
    """An adapted encoder under a real Trainer: gradients are handled as in the real module, the data are not."""

    def __init__(self, *, epochs, batches, accumulate=1):
        super().__init__()
        self.network = SimpleNamespace(encoder=adapted("bert", METHOD))
        self.encoder = self.network.encoder  # registered
        self.steps = epochs * -(-batches // accumulate)

    def total_steps(self):
        return self.steps

    def configure_callbacks(self):
        self.allocation = METHOD.callbacks()
        return self.allocation

    def training_step(self, batch, batch_idx):
        return loss_of(self.encoder) + METHOD.penalty(self.encoder)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(100), batch_size=1)

    def configure_optimizers(self):
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=0.02)


def fit(tmp_path, *, epochs=3, batches=10, accumulate=1, stop_after=None, resume=None, **settings):
    module = Module(epochs=epochs, batches=batches, accumulate=accumulate)
    checkpoint = ModelCheckpoint(dirpath=tmp_path, filename="last", enable_version_counter=False)
    trainer = pl.Trainer(
        max_epochs=stop_after or epochs,
        limit_train_batches=batches,
        accumulate_grad_batches=accumulate,
        callbacks=[checkpoint, *settings.pop("callbacks", [])],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **settings,
    )
    trainer.fit(module, ckpt_path=resume, weights_only=True)
    return module


def ranks(module):
    """Singular values that are not masked, per matrix."""
    return [int((p != 0).sum()) for n, p in module.encoder.named_parameters() if "lora_E" in n]


def test_orthogonality_is_the_mean_distance_of_the_gram_matrices_from_one():
    encoder = adapted("bert", METHOD)
    stir(encoder)
    distances = []
    for name, parameter in encoder.named_parameters():
        if "lora_A" in name:
            distances.append((parameter @ parameter.T - torch.eye(4)).square().sum().sqrt())
        if "lora_B" in name:
            distances.append((parameter.T @ parameter - torch.eye(4)).square().sum().sqrt())
    assert len(distances) == 2 * MATRICES
    assert torch.allclose(orthogonality(encoder), sum(distances) / len(distances))
    assert torch.allclose(METHOD.penalty(encoder), 0.5 * orthogonality(encoder))
    assert AdaLoRA(orthogonality=0.0).penalty(encoder) is None


class Ranks(pl.Callback):
    """Ranks after each optimizer step."""

    def __init__(self):
        self.sums = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.sums[trainer.global_step] = sum(ranks(pl_module))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_ranks_fall_from_the_first_to_the_target_and_differ_between_matrices(tmp_path, accumulate):
    seen = Ranks()
    batches = 10 * accumulate - (accumulate - 1)  # the last step of an epoch has fewer batches
    module = fit(tmp_path, batches=batches, accumulate=accumulate, callbacks=[seen])
    assert module.steps == 30
    sums = [seen.sums[step] for step in sorted(seen.sums)]
    # No rank is masked before step 6 of 30 (start 0.2); on steps 8, 10, ... they fall; from step 24 (end 0.8) on it is
    # the target. At the very start all singular values are zero.
    budget = {step: 12 + int(36 * (1 - (step - 6) / 18) ** 3) for step in range(8, 24, 2)}
    assert sums[1:8] == [4 * MATRICES] * 7
    for step, expected in budget.items():
        assert seen.sums[step] == expected, step
    final = ranks(module)
    assert sum(final) == MATRICES * METHOD.target_r
    assert len(set(final)) > 1  # moved, not cut evenly


def test_resumed_run_equals_the_uninterrupted_one(tmp_path):
    whole = fit(tmp_path / "whole")
    fit(tmp_path / "cut", stop_after=1)
    resumed = fit(tmp_path / "cut", resume=tmp_path / "cut" / "last.ckpt")
    states = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert ranks(whole) == ranks(resumed)
    ours, theirs = (m.allocation[0].state_dict() for m in (whole, resumed))
    assert ours["rank_pattern"] == theirs["rank_pattern"]


def test_averages_are_in_the_checkpoint_and_are_taken_up(tmp_path):
    fit(tmp_path, stop_after=1)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    [state] = [state for name, state in checkpoint["callbacks"].items() if "RankAllocation" in name]
    assert len(state["ipt"]) == 3 * MATRICES
    assert sum(float(t.abs().sum()) for t in state["exp_avg_ipt"].values()) > 0
    forgetful = fit(tmp_path / "other", resume=without(tmp_path / "last.ckpt", tmp_path / "cut.ckpt"))
    resumed = fit(tmp_path / "same", resume=tmp_path / "last.ckpt")
    states = forgetful.state_dict(), resumed.state_dict()
    assert any(not torch.equal(value, states[1][name]) for name, value in states[0].items())  # they do decide


def without(source, target):
    checkpoint = torch.load(source, weights_only=True)
    for state in checkpoint["callbacks"].values():
        for name in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
            if name in state:
                state[name] = {}
    torch.save(checkpoint, target)
    return target


def test_run_of_one_step_keeps_its_ranks(tmp_path):
    module = fit(tmp_path, epochs=1, batches=1)
    assert module.steps == 1
    assert module.allocation[0].state_dict()["rank_pattern"] is None


def test_step_that_overflowed_leaves_the_averages_alone(tmp_path):
    module = fit(tmp_path, epochs=1)
    allocation = RankAllocation(start=0.2, end=0.8)
    trainer = SimpleNamespace(global_step=4)
    allocation.on_train_start(trainer, module)
    before = {n: t.clone() for n, t in allocation.state_dict()["exp_avg_ipt"].items()}
    parameters = [p for n, p in module.named_parameters() if "lora_E" in n]
    parameters[0].grad = torch.full_like(parameters[0], float("inf"))
    trainer.global_step = 5
    allocation.on_train_batch_end(trainer, module, None, None, 0)
    assert all(torch.equal(t, before[n]) for n, t in allocation.state_dict()["exp_avg_ipt"].items())
