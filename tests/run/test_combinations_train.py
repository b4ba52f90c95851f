"""What the table of combinations lets through trains, what it refuses is one sentence: pairs of variants."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, get_type_hints

import lightning.pytorch as pl
import pytest
import torch
from covering import covering_rows
from encoder_samples import FAMILIES, tiny_config
from option_runs import Run, write_corpus
from tiny import tiny_vocabulary
from tiny_tokenizers import bert_like
from transformers import AutoModel, ModernBertConfig

from redsm5.catalog import facts_of_config
from redsm5.datamodules.augmentation import Deletion, Mixed, NoAugmentation, Swap, Synonyms, Typos
from redsm5.datamodules.batching import BatchSize, TokenBudget
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.datamodules.formats import BinaryPairs, MultiLabel
from redsm5.errors import UserError
from redsm5.modules import aggregation, pooling
from redsm5.modules.adversarial import FGM, PGD, NoAdversarial
from redsm5.modules.coupling import EvidenceInformed, Independent
from redsm5.modules.criteria_head import GatedHead, LinearHead, MLPHead, ResidualMLPHead
from redsm5.modules.criteria_loss import BCE, AdaptiveFocal, Focal, Hybrid, WeightedBCE
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import CRF, Biaffine, SentenceFilter, SentenceRanker, StartEnd, StartEndMLP
from redsm5.modules.module import MultiTaskModule
from redsm5.modules.task_weighting import FixedWeights, Uncertainty
from redsm5.optim.adafactor import Adafactor
from redsm5.optim.one_cycle import OneCycle
from redsm5.optim.optimizer import Optimizer
from redsm5.optim.optimizers import AdamW
from redsm5.optim.reduce_on_plateau import ReduceOnPlateau
from redsm5.optim.schedule import Schedule
from redsm5.optim.schedules import NoSchedule
from redsm5.peft.bottleneck import Compacter, Houlsby, Pfeiffer
from redsm5.peft.checks import refuse_misfit
from redsm5.peft.freezing import BottomLayers, NoFreezing, WholeEncoder
from redsm5.peft.methods import IA3, AdaLoRA, LoRA, LoRAPlus, NoPEFT
from redsm5.run.combinations import refuse_impossible
from redsm5.run.sentences import variants_of

ENCODERS = (*FAMILIES, "camembert", "mpnet", "modernbert")
CONTEXT = 64
SPLIT = dict.fromkeys(("data.split_file", "data.folds", "data.fractions", "data.split_seed", "data.group_by"))
"""Set by none of the rows."""


def named(*options: Any) -> dict[str, Any]:
    return {str(option): option for option in options}


CHOICES: dict[str, dict[str, Any]] = {
    "encoder": {family: family for family in ENCODERS},
    "model.encoder.gradient_checkpointing": {"kept": False, "recomputed": True},
    "model.peft": named(
        NoPEFT(), LoRA(r=4), LoRA(r=4, bias="all", targets="all"), LoRAPlus(r=4),
        AdaLoRA(initial_r=4, target_r=2, interval=1), Pfeiffer(bottleneck=8),
        Houlsby(bottleneck=8), Houlsby(bottleneck=8, parallel=True),
        Compacter(bottleneck=8), IA3(),
        LoRA(r=4, targets="query_key_value_output"), AdaLoRA(initial_r=4, target_r=2, targets="query_value"),
    ),
    "model.freezing": named(NoFreezing(), BottomLayers(1), WholeEncoder(), WholeEncoder(train_norms=True)),
    "model.pooling": named(pooling.CLS(), pooling.Mean(), pooling.Attention(4), pooling.ScalarMix(2)),
    "model.aggregation": named(
        aggregation.Max(), aggregation.Mean(), aggregation.LogSumExp(), aggregation.Attention(hidden=8)
    ),
    "model.criteria_head": named(
        LinearHead(), MLPHead(hidden=16, dropout_samples=4), ResidualMLPHead(hidden=16), GatedHead(hidden=16)
    ),
    "model.evidence_head": named(
        StartEnd(), StartEnd(inside=False), StartEndMLP(hidden=16), Biaffine(hidden=8), CRF(), SentenceRanker(),
        SentenceFilter(), SentenceFilter(head=CRF()), SentenceFilter(head=Biaffine(hidden=8)),
    ),
    "model.coupling": named(
        Independent(), EvidenceInformed(), EvidenceInformed("max", "add"),
        EvidenceInformed("attention", "weighted_mean")
    ),
    "model.criteria_loss": named(BCE(), WeightedBCE(), Focal(label_smoothing=0.1), AdaptiveFocal(), Hybrid()),
    "model.task_weighting": named(FixedWeights(), Uncertainty()),
    "model.adversarial": named(NoAdversarial(), FGM(), PGD(steps=2)),
    "model.optimizer": named(
        *(kind() for kind in Optimizer.__subclasses__()),
        Adafactor(relative_step=True), AdamW(layer_decay=0.8), AdamW(peft_lr=1e-3),
    ),
    "model.schedule": named(*(kind() for kind in Schedule.__subclasses__()), OneCycle(cycle_momentum=True)),
    "data.format": named(MultiLabel(), MultiLabel(titles=True), BinaryPairs()),
    "data.batching": named(BatchSize(2, 8), TokenBudget(200, 2000)),
    "data.augmentation": named(NoAugmentation(), Synonyms(), Deletion(), Swap(), Typos(), Mixed()),
    "data.token_dropout": {"whole": 0.0, "dropped": 0.2},
    "runtime.precision": {"none": "none", "bf16": "bf16"},
    "trainer.accumulate_grad_batches": {"every batch": 1, "every other": 2},
    "trainer.gradient_clip_algorithm": {"norm": "norm", "value": "value"},
}  # fmt: skip
"""Every option with variants, by the names of what is chosen."""
KNOWN_RISKS: list[dict[str, Any]] = [
    # Perturbed embeddings under recomputation and a mixed precision; sparse attention with few real tokens.
    {"encoder": "big_bird", "model.adversarial": PGD(steps=2), "runtime.precision": "bf16"},
    {"encoder": "longformer", "model.adversarial": FGM(), "model.encoder.gradient_checkpointing": True},
    # Nothing of the encoder trains, and its embeddings are attacked.
    {"model.freezing": WholeEncoder(), "model.adversarial": FGM(), "model.encoder.gradient_checkpointing": True},
    {"model.peft": IA3(), "model.adversarial": PGD(steps=2), "encoder": "distilbert"},
    # The CRF computes in fp32; sentences within bf16.
    {"model.evidence_head": SentenceFilter(head=CRF()), "runtime.precision": "bf16", "data.format": BinaryPairs()},
    {"model.evidence_head": SentenceRanker(), "model.coupling": EvidenceInformed("attention", "weighted_sum")},
    # Optimizers with a state of their own over groups that are all scales or all biases.
    {
        "model.optimizer": Adafactor(relative_step=True, warmup_init=True), "model.schedule": NoSchedule(),
        "model.peft": IA3(),
    },
    {"model.optimizer": Adafactor(), "model.peft": AdaLoRA(initial_r=4, target_r=2, interval=1)},
    {"model.schedule": ReduceOnPlateau(patience=0), "trainer.accumulate_grad_batches": 2},
    {"model.task_weighting": Uncertainty(), "model.criteria_loss": AdaptiveFocal(), "model.freezing": WholeEncoder()},
]  # fmt: skip


def tiny_encoder_config(family: str) -> Any:
    if family == "modernbert":
        return ModernBertConfig(
            vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=CONTEXT, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2,
            sep_token_id=3,
        )  # fmt: skip
    return tiny_config(family, context=CONTEXT)


FACTS = {family: facts_of_config(family, tiny_encoder_config(family).to_dict()) for family in ENCODERS}


def options_of(row: dict[str, str]) -> dict[str, Any]:
    return {key: CHOICES[key][name] for key, name in row.items()}


def refusal(options: dict[str, Any]) -> str | None:
    """What the command line says of these options before it loads anything."""
    options = {**SPLIT, **options}
    known = FACTS[options["encoder"]]
    try:
        refuse_impossible(options)
        refuse_misfit(options["model.peft"], options["model.freezing"], known)
        pooling.refuse_unfit(options["model.pooling"], known)
        encoder = Encoder(options["encoder"], gradient_checkpointing=options["model.encoder.gradient_checkpointing"])
        encoder.refuse_checkpointing(known.family, known.architecture.checkpointing)
    except UserError as error:
        return str(error)
    return None


POSSIBLE, IMPOSSIBLE = covering_rows({k: list(v) for k, v in CHOICES.items()}, lambda row: refusal(options_of(row)))
QUICK = 24
"""Rows in the quick suite: the first cover most."""


class FiniteLosses(pl.Callback):
    """Notes the loss of every batch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("combinations") / "corpus")


