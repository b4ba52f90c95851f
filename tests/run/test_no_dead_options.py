"""Every option that can be set changes the run: one row per field, with two values and where the difference shows."""

from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any, get_type_hints

import pytest
from option_runs import Run, write_corpus
from tiny import write_tiny_encoder

from redsm5.callbacks.early_stopping import EarlyStopping
from redsm5.callbacks.trackers import Trackers
from redsm5.checkpoints.options import Checkpointing
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.modules import evidence_head
from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.encoder import Encoder
from redsm5.modules.module import MultiTaskModule
from redsm5.optim.optimizers import AdamW
from redsm5.optim.schedules import NoSchedule
from redsm5.peft import methods
from redsm5.pretraining.options import Pretraining
from redsm5.run.lightning_cli import ReDSM5CLI, make_cli
from redsm5.run.options import Runtime
from redsm5.run.sentences import variants_of
from redsm5.run.trainer_options import TrainerOptions

GROUPS = {
    "model.encoder": Encoder,
    "model.decoding": SpanDecoding,
    "trainer": TrainerOptions,
    "runtime": Runtime,
    "early_stopping": EarlyStopping,
    "checkpoint": Checkpointing,
    "trackers": Trackers,
    "pretraining": Pretraining,
}
"""Options of one class."""
VARIANTS = {
    f"{prefix}.{name}": [kind for kind in variants_of(hint) if kind.__module__.startswith("redsm5.")]
    for prefix, owner in (("model", MultiTaskModule), ("data", ReDSM5DataModule))
    for name, hint in get_type_hints(owner.__init__).items()
    if isinstance(hint, type) and variants_of(hint)
}
"""Options with variants."""
PLAIN = [
    f"data.{name}"
    for name in get_type_hints(ReDSM5DataModule.__init__)
    if name != "return" and f"data.{name}" not in VARIANTS
]
FIELDS = [
    *(f"{key}.{field.name}" for key, option in GROUPS.items() for field in dataclasses.fields(option)),
    *(
        f"{key}.{kind.__name__}.{field.name}"
        for key, kinds in VARIANTS.items()
        for kind in kinds
        for field in dataclasses.fields(kind)
    ),
    *PLAIN,
]
"""Every field that a config can set, with its variant."""
OTHERS = {"run_dir", "fresh", "tune_batch", "seed_everything", "config", "help", "print_config", "print_shtab"}
"""Keys of no group: the folder, starting over, and the seed, which is ``data.seed`` too."""

NO_HYPERPARAMETERS = {
    "model.encoder.id": "which encoder",
    "model.encoder.revision": "which commit of it: tests/test_hub.py",
    "data.encoder_id": "linked to model.encoder.id",
    "data.encoder_revision": "linked to model.encoder.revision",
    "data.path": "which corpus",
    "data.posts": "which corpus",
    "data.annotations": "which corpus",
    "data.criteria": "which criteria: tests/datamodules/test_corpus_criteria.py",
    "data.dataset_revision": "which commit of the corpus: tests/datamodules/test_corpus_hub.py",
    "data.split_file": "which split: tests/datamodules/test_split_corpus.py",
    "data.cache_dir": "where tokens are kept: tests/datamodules/test_token_cache.py",
    "data.workers": "how many processes build the same batches",
    "trainer.accelerator": "the machine",
    "trainer.devices": "the machine",
    "trainer.num_nodes": "the machine",
    "trainer.strategy": "the machine",
    "trainer.benchmark": "the choice of kernels on a GPU",
    "trainer.deterministic": "refuses operations on a GPU",
    "trainer.detect_anomaly": "for finding errors",
    "runtime.threads": "the machine",
    "runtime.tf32": "the precision of products on a GPU",
    "trackers.*": "where metrics go: tests/callbacks/test_trackers.py",
    "pretraining.*": "which encoder the fit starts from: tests/pretraining/test_recipe.py, tests/commands",
    "checkpoint.*": "what stays on the disk: tests/checkpoints",
}
"""What is no hyperparameter, and why."""

