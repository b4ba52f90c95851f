"""What AdaLoRA does beside its layers: the orthogonality term, and ranks that move while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import lightning.pytorch as pl
import torch
from peft.tuners.adalora import AdaLoraConfig, AdaLoraModel
from peft.tuners.adalora.layer import AdaLoraLayer
from torch import Tensor

from redsm5.peft.attach import ADAPTER

if TYPE_CHECKING:
    from redsm5.modules.encoder_model import EncoderModel

_AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def orthogonality(encoder: EncoderModel) -> Tensor:
    """How far P and Q of all matrices are from orthogonal: the mean of ``||P'P - I||`` and ``||QQ' - I||``.

    The norm is not squared, as in the published code and in PEFT; the paper (eq. 4) squares it. PEFT adds the term
    only to models that compute their own loss, which ours is not.

    Args:
        encoder: An encoder with AdaLoRA on it.
    """
    distances = []
    for layer in encoder.model.modules():
        if isinstance(layer, AdaLoraLayer):
            p, q = cast(Tensor, layer.lora_B[ADAPTER]), cast(Tensor, layer.lora_A[ADAPTER])
            identity = torch.eye(q.shape[0], device=q.device, dtype=q.dtype)
            with torch.autocast(q.device.type, enabled=False):
                distances += [torch.linalg.norm(p.T @ p - identity), torch.linalg.norm(q @ q.T - identity)]
    return torch.stack(distances).mean()


class RankAllocation(pl.Callback):
    """Moves the ranks after every optimizer step; its averages and the ranks are in the checkpoint.

    It acts at the end of the batch. Lightning clears gradients only between the next forward and backward pass: they
    are still there for the scores, and singular values are not changed under a graph that needs them.

    Args:
        start: Share of the optimizer steps before ranks begin to fall.
        end: Share at which they have reached the target.
    """

    def __init__(self, *, start: float, end: float) -> None:
        self.start = start
        self.end = end
        self._seen = 0
        self._tuner: AdaLoraModel | None = None
        self._restored: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the budget schedule from the number of steps of this run; take up where a checkpoint left off."""
        module: Any = pl_module
        self._tuner = cast(AdaLoraModel, module.network.encoder.model.base_model)
        total = module.total_steps()
        config = self._config
        config.total_step = total
        config.tinit = int(self.start * total)
        config.tfinal = total - max(config.tinit + 1, int(self.end * total))
        self._seen = trainer.global_step
        if self._restored is not None:
            state, self._restored = self._restored, None
            config.rank_pattern = state["rank_pattern"]
            devices = {name: p.device for name, p in self._tuner.model.named_parameters()}
            for name in _AVERAGES:
                moved = {k: value.to(devices[k]) for k, value in state[name].items()}
                setattr(self._tuner.rankallocator, name, moved)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Score and allocate, if the batch ended in an optimizer step."""
        assert self._tuner is not None
        if trainer.global_step == self._seen:
            return
        self._seen = trainer.global_step
        if self._can_allocate():
            # PEFT types the method as one of nn.Module.
            cast(Any, self._tuner).update_and_allocate(self._seen)

    def state_dict(self) -> dict[str, Any]:
        """The running averages and the ranks, as tensors and plain containers."""
        if self._tuner is None:
            return {}
        allocator = self._tuner.rankallocator
        averages = {name: dict(getattr(allocator, name)) for name in _AVERAGES}
        return {**averages, "rank_pattern": self._config.rank_pattern}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the encoder is there."""
        self._restored = state_dict or None

    @property
    def _config(self) -> AdaLoraConfig:
        assert self._tuner is not None
        return cast(AdaLoraConfig, self._tuner.peft_config[ADAPTER])

    def _can_allocate(self) -> bool:
        assert self._tuner is not None
        config = self._config
        if self._seen < (config.total_step or 0) - config.tfinal:
            return self._finite()
        # From here on gradients are not read. In a run of one step there are no scores and no ranks to keep.
        return bool(self._tuner.rankallocator.ipt or config.rank_pattern)

    def _finite(self) -> bool:
        """False after a step that the scaler of fp16 skipped: its gradients would stay in the averages for good."""
        assert self._tuner is not None
        gradients = [p.grad for name, p in self._tuner.model.named_parameters() if "lora_" in name]
        sums = torch.stack([gradient.float().sum() for gradient in gradients if gradient is not None])
        return bool(sums.isfinite().all())