@pytest.fixture(scope="module")
def encoder_of(tmp_path_factory):
    """The folder of a tiny encoder of a family with a tokenizer."""
    root, made = tmp_path_factory.mktemp("encoders"), {}

    def folder(family):
        if family not in made:
            config = tiny_encoder_config(family)
            config.vocab_size = len(tiny_vocabulary())
            torch.manual_seed(0)
            AutoModel.from_config(config).save_pretrained(root / family)
            bert_like().save_pretrained(root / family)
            made[family] = str(root / family)
        return made[family]

    return folder


@pytest.fixture(scope="module")
def train(corpus, encoder_of):
    """Five steps and an epoch's evaluation of a run with these options, through the real module and Trainer."""
    datamodules = {}

    def five_steps(options):
        options = dict(options)
        more = {
            "model.encoder.id": encoder_of(options.pop("encoder")),
            "data.path": str(corpus),
            "data.max_length": 64,
        }
        batches = 5 * options["trainer.accumulate_grad_batches"]
        run = Run({**options, **more, "trainer.max_epochs": 1}, datamodules)
        noted = FiniteLosses()
        trainer = run.trained(noted, limit_train_batches=batches, limit_val_batches=1.0)
        assert trainer.global_step == 5
        assert all(map(math.isfinite, noted.losses)), noted.losses
        assert len(noted.losses) == batches
        state = run.module.state_dict()
        assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())
        assert any(not torch.equal(value, run.start[name]) for name, value in state.items())

    return five_steps


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        (f"{prefix}.{name}", hint)
        for prefix, owner in (("model", MultiTaskModule), ("data", ReDSM5DataModule))
        for name, hint in get_type_hints(owner.__init__).items()
        if isinstance(hint, type) and variants_of(hint)
    ],
)
def test_every_variant_is_among_the_choices(key, hint):
    kinds = {kind for kind in variants_of(hint) if kind.__module__.startswith("redsm5.")}
    assert {type(option) for option in CHOICES[key].values()} == kinds