INNER = evidence_head.Biaffine()
NO_SCHEDULE = {"model.schedule": NoSchedule()}
ROOM = {"data.max_length": 64}
LORA = {"model.peft": methods.LoRA()}
STEPS = {"warmup_ratio": None}
ONE = {"negatives_per_positive": 1.0}
TRAIN = {"trainer.max_epochs": 4}
IMPATIENT = {**TRAIN, "early_stopping.patience": 1}
SHOUTED = ("gloomy", "weeks", "morning", "wake", "honestly", "feel", "time", "again")

# Option, its two values, where they differ; other fields of the same variant, other options of the run.
ROWS: list[tuple[Any, ...]] = [
    ("model.encoder.gradient_checkpointing", False, True, "graph"),
    ("model.encoder.hidden_dropout", 0.0, 0.3, "graph"),
    ("model.encoder.attention_dropout", 0.0, 0.3, "graph"),
    ("model.encoder.random_weights", False, True, "graph"),
    ("model.pooling.Attention.heads", 1, 4, "parameters"),
    ("model.pooling.ScalarMix.layers", 2, 3, "parameters"),
    ("model.aggregation.LogSumExp.temperature", 1.0, 0.1, "graph"),
    ("model.aggregation.Attention.hidden", 8, 16, "parameters"),
    ("model.criteria_head.*.dropout", 0.1, 0.5, "graph"),
    ("model.criteria_head.*.dropout_samples", 1, 4, "graph"),
    ("model.criteria_head.*.hidden", 8, 16, "parameters"),
    ("model.criteria_head.*.activation", "gelu", "silu", "graph"),
    ("model.criteria_head.GatedHead.gate", "sigmoid", "gelu", "graph"),
    ("model.evidence_head.*.dropout", 0.1, 0.5, "graph"),
    ("model.evidence_head.*.null_weight", 1.0, 0.5, "loss"),
    ("model.evidence_head.*.hard_negative_weight", 0.1, 0.5, "loss"),
    ("model.evidence_head.*.inside", True, False, "parameters"),
    ("model.evidence_head.*.inside_scale", 1.0, 9.0, "decoding"),
    ("model.evidence_head.*.inside_weight", 30.0, 3.0, "loss"),
    ("model.evidence_head.*.inside_pos_weight", 3.0, 1.0, "loss"),
    ("model.evidence_head.*.top_k", 20, 1, "decoding"),
    ("model.evidence_head.*.hidden", 8, 16, "parameters"),
    ("model.evidence_head.Biaffine.max_tokens", 64, 2, "graph"),
    ("model.evidence_head.*.max_tokens", 64, 2, "decoding"),
    ("model.evidence_head.SentenceFilter.head", evidence_head.StartEnd(), INNER, "parameters"),
    ("model.evidence_head.SentenceFilter.weight", 1.0, 0.5, "loss"),
    ("model.criteria_loss.*.label_smoothing", 0.0, 0.2, "loss"),
    ("model.criteria_loss.WeightedBCE.pos_weight", "balanced", "sqrt", "loss"),
    ("model.criteria_loss.WeightedBCE.max_pos_weight", 10.0, 2.0, "loss"),
    ("model.criteria_loss.*.gamma", 2.0, 1.0, "loss"),
    ("model.criteria_loss.Focal.alpha", None, 0.25, "loss"),
    ("model.criteria_loss.Hybrid.alpha", 0.5, 0.25, "loss"),
    ("model.criteria_loss.AdaptiveFocal.pull", 0.1, 10.0, "update"),
    ("model.decoding.max_spans", 3, 1, "decoding"),
    ("model.decoding.max_characters", 600, 8, "decoding"),
    ("model.decoding.nms_iou", 0.5, 0.0, "decoding"),
    ("model.decoding.min_score", None, 0.5, "decoding"),
    ("model.task_weighting.FixedWeights.lambda_class", 1.0, 2.0, "loss"),
    ("model.task_weighting.FixedWeights.lambda_span", 0.3, 1.0, "loss"),
    ("model.adversarial.*.epsilon", 1e-3, 5e-3, "loss"),
    ("model.adversarial.*.weight", 1.0, 0.5, "loss"),
    ("model.adversarial.PGD.steps", 1, 3, "loss"),
    ("model.adversarial.PGD.step_size", 0.5, 0.25, "loss"),
    ("model.optimizer.*.lr", 1e-4, 2e-4, "groups"),
    ("model.optimizer.*.head_lr", 1e-4, 2e-4, "groups"),
    ("model.optimizer.*.peft_lr", 1e-4, 2e-4, "groups", {}, LORA),
    ("model.optimizer.*.layer_decay", 1.0, 0.5, "groups"),
    ("model.optimizer.*.weight_decay", 0.01, 0.5, "groups"),
    ("model.optimizer.*.betas", (0.9, 0.99), (0.5, 0.9), "update"),
    ("model.optimizer.*.eps", 1e-8, 1e-2, "update"),
    # It looks at the second moment from the sixth step on.
    ("model.optimizer.RAdam.eps", 1e-8, 1e-2, "fit"),
    ("model.optimizer.SGDMomentum.momentum", 0.9, 0.1, "update"),
    ("model.optimizer.SGDMomentum.nesterov", False, True, "update"),
    ("model.optimizer.Adafactor.scale_parameter", True, False, "update"),
    ("model.optimizer.Adafactor.relative_step", False, True, "update", {}, NO_SCHEDULE),
    ("model.optimizer.Adafactor.warmup_init", False, True, "update", {"relative_step": True}, NO_SCHEDULE),
    ("model.schedule.*.warmup_ratio", 0.1, 0.5, "schedule"),
    ("model.schedule.*.warmup_steps", 2, 7, "schedule", STEPS),
    ("model.schedule.*.horizon", 1.0, 0.5, "schedule"),
    ("model.schedule.*.final", 0.0, 0.2, "schedule"),
    ("model.schedule.CosineRestarts.num_cycles", 2, 3, "schedule"),
    ("model.schedule.CosineRestarts.T_mult", 1, 2, "schedule"),
    ("model.schedule.Polynomial.power", 2.0, 3.0, "schedule"),
    ("model.schedule.Exponential.gamma", 0.97, 0.5, "schedule"),
    ("model.schedule.ReduceOnPlateau.factor", 0.5, 0.1, "schedule", {"patience": 1}),
    ("model.schedule.ReduceOnPlateau.patience", 1, 3, "schedule"),
    ("model.schedule.ReduceOnPlateau.threshold", 1e-4, 0.5, "schedule", {"patience": 1}),
    ("model.schedule.OneCycle.pct_start", 0.3, 0.6, "schedule"),
    ("model.schedule.OneCycle.div_factor", 25.0, 5.0, "schedule"),
    ("model.schedule.OneCycle.final_div_factor", 1e4, 10.0, "schedule"),
    ("model.schedule.OneCycle.cycle_momentum", False, True, "schedule"),
    ("model.peft.*.r", 4, 8, "parameters"),
    ("model.peft.*.alpha", 16.0, 64.0, "update", {}, {"model.optimizer": AdamW(peft_lr=0.01)}),
    ("model.peft.*.dropout", 0.0, 0.5, "graph"),
    ("model.peft.*.bias", "none", "all", "parameters"),
    ("model.peft.*.targets", "query_value", "all", "parameters"),
    ("model.peft.*.layers", "all", "top_4", "parameters"),
    ("model.peft.*.bottleneck", 8, 16, "parameters"),
    ("model.peft.LoRAPlus.ratio", 16.0, 4.0, "groups"),
    ("model.peft.AdaLoRA.initial_r", 12, 9, "parameters"),
    ("model.peft.AdaLoRA.target_r", 8, 2, "fit", {"interval": 1}),
    ("model.peft.AdaLoRA.start", 0.0, 0.5, "fit", {"interval": 1, "target_r": 2}),
    ("model.peft.AdaLoRA.end", 0.7, 0.3, "fit", {"interval": 1, "target_r": 2}),
    ("model.peft.AdaLoRA.interval", 1, 3, "fit", {"target_r": 2}),
    ("model.peft.AdaLoRA.orthogonality", 0.5, 5.0, "loss"),
    ("model.peft.Houlsby.parallel", False, True, "graph"),
    ("model.peft.Compacter.n", 2, 4, "parameters"),
    ("model.peft.Compacter.rank", 1, 2, "parameters"),
    ("model.peft.IA3.ffn", True, False, "parameters"),
    ("model.freezing.BottomLayers.n", 1, 2, "parameters"),
    ("model.freezing.*.train_norms", False, True, "parameters"),
    ("model.coupling.EvidenceInformed.pooling", "mean", "max", "graph"),
    ("model.coupling.EvidenceInformed.join", "concat", "add", "parameters"),
    ("data.conflicts", "positive", "negative", "batches"),
    ("data.fuzzy_cutoff", 60.0, 99.0, "batches"),
    ("data.fuzzy_margin", 0.0, 50.0, "batches"),
    ("data.format.MultiLabel.titles", False, True, "batches", {}, ROOM),
    ("data.format.BinaryPairs.negatives_per_positive", 3.0, 1.0, "batches", {}, ROOM),
    ("data.format.BinaryPairs.hard_negative_ratio", 1.0, 0.0, "batches", ONE, ROOM),
    ("data.batching.BatchSize.train", 4, 8, "batches"),
    ("data.batching.BatchSize.eval", 4, 8, "batches"),
    ("data.batching.TokenBudget.train_tokens", 128, 512, "batches"),
    ("data.batching.TokenBudget.eval_tokens", 128, 512, "batches"),
    ("data.max_length", 32, 48, "batches"),
    ("data.stride", 8, 4, "batches"),
    ("data.max_windows", 8, 1, "batches"),
    ("data.token_dropout", 0.0, 0.2, "batches"),
    ("data.augmentation.*.probability", 0.3, 1.0, "batches"),
    ("data.augmentation.*.protected", (), SHOUTED, "batches", {"probability": 1.0}),
    ("data.fractions", (0.7, 0.15, 0.15), (0.5, 0.25, 0.25), "batches"),
    ("data.split_seed", 0, 1, "batches"),
    ("data.group_by", "author", "post", "batches"),
    ("data.folds", 4, 5, "batches", {}, {"data.fold": 0}),
    ("data.fold", 0, 1, "batches", {}, {"data.folds": 4}),
    ("data.seed", 0, 1, "batches"),
    ("trainer.max_epochs", 1, 2, "schedule"),
    ("trainer.accumulate_grad_batches", 1, 2, "fit"),
    ("trainer.gradient_clip_val", 1.0, None, "fit"),
    ("trainer.gradient_clip_algorithm", "norm", "value", "fit", {}, {"trainer.gradient_clip_val": 1e-3}),
    ("runtime.precision", "none", "bf16", "fit"),
    ("early_stopping.monitor", "val_loss", "val_hard_negative_rate", "fit", {}, IMPATIENT),
    ("early_stopping.patience", 1, 3, "fit", {}, {**TRAIN, "early_stopping.min_delta": 100.0}),
    ("early_stopping.min_delta", 0.0, 100.0, "fit", {}, IMPATIENT),
]  # fmt: skip
ELSEWHERE = {
    "data.augmentation.Synonyms.source": "wordnet is no dependency: tests/datamodules/test_word_changes.py",
}
"""Fields whose other value needs what the tests lack."""

