"""What of the module goes into a checkpoint, and what of a checkpoint fits the module."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from torch import Tensor

from redsm5.checkpoints.manifest import Base
from redsm5.modules.encoder import Encoder
from redsm5.modules.loss_means import LossMeans
from redsm5.modules.network import Network
from redsm5.modules.network_state import base_of, frozen_state, refuse_other_base, refuse_other_model

if TYPE_CHECKING:
    from redsm5.datamodules.datamodule import ReDSM5DataModule


class CheckpointedModule(pl.LightningModule):
    """A module whose checkpoints hold what was trained, and say on what it stands.

    Attributes:
        network: The network, once it is built.
        encoder_option: Its encoder.
    """

    network: Network | None
    encoder_option: Encoder
    _network: partial[Network]
    _train_losses: LossMeans

    def __init__(self) -> None:
        super().__init__()
        # A checkpoint lacks what was not trained: on_load_checkpoint sees that it lacks nothing else.
        self.strict_loading = False
        self._base: Base | None = None

    @property
    def datamodule(self) -> ReDSM5DataModule:
        """The DataModule that the Trainer runs with."""
        datamodule: ReDSM5DataModule = self.trainer.datamodule  # type: ignore[attr-defined]  # set by the Trainer
        return datamodule

    def base(self) -> Base:
        """What the weights of a checkpoint stand on."""
        assert self.network is not None
        if self._base is None:  # what is frozen stays as it is
            self._base = base_of(self.network, self.encoder_option.id, self.encoder_option.revision)
        return self._base

    def kept_state(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint holds: all but those that the pretrained encoder gives."""
        assert self.network is not None
        frozen = {f"network.{name}" for name in frozen_state(self.network)}
        return {name: tensor for name, tensor in self.state_dict().items() if name not in frozen}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is not trained; add what the weights are for, and the losses of the epoch so far."""
        checkpoint["state_dict"] = self.kept_state()
        checkpoint["model"], checkpoint["base"] = self._signature(), self.base().model_dump()
        checkpoint["train_losses"] = self._train_losses.state_dict(self._over_ranks)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See that a checkpoint is one of this model, and take up its losses.

        Raises:
            UserError: It is of another model; names what differs.
        """
        refuse_other_model(checkpoint["model"], self._signature(), checkpoint["state_dict"], self.kept_state())
        refuse_other_base(Base(**checkpoint["base"]), self.base())
        if self.trainer.is_global_zero:  # they are those of all ranks
            self._train_losses.load_state_dict(checkpoint["train_losses"])

    def _over_ranks(self, sums: Tensor) -> Tensor:
        summed: Tensor = self.trainer.strategy.reduce(sums, reduce_op="sum")
        return summed

    def _signature(self) -> dict[str, str]:
        """What the weights are for, in words."""
        options = {name: str(option) for name, option in self._network.keywords.items()}
        return {**options, "criteria": ", ".join(self.datamodule.codes), "outputs": str(self.datamodule.n_outputs)}