@pytest.mark.parametrize("index", range(QUICK))
def test_pairs_that_are_let_through_train(index, train):
    train(options_of(POSSIBLE[index]))


@pytest.mark.slow
@pytest.mark.parametrize("index", range(QUICK, len(POSSIBLE)))
def test_all_pairs_that_are_let_through_train(index, train):
    train(options_of(POSSIBLE[index]))


@pytest.mark.parametrize("risk", KNOWN_RISKS, ids=lambda risk: " ".join(str(v) for v in risk.values())[:80])
def test_known_risks_train(risk, train):
    usual = options_of({key: next(iter(choices)) for key, choices in CHOICES.items()})
    options = {**usual, **risk}
    assert refusal(options) is None
    train(options)


def test_pairs_that_never_go_together_are_refused_with_both_parts_and_the_reason(encoder_of):
    said = defaultdict(list)
    for row in IMPOSSIBLE:
        options = options_of(row)
        message = refusal(options)
        said[message].append(row)
        parts, _, reason = message.partition(": ")
        assert (" and model." in parts and reason) or ", but " in message, message
    assert len(said) >= 10


MISFITS = {refusal(options_of(row)): row for row in IMPOSSIBLE if " and model." not in refusal(options_of(row))}


@pytest.mark.parametrize("row", MISFITS.values(), ids=lambda row: f"{row['encoder']} {row['model.peft']}")
def test_what_does_not_fit_the_encoder_is_refused_by_the_module_before_it_is_built(row, encoder_of):
    options = options_of(row)
    encoder = Encoder(
        encoder_of(options["encoder"]), gradient_checkpointing=options["model.encoder.gradient_checkpointing"]
    )
    parts = {key.removeprefix("model."): value for key, value in options.items() if key.startswith("model.")}
    del parts["encoder.gradient_checkpointing"]
    with pytest.raises(UserError) as error:
        MultiTaskModule(encoder, **parts)
    assert str(error.value).replace(encoder.id, options["encoder"]) == refusal(options)
