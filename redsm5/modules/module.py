"""The multi-task LightningModule: wiring, steps and logging."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import lightning.pytorch as pl
from torch import Tensor

from redsm5.datamodules.batch import Batch
from redsm5.datamodules.tokenizer import check_vocabulary
from redsm5.metrics.epoch import epoch_metrics
from redsm5.modules.adversarial import Adversarial, NoAdversarial
from redsm5.modules.aggregation import Aggregation, LogSumExp
from redsm5.modules.checkpointed import CheckpointedModule
from redsm5.modules.collector import PredictionCollector
from redsm5.modules.coupling import Coupling, Independent
from redsm5.modules.criteria_head import CriteriaHead, LinearHead
from redsm5.modules.criteria_loss import BCE, CriteriaLoss
from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import EvidenceHead, StartEnd
from redsm5.modules.loss_means import LossMeans
from redsm5.modules.network import Network
from redsm5.modules.output import ModelOutput
from redsm5.modules.pooling import Mean, Pooling, refuse_unfit
from redsm5.modules.step_losses import StepLosses
from redsm5.modules.task_weighting import FixedWeights, TaskWeighting
from redsm5.optim.groups import parameter_groups
from redsm5.optim.optimizer import Optimizer
from redsm5.optim.optimizers import AdamW
from redsm5.optim.schedule import Schedule
from redsm5.optim.schedules import Linear
from redsm5.optim.steps import epoch_steps, training_steps
from redsm5.peft.checks import known_facts, needs_facts, refuse_misfit
from redsm5.peft.freezing import Freezing, NoFreezing
from redsm5.peft.methods import PEFT, NoPEFT

if TYPE_CHECKING:
    from redsm5.metrics.records import PredictedPost

Part = Literal["val", "test"]


class MultiTaskModule(CheckpointedModule):
    """Criteria matching and evidence binding on one encoder.

    The network is built in ``configure_model``, when the criteria of the corpus are known.

    Args:
        encoder: Pretrained encoder.
        pooling: From token states to one vector per window.
        aggregation: From the windows of a post to one logit per criterion.
        criteria_head: Head that scores criteria.
        evidence_head: Head that finds evidence spans.
        criteria_loss: Loss of the criteria head.
        decoding: How spans are read off the evidence head.
        task_weighting: How the losses of both heads, each averaged over examples, become one.
        adversarial: How the embeddings of a training batch are disturbed.
        optimizer: Optimizer with its rates.
        schedule: Learning-rate schedule.
        peft: What is trained of the encoder: all of it, or weights that are added to it.
        freezing: Which of the encoder's own weights stay as they are.
        coupling: What evidence tells the criteria head.
    """

    def __init__(
        self,
        encoder: Encoder,
        pooling: Pooling = Mean(),  # noqa: B008 - frozen dataclasses: sharing one default instance is safe
        aggregation: Aggregation = LogSumExp(),  # noqa: B008
        criteria_head: CriteriaHead = LinearHead(),  # noqa: B008
        evidence_head: EvidenceHead = StartEnd(),  # noqa: B008
        criteria_loss: CriteriaLoss = BCE(),  # noqa: B008
        decoding: SpanDecoding = SpanDecoding(),  # noqa: B008
        task_weighting: TaskWeighting = FixedWeights(),  # noqa: B008
        adversarial: Adversarial = NoAdversarial(),  # noqa: B008
        optimizer: Optimizer = AdamW(),  # noqa: B008
        schedule: Schedule = Linear(),  # noqa: B008
        peft: PEFT = NoPEFT(),  # noqa: B008
        freezing: Freezing = NoFreezing(),  # noqa: B008
        coupling: Coupling = Independent(),  # noqa: B008
    ) -> None:
        super().__init__()
        if encoder.gradient_checkpointing and (known := known_facts(encoder)) is not None:
            encoder.refuse_checkpointing(known.family, known.architecture.checkpointing)
        if needs_facts(peft, freezing):
            refuse_misfit(peft, freezing, known_facts(encoder))
        refuse_unfit(pooling, known_facts(encoder) if pooling.needs_facts else None)
        self.encoder_option = encoder
        self._needs_sentences = evidence_head.needs_sentences
        self.peft_option = peft
        self._network = partial(
            Network,
            pooling=pooling,
            aggregation=aggregation,
            criteria_head=criteria_head,
            evidence_head=evidence_head,
            peft=peft,
            freezing=freezing,
            coupling=coupling,
        )
        self.criteria_loss_option = criteria_loss
        self.decoding = decoding
        self.task_weights = task_weighting.build()
        self.attack = adversarial.build()
        self.optimizer_option = optimizer
        self.schedule_option = schedule
        self.network: Network | None = None
        self.predicted: dict[Part, list[PredictedPost]] = {}
        self._collector: PredictionCollector | None = None
        self._train_losses, self._evaluation_losses = LossMeans(), LossMeans()

    def configure_callbacks(self) -> list[pl.Callback]:
        """What the PEFT method does while it trains."""
        return self.peft_option.callbacks()

    def configure_model(self) -> None:
        """Build network and losses; called by the Trainer once the corpus is read."""
        if self._needs_sentences:
            self.datamodule.need_sentences()
        if self.network is not None:
            return
        self.network = self.make_network(self.encoder_option)
        check_vocabulary(self.datamodule.tokenizer, self.network.encoder.vocabulary, self.encoder_option.id)
        self.criteria_loss = self.criteria_loss_option.build(self.datamodule.positive_rates())

    def make_network(self, encoder: Encoder, *, n_outputs: int | None = None, **changes: Any) -> Network:
        """A network for the corpus.

        Args:
            encoder: The encoder option, or one that differs in where its weights come from.
            n_outputs: Outputs per example, where they are known without a corpus.
            changes: Options of the network in place of those of the module.
        """
        outputs = self.datamodule.n_outputs if n_outputs is None else n_outputs
        return self._network(**{"encoder": encoder, "n_outputs": outputs, **changes})

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits of a batch, no losses."""
        assert self.network is not None, "configure_model builds the network"
        output: ModelOutput = self.network(batch)
        return output

    def losses(self, batch: Batch) -> StepLosses:
        """Output of a batch and the losses of both heads, without those that belong to the training alone."""
        output = self(batch)
        criteria = self.criteria_loss(output.criteria_logits, batch.labels, batch.criterion).mean()
        assert self.network is not None
        evidence = self.network.evidence_head.loss(output.evidence, batch)
        return StepLosses(output, criteria, evidence, self.task_weights(criteria, evidence.total))

    def _shared_step(self, batch: Batch, means: LossMeans) -> tuple[ModelOutput, Tensor]:
        """Output and the loss to minimise; its parts go into the means of the epoch."""
        assert self.network is not None
        zero = batch.labels.new_zeros(())
        adversarial, penalty = zero, zero
        if self.training and self.attack is not None:
            scaler = getattr(self.trainer.precision_plugin, "scaler", None)
            scale = (lambda loss: loss) if scaler is None else scaler.scale
            losses, attacked = self.attack(self.network.encoder.embeddings, partial(self.losses, batch), scale)
            adversarial = self.attack.weight * attacked
        else:
            losses = self.losses(batch)
        if self.training and (added := self.peft_option.penalty(self.network.encoder)) is not None:
            penalty = added
        means.add(*losses.parts(batch.size, loss_peft=penalty, loss_adversarial=adversarial))
        return losses.output, losses.total + adversarial + penalty

    def on_train_epoch_start(self) -> None:
        """Begin the means of the epoch's losses."""
        self._train_losses = LossMeans()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Losses of a training batch."""
        return self._shared_step(batch, self._train_losses)[1]

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log the means of the epoch after its last batch; callbacks read them before the epoch's own hook."""
        trainer = self.trainer
        # max_steps and max_time end an epoch too.
        if trainer.is_last_batch or trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step:
            self._log_losses("train", self._train_losses)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses and predictions of a validation batch."""
        self._evaluation_step(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses and predictions of a test batch."""
        self._evaluation_step(batch)

    def _evaluation_step(self, batch: Batch) -> None:
        self._collect(batch, self._shared_step(batch, self._evaluation_losses)[0])

    def _log_losses(self, part: str, losses: LossMeans) -> None:
        means = losses.means(self._over_ranks)
        if not means:
            return
        assert self.network is not None
        head = self.network.evidence_head
        evidence = head.total({name: means[f"loss_{name}"] for name in head.weights})
        added = {name: means.pop(name) for name in ("loss_peft", "loss_adversarial")}
        means |= {name: value for name, value in added.items() if float(value)}  # in training, and few runs have any
        means["loss_evidence"] = evidence
        means["loss"] = self.task_weights(means["loss_criteria"], evidence).detach() + sum(added.values())
        learned = {**self.task_weights.learned(), **self.criteria_loss.learned()} if part == "train" else {}
        named = {f"{part}_{name}": value for name, value in {**means, **learned}.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=1)

    def _collect(self, batch: Batch, output: ModelOutput) -> None:
        assert self._collector is not None
        assert self.network is not None
        self._collector.add(batch, output, self.network.evidence_head)

    def _start_collecting(self) -> None:
        self._collector = PredictionCollector(n_criteria=self.datamodule.n_criteria, decoding=self.decoding)
        self._evaluation_losses = LossMeans()

    on_validation_epoch_start = on_test_epoch_start = _start_collecting

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation part."""
        self._finish("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test part."""
        self._finish("test")

    def _finish(self, part: Part) -> None:
        assert self._collector is not None
        predicted = self._collector.result(self.datamodule.all_post_ids())
        self.predicted[part] = predicted
        self._log_losses(part, self._evaluation_losses)
        metrics = epoch_metrics(self.datamodule.gold(part), predicted, self.datamodule.codes)
        self.log_dict({f"{part}_{name}": value for name, value in metrics.items()}, rank_zero_only=False)

    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        batches, trainer = self.datamodule.steps_per_epoch(), self.trainer
        return epoch_steps(batches, accumulate=trainer.accumulate_grad_batches, limit=trainer.limit_train_batches)

    def total_steps(self) -> int:
        """Optimizer steps of ``max_epochs``."""
        trainer = self.trainer
        return training_steps(self.steps_per_epoch(), max_epochs=trainer.max_epochs, max_steps=trainer.max_steps)

    def configure_optimizers(self) -> Any:
        """Optimizer over named groups, schedule per step."""
        assert self.network is not None
        optimizer = self.optimizer_option.build(
            parameter_groups(
                self.network,
                self.optimizer_option,
                lora_b_ratio=self.peft_option.lora_b_ratio,
                losses=(self.criteria_loss, self.task_weights),
            )
        )
        stopping = self.trainer.early_stopping_callback
        mode: Literal["min", "max"] = "min" if stopping is not None and stopping.mode == "min" else "max"
        scheduler = self.schedule_option.build(optimizer, self.total_steps(), self.steps_per_epoch(), mode=mode)
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
