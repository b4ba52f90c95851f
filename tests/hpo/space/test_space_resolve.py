"""From a draw to the options of a fit: the settings arrive, and batches fit posts and memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from redsm5.batch_search.calibration import Device, Entry, add_entry
from redsm5.cli import build_cli
from redsm5.hpo.space.bounds import Bounds, Key, generous_gb
from redsm5.hpo.space.draw import Chance, draw, settings
from redsm5.hpo.space.read import read_space
from redsm5.hpo.space.resolve import base_settings, met, trial_args, within_examples, within_memory

SPACE = """
groups:
  a:
    optimizer: {path: model.optimizer, choices: [AdamW, SGD, Adafactor]}
    lr: {path: model.optimizer.lr, low: 1e-5, high: 1e-3, log: true}
    betas: {path: model.optimizer.betas, choices: [[0.9, 0.999], [0.95, 0.99]], when: {optimizer: AdamW}}
    peft: {path: model.peft, choices: [NoPEFT, LoRA]}
    layers: {path: model.peft.layers, choices: [all], when: {peft: LoRA}}
    head: {path: model.evidence_head, choices: [CRF, SentenceFilter]}
    inner: {path: model.evidence_head.head, choices: [CRF, StartEnd], when: {head: SentenceFilter}}
    inner_k: {path: model.evidence_head.head.top_k, low: 3, high: 9, when: {inner: [CRF, StartEnd]}}
    clip: {path: trainer.gradient_clip_val, choices: [null, 1.0]}
    inner_dropout: {path: model.encoder.hidden_dropout, choices: [0.0, 0.1]}
    batch: {path: data.batching.train, choices: [4, 32]}
    accumulation: {path: trainer.accumulate_grad_batches, choices: [1, 4]}
    eval_batch: {path: data.batching.eval, choices: [8, 64]}
    adversarial: {path: model.adversarial, choices: [NoAdversarial, FGM]}
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("resolve") / "space.yaml"
    path.write_text(SPACE)
    return read_space(path)


@pytest.fixture(scope="module")
def args(tiny_corpus_dir, tiny_encoder):
    return ["--config=configs/fit.yaml", f"--data.path={tiny_corpus_dir}", f"--model.encoder.id={tiny_encoder}"]


@pytest.fixture
def wide(tmp_path):
    """Bounds of a machine with all the memory that there could be."""
    return Bounds(tmp_path / "calibration.json", name="CPU", memory_gb=1000.0, tell=lambda _: None)


def test_the_config_of_a_trial_has_the_settings_of_its_draw(space, args, wide):
    for seed in range(8):
        drawn = draw(space, Chance(seed))
        options, _ = trial_args(space, drawn, args, wide, training_posts=10_000)
        assert options[: len(args)] == args
        got = base_settings(tuple(options))
        expected = settings(space, drawn)
        assert {key: got[key] for key in expected} == expected
        other = base_settings(tuple(args))
        untouched = ("model.decoding.max_spans", "data.max_length", "early_stopping.monitor")
        assert [got[key] for key in untouched] == [other[key] for key in untouched]


EXAMPLES = {
    (4, 1, 100): (4, 1),
    (32, 4, 1000): (32, 4),
    (32, 4, 500): (32, 2),
    (32, 4, 100): (16, 1),
    (4, 4, 3): (1, 1),
}


@pytest.mark.parametrize("given", EXAMPLES)
def test_a_step_takes_at_most_a_quarter_of_the_examples(given):
    assert within_examples(*given) == EXAMPLES[given]


PAIRS = ["--data.format=BinaryPairs"]
FORMATS = [
    ([], (16, 1)),
    ([*PAIRS, "--data.format.negatives_per_positive=null"], (16, 1)),
    ([*PAIRS, "--data.format.negatives_per_positive=3"], (32, 2)),
]


@pytest.mark.parametrize(("form", "sized"), FORMATS)
def test_a_post_is_as_many_examples_as_its_format_makes_at_least(space, args, wide, form, sized):
    drawn = draw(space, Chance(0, {**FORCED, "batch": 32, "accumulation": 4}))
    options, _ = trial_args(space, drawn, [*args, *form], wide, training_posts=100)
    assert sizes(options)[:2] == sized


MEMORY = {(32, 1, 64): (32, 1), (32, 1, 32): (32, 1), (32, 2, 20): (16, 4), (4, 4, 3): (2, 8), (8, 1, 0): (1, 8)}


@pytest.mark.parametrize("given", MEMORY)
def test_a_batch_that_does_not_fit_is_accumulated_to_the_same_step(given):
    batch, accumulation = within_memory(*given)
    assert (batch, accumulation) == MEMORY[given]
    assert batch * accumulation == given[0] * given[1]


def entry(encoder, **fields):
    values = {
        "max_length": 128, "precision": "none", "checkpointing": False, "peft": "NoPEFT", "accumulates": True,
        "rest": "0", "device": Device.here("A card", 24.0, 0.05), "method": "predicted", "unit": 1, "windows": 40,
        "eval_windows": 512, "peak_gb": 20.0, "predicted_gb": 20.0, "needs_gb": None, "probes": 3, "seconds": 1.0,
        "found": datetime.now(UTC),
    }  # fmt: skip
    return Entry(encoder=str(encoder), **{**values, **fields})