BEFORE = {
    "loss": ("parameters", "graph", "decoding"),
    "decoding": ("parameters", "graph"),
    "groups": ("parameters", "graph", "loss"),
    "update": ("parameters", "graph"),
    "schedule": ("parameters", "graph", "loss", "groups"),
}
"""What must not differ: a decoding changes no loss, a schedule no group."""
SYNONYMS = {"NoSchedule": "Constant"}
"""Variants that are one thing under two names, as their docstrings say."""


def row_of(field: str) -> list[tuple[Any, ...]]:
    exact = [row for row in ROWS if row[0] == field]
    return exact or [row for row in ROWS if fnmatchcase(field, row[0])]


def excluded(field: str) -> bool:
    return any(fnmatchcase(field, pattern) for pattern in (*NO_HYPERPARAMETERS, *ELSEWHERE))


TESTED = [field for field in FIELDS if not excluded(field)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("options") / "corpus")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Two layers, and five for options that are about layers."""
    folder = tmp_path_factory.mktemp("options")
    return {n: str(write_tiny_encoder(folder / f"layers-{n}", layers=n)) for n in (2, 5)}


@pytest.fixture(scope="module")
def run(corpus, encoders):
    """A run by its options; one with the same options is made once."""
    datamodules, runs = {}, {}

    def make(options):
        key = repr(sorted(options.items(), key=lambda item: item[0]))
        if key not in runs:
            chosen = [
                value for name, value in options.items() if name in ("model.peft", "model.freezing", "model.pooling")
            ]
            encoder = encoders[5 if any(hasattr(value, "layers") or hasattr(value, "n") for value in chosen) else 2]
            runs[key] = Run({"model.encoder.id": encoder, "data.path": str(corpus), **options}, datamodules)
        return runs[key]

    return make


def options_of(field: str, value: object, fields: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    options = dict(more)
    if field in PLAIN or field.rpartition(".")[0] in ("model.encoder", "trainer", "runtime", "early_stopping"):
        return {**options, field: value}
    if field.startswith("model.decoding."):
        return {**options, "model.decoding": SpanDecoding(**{field.rpartition(".")[2]: value})}
    key, name, own = field.rsplit(".", 2)
    kind = variant(key, name)
    return {**options, key: kind(**{**small(kind), **fields, own: value})}


def variant(key: str, name: str) -> type[Any]:
    return next(kind for kind in VARIANTS[key] if kind.__name__ == name)


def small(kind: type[Any]) -> dict[str, Any]:
    """Sizes that a tiny encoder has room for."""
    return {"bottleneck": 16} if "bottleneck" in {field.name for field in dataclasses.fields(kind)} else {}


def test_every_key_of_the_config_is_in_the_table():
    cli: ReDSM5CLI = make_cli(["--model.encoder.id", "x", "--data.path", "x"], command="fit", parse_only=True)
    known = {"model", "data", *GROUPS, *VARIANTS, *(f.rpartition(".")[0] for f in FIELDS)}
    for key in (action.dest for action in cli.parser._actions if action.dest not in OTHERS):
        name = key.removesuffix(".help")
        assert name in known or name in FIELDS or name in OTHERS, f"{key} is in no table"


def test_every_field_has_one_row():
    lacking = [field for field in TESTED if len(row_of(field)) != 1]
    assert not lacking, f"no row, or several: {lacking}"
    patterns = [row[0] for row in ROWS] + list(NO_HYPERPARAMETERS) + list(ELSEWHERE)
    unused = [pattern for pattern in patterns if not any(fnmatchcase(field, pattern) for field in FIELDS)]
    assert not unused, f"rows of no field: {unused}"
    assert len(patterns) == len(set(patterns))


@pytest.mark.parametrize("field", TESTED)
def test_field_changes_the_run_where_it_is_meant_to(field, run):
    _, a, b, where, *rest = row_of(field)[0]
    fields, more = (*rest, *({}, {})[len(rest) :])
    first, second = (run(options_of(field, value, fields, more)) for value in (a, b))
    assert getattr(first, where) != getattr(second, where), f"{field}: {a} and {b} give the same {where}"
    for other in BEFORE.get(where, ()):
        assert getattr(first, other) == getattr(second, other), f"{field} changes {other} too"


SHOWS = {
    "data.format": "batches", "data.batching": "batches", "data.augmentation": "batches", "model.schedule": "schedule",
    "model.optimizer": "groups", "model.criteria_loss": "update", "model.adversarial": "loss",
    "model.task_weighting": "loss",
    "model.freezing": "parameters", "model.peft": "groups", "model.evidence_head": "graph", "model.coupling": "graph",
    "model.pooling": "graph", "model.aggregation": "graph", "model.criteria_head": "graph",
}  # fmt: skip


@pytest.mark.parametrize("key", VARIANTS)
def test_variants_of_an_option_all_differ(key, run):
    more = ROOM if key == "data.format" else {}
    seen = {kind.__name__: getattr(run({**more, key: kind(**small(kind))}), SHOWS[key]) for kind in VARIANTS[key]}
    same = [(a, b) for a, b in combinations(seen, 2) if seen[a] == seen[b] and SYNONYMS.get(a) != b]
    assert not same
    for a, b in SYNONYMS.items():
        if a in seen:
            assert seen[a] == seen[b]
