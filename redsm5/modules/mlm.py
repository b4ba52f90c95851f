"""The LightningModule of masked-language modelling."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from redsm5 import hub
from redsm5.catalog import facts_of_config
from redsm5.checkpoints.manifest import Base
from redsm5.datamodules.tokenizer import check_vocabulary
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_model import EncoderModel
from redsm5.modules.loss_means import LossMeans
from redsm5.modules.mlm_head import MLMHead, load_head
from redsm5.optim.groups import parameter_groups
from redsm5.optim.optimizer import Optimizer
from redsm5.peft.attach import attach, merge
from redsm5.peft.freezing import NoFreezing
from redsm5.peft.options import PEFT, NoPEFT
from redsm5.pretraining.masker import IGNORED

if TYPE_CHECKING:
    from redsm5.pretraining.batch import MaskedBatch
    from redsm5.pretraining.data import MaskedTexts


class MLMNetwork(nn.Module):
    """Encoder and masked-LM head.

    Args:
        encoder: Encoder option.
        peft: What is trained of the encoder.

    Attributes:
        pretrained_head: Whether the release has weights for the head.

    Raises:
        UserError: The encoder cannot be loaded, or the method does not fit it.
    """

    def __init__(self, encoder: Encoder, peft: PEFT) -> None:
        super().__init__()
        self.encoder = encoder.build()
        self.head = MLMHead(self.encoder)
        self.pretrained_head = False
        if not encoder.random_weights:
            self.pretrained_head = load_head(self.head, hub.resolve_weights(encoder.id, encoder.revision))
        facts = facts_of_config(encoder.id, self.encoder.config.to_dict())
        self._first_position = 1 + int(self.encoder.config.pad_token_id or 0)
        if not facts.architecture.positions_after_padding:
            self._first_position = 0
        attach(self.encoder, peft, NoFreezing(), id=encoder.id)

    def forward(self, batch: MaskedBatch) -> Tensor:
        """Logits of the tokens that are to be predicted, float32 [N, V], in the order of the batch."""
        states = self._states(batch)[batch.labels != IGNORED]
        table = self.encoder.model.get_input_embeddings()
        assert isinstance(table, nn.Embedding)
        logits: Tensor = self.head(states, table.weight)
        return logits

    def _states(self, batch: MaskedBatch) -> Tensor:
        if batch.segments is None or batch.positions is None:
            states: Tensor = self.encoder(batch.input_ids, batch.attention_mask)
            return states
        model: Any = self.encoder.model
        mask = own_text_mask(batch.segments)
        if self.encoder.config._attn_implementation != "sdpa":
            mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
        positions = batch.positions + self._first_position
        packed: Tensor = model(input_ids=batch.input_ids, attention_mask=mask, position_ids=positions)[0]
        return packed


def own_text_mask(segments: Tensor) -> Tensor:
    """Which tokens see each other: those of one text; padding sees padding, since a softmax over nothing is no number.

    Args:
        segments: int64 [W, L].

    Returns:
        bool [W, 1, L, L].
    """
    return segments[:, None, :, None] == segments[:, None, None, :]


class MLMModule(pl.LightningModule):
    """Trains an encoder to fill in masked tokens, and measures how well it does on the texts that are held out.

    Args:
        encoder: Encoder option.
        optimizer: Optimizer with its rates.
        peft: What is trained of the encoder.
        warmup: Warmup as a share of the first epoch.

    Attributes:
        curve: Held-out loss in nats per masked token before the training and after each epoch.
        network: The network, once it is built.
    """

    network: MLMNetwork

    def __init__(self, encoder: Encoder, optimizer: Optimizer, peft: PEFT = NoPEFT(), warmup: float = 0.1) -> None:  # noqa: B008 - frozen
        super().__init__()
        self.strict_loading = False  # a checkpoint lacks what was not trained
        self.encoder_option, self.optimizer_option, self.peft_option, self.warmup = encoder, optimizer, peft, warmup
        self.curve: list[float] = []
        self._train_losses, self._held_out_losses = LossMeans(), LossMeans()
        self._built = False

    @property
    def datamodule(self) -> MaskedTexts:
        """The DataModule that the Trainer runs with."""
        datamodule: MaskedTexts = self.trainer.datamodule  # type: ignore[attr-defined]  # set by the Trainer
        return datamodule

    def configure_model(self) -> None:
        """Build the network."""
        if not self._built:
            self.network, self._built = MLMNetwork(self.encoder_option, self.peft_option), True
            check_vocabulary(self.datamodule.tokenizer, self.network.encoder.vocabulary, self.encoder_option.id)

    def _loss(self, batch: MaskedBatch, means: LossMeans) -> Tensor:
        targets = batch.labels[batch.labels != IGNORED]
        logits = self.network(batch)
        # A batch of a few short texts may have no masked token: its loss is 0 then, with a gradient.
        loss = F.cross_entropy(logits, targets, reduction="sum") / max(1, len(targets))
        means.add({"loss": loss}, torch.tensor([len(targets)], device=loss.device))
        return loss

    def training_step(self, batch: MaskedBatch, batch_idx: int) -> Tensor:
        """Loss of a training batch."""
        return self._loss(batch, self._train_losses)

    def on_train_epoch_start(self) -> None:
        """Begin the mean of the epoch's loss."""
        self._train_losses = LossMeans()

    def on_train_batch_end(self, outputs: Any, batch: MaskedBatch, batch_idx: int) -> None:
        """Log the mean of the epoch after its last batch."""
        if self.trainer.is_last_batch:
            self.log("train_loss", self._train_losses.means(_own)["loss"], on_step=False, on_epoch=True, batch_size=1)

    def on_validation_epoch_start(self) -> None:
        """Begin the mean over the held-out texts."""
        self._held_out_losses = LossMeans()

    def validation_step(self, batch: MaskedBatch, batch_idx: int) -> None:
        """Loss of a batch that is held out."""
        self._loss(batch, self._held_out_losses)

    def on_validation_epoch_end(self) -> None:
        """Keep and log loss and perplexity of the held-out texts."""
        loss = float(self._held_out_losses.means(_own)["loss"])
        if self.trainer.sanity_checking:  # of all held-out texts, before the first step
            self.curve = self.curve or [loss]
        else:
            self.curve.append(loss)
            self.log_dict({"val_loss": loss, "val_perplexity": math.exp(min(loss, 700.0))}, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Optimizer over named groups; rates that rise over the warmup and then stay.

        They do not depend on how many epochs are to come: an epoch is the same snapshot in a longer run.
        """
        optimizer = self.optimizer_option.build(parameter_groups(self.network, self.optimizer_option))
        steps = -(-self.datamodule.steps_per_epoch() // self.trainer.accumulate_grad_batches)
        warm = max(1, round(self.warmup * steps))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warm))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def base(self) -> Base:
        """What the weights of a checkpoint stand on; the key of the stage says the rest."""
        option = self.encoder_option
        return Base(id=option.id, revision=hub.resolved_revision(option.id, option.revision), sha256=None)

    def kept_state(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint holds: those that train."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {name: tensor for name, tensor in self.state_dict().items() if name in trained}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is not trained; add the curve and the loss of the epoch so far."""
        checkpoint["state_dict"] = self.kept_state()
        checkpoint["curve"] = list(self.curve)
        checkpoint["train_losses"] = self._train_losses.state_dict(_own)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the curve and the loss of the epoch so far."""
        self.curve = list(checkpoint["curve"])
        self._train_losses.load_state_dict(checkpoint["train_losses"])

    def trained_encoder(self) -> EncoderModel:
        """The encoder as plain architecture; where PEFT has added something, a copy that has it folded in."""
        if isinstance(self.peft_option, NoPEFT):
            return self.network.encoder
        folded = copy.deepcopy(self.network.encoder)
        merge(folded)
        return folded


def _own(sums: Tensor) -> Tensor:
    return sums