FORCED = {
    "peft": "NoPEFT", "batch": 32, "accumulation": 1, "adversarial": "NoAdversarial", "head": "CRF", "eval_batch": 64,
}  # fmt: skip


def bounded(space, args, file, tell=lambda _: None, name="A card", gb=24.0, **forced):
    drawn = draw(space, Chance(0, {**FORCED, **forced}))
    return trial_args(space, drawn, args, Bounds(file, name=name, memory_gb=gb, tell=tell), training_posts=10_000)


def sizes(options):
    config = build_cli(options, parse_only=True).config
    batching = config.data.batching.init_args
    return batching.train, config.trainer.accumulate_grad_batches, batching.eval


def test_an_entry_of_the_calibration_bounds_the_batch(space, args, tiny_encoder, tmp_path):
    file = tmp_path / "calibration.json"
    add_entry(file, entry(tiny_encoder))
    # 40 windows are five posts of configs/fit.yaml, which have up to eight: four of them divide the 32.
    options, notes = bounded(space, args, file)
    assert sizes(options) == (4, 8, 64)
    assert notes == {"memory": "5 posts of 8 windows fit a batch", "batch": 4, "accumulation": 8}
    # Adversarial training holds two graphs.
    options, notes = bounded(space, args, file, adversarial="FGM")
    assert sizes(options)[:2] == (2, 16)
    options, notes = bounded(space, args, file, batch=4, accumulation=4)
    assert sizes(options)[:2] == (4, 4)
    assert "memory" not in notes


def test_few_evaluation_windows_bound_the_evaluation(space, args, tiny_encoder, tmp_path):
    file = tmp_path / "calibration.json"
    add_entry(file, entry(tiny_encoder, eval_windows=130))
    options, notes = bounded(space, args, file)
    assert sizes(options) == (4, 8, 4)  # posts of 32 windows
    assert "evaluation" in notes


def test_an_entry_of_what_takes_more_is_enough(space, args, tiny_encoder, tmp_path):
    file = tmp_path / "calibration.json"
    add_entry(file, entry(tiny_encoder, windows=600, max_length=256))
    for peft in ("NoPEFT", "LoRA"):
        options, notes = bounded(space, args, file, peft=peft)
        assert sizes(options)[:2] == (32, 1)
        assert "memory" not in notes


def test_a_bound_without_an_entry_is_predicted_said_once_and_noted(space, args, tmp_path):
    file, said = tmp_path / "calibration.json", []
    bounds = Bounds(file, name="A card", memory_gb=1.2, tell=said.append)
    drawn = draw(space, Chance(0, {**FORCED, "peft": "LoRA"}))
    first = trial_args(space, drawn, args, bounds, 10_000)
    assert trial_args(space, drawn, args, bounds, 10_000) == first
    assert len(said) == 1
    assert "no calibration of" in said[0]
    assert "LoRA" in said[0]
    again = Bounds(file, name="A card", memory_gb=1.2, tell=said.append)
    assert trial_args(space, drawn, args, again, 10_000) == first
    assert len(said) == 1


def test_a_tiny_encoder_on_a_cpu_is_not_predicted(space, args, tmp_path):
    said = []
    options, _ = bounded(space, args, tmp_path / "calibration.json", said.append, name="CPU", gb=8.0)
    assert sizes(options)[:2] == (32, 1)
    assert len(said) == 1
    assert "not bounded" in said[0]
    assert not (tmp_path / "calibration.json").exists()


def test_the_generous_count_is_above_what_is_counted_on_fake_tensors(args, tmp_path, tiny_encoder):
    from dataclasses import replace

    from redsm5.batch_search.grid import A_WINDOW
    from redsm5.batch_search.one import entry_of
    from redsm5.batch_search.request import Budget, request_of
    from redsm5.catalog import facts

    own = (*args, "--data.stride=0", "--model.evidence_head=Biaffine", "--model.coupling=EvidenceInformed")
    config = build_cli(list(own), parse_only=True, command="tune-batch").config
    shape = replace(A_WINDOW, max_length=128, most=512)
    found = entry_of(
        request_of(own, config, shape, Budget(memory_gb=1000.0, mode="fake"), accumulates=True), lambda _: None
    )
    assert found.windows == 512
    assert generous_gb(facts(str(tiny_encoder)), 128, 512) > found.peak_gb - 0.75


def test_a_key_covers_what_takes_no_more():
    key = Key("e", 256, "none", False, "NoPEFT")
    assert key.covers(Key("e", 128, "bf16", True, "LoRA"))
    assert not key.covers(Key("e", 512, "none", False, "NoPEFT"))
    assert not key.covers(Key("f", 256, "none", False, "NoPEFT"))
    assert not Key("e", 256, "bf16", False, "NoPEFT").covers(key)
    assert not Key("e", 256, "none", True, "NoPEFT").covers(key)
    assert not Key("e", 256, "none", False, "LoRA").covers(key)


def test_requirements_are_met_by_machine_and_base_config(args):
    assert met(args, cuda=False) == set()
    assert met([*args, "--pretraining.use_dapt=true", "--pretraining.texts=texts"], cuda=True) == {"cuda", "texts"}
