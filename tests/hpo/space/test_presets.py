"""The shipped spaces: their ranges, and that every draw from them can be run."""

from __future__ import annotations

import io
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tiny import tiny_posts

from redsm5.catalog import CATALOG
from redsm5.datamodules.corpus import Post
from redsm5.datamodules.criteria import load_criteria
from redsm5.errors import UserError
from redsm5.hpo.space.built import build
from redsm5.hpo.space.check import check_space
from redsm5.hpo.space.draw import Chance, draw, settings
from redsm5.hpo.space.forms import available
from redsm5.hpo.space.read import read_space
from redsm5.hpo.space.resolve import base_settings, laid_over, option
from redsm5.hpo.space.show import active_counts, show
from redsm5.hpo.space.space import Choices, Fixed, Float
from redsm5.hpo.tiny_encoders import KINDS, PREFIX, SIZE, save_start
from redsm5.run.combinations import refuse_impossible

FOLDER = Path(__file__).parents[3] / "configs" / "hpo"
PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
GROUPS = ("model", "training", "regularisation", "architecture", "data", "peft", "pretraining", "hardware")


@pytest.fixture(scope="module")
def full():
    return read_space(FOLDER / "space.yaml")


@pytest.fixture(scope="module")
def args(tiny_corpus_dir):
    return ["--config=configs/fit.yaml", f"--data.path={tiny_corpus_dir}"]


RANGES = {
    "lr": Float(1e-6, 5e-5, log=True),
    "head_lr": Float(5e-6, 2e-4, log=True),
    "peft_lr": Float(1e-4, 1e-3, log=True),
    "weight_decay": Float(0.0, 0.1),
    "betas": Choices(([0.9, 0.999], [0.9, 0.98], [0.95, 0.999])),
    "eps": Choices((1e-8, 1e-7, 1e-6)),
    "warmup_ratio": Float(0.0, 0.2),
    "warmup_steps": Choices((500, 1000, 2000)),
    "lora_r": Choices((4, 8, 16, 32)),
    "lora_alpha": Choices((8.0, 16.0, 32.0, 64.0)),
    "lora_dropout": Float(0.0, 0.2),
    "bottleneck": Choices((32, 64, 128, 192)),
    "adapter_dropout": Float(0.1, 0.3),
    "freeze": Choices((0, 2, 6)),
    "hidden_dropout": Float(0.0, 0.2),
    "attention_dropout": Float(0.0, 0.2),
    "token_dropout": Float(0.0, 0.2),
    "head_dropout": Float(0.1, 0.5),
    "hybrid_alpha": Float(0.1, 0.9),
    "clip": Choices((0, 1, 2, 5)),
    "layer_decay": Float(0.75, 0.95),
    "lambda_class": Float(0.5, 2.0, log=True),
    "lambda_span": Float(0.5, 2.0, log=True),
    "gamma": Float(1.0, 5.0),
    "label_smoothing": Float(0.0, 0.2),
    "batch": Choices((4, 8, 16, 32, 64, 128, 256)),
    "accumulation": Choices((1, 2, 4, 8)),
    "eval_batch": Choices((8, 16, 32, 64, 128)),
    "precision": Choices(("none", "bf16", "fp16")),
    "checkpointing": Choices((False, True)),
    "encoder": Choices(tuple(CATALOG)),
}
"""What was asked for."""


@pytest.mark.parametrize("name", RANGES)
def test_the_full_space_has_the_ranges(full, name):
    assert full.by_name[name].distribution == RANGES[name]


def test_the_full_space_has_about_a_hundred_dimensions_in_eight_groups(full):
    counts = Counter(parameter.group for parameter in full.searched)
    assert tuple(counts) == GROUPS
    assert 100 <= sum(counts.values()) <= 120
    assert all(parameter.help for parameter in full.searched)


def _values(distribution):
    return (distribution.value,) if isinstance(distribution, Fixed) else getattr(distribution, "values", ())


def test_every_variant_that_is_no_synonym_is_searched(full):
    from redsm5.hpo.space.built import roots
    from redsm5.run.sentences import variants

    for key, root in roots().items():
        if names := variants(root):
            drawn = {value for p in full.by_path[key] for value in _values(p.distribution)}
            assert set(names) - drawn <= {"Constant", "NoSchedule"}, key


@pytest.fixture(scope="module")
def tiny_folders(tmp_path_factory):
    """Config and tokenizer of the tiny encoder of every family, as a space finds them: no weights are needed here."""
    root = tmp_path_factory.mktemp("tiny-encoders")
    posts = [Post(post.id, post.text, post.id) for post in tiny_posts()]
    for family in KINDS:
        save_start(family, posts, load_criteria(None), root / family, SIZE)
    return {f"{PREFIX}{family}": str(root / family) for family in KINDS}


@pytest.mark.parametrize("preset", PRESETS)
def test_shipped_spaces_pass_their_check_in_time(preset, args, tiny_folders):
    space = replace(available(read_space(FOLDER / f"{preset}.yaml"), set())[0], aliases=tiny_folders)
    base_settings(tuple(args))
    started = time.process_time()
    check_space(space, args)
    assert time.process_time() - started < 3


def test_the_cpu_space_is_the_full_one_but_for_sizes_and_rates(full):
    """Nothing is left out but what two layers do not have, the third step of an attack, recomputing, and bf16;
    pairs have sizes of their own, and gradients as they are, without a second moment, are always clipped."""
    names = {parameter.name for parameter in read_space(FOLDER / "cpu.yaml").searched}
    gone = {parameter.name for parameter in full.searched} - names
    assert gone == {
        "freeze_shallow",
        "mixed_layers",
        "max_length_long",
        "peft_layers",
        "attack_steps",
        "checkpointing",
        "precision",
    }
    assert names - {parameter.name for parameter in full.searched} == {
        "batch_pairs",
        "train_tokens_pairs",
        "clip_sgd",
    }


def test_every_draw_of_the_cpu_space_can_be_run(args, tiny_folders):
    space = replace(available(read_space(FOLDER / "cpu.yaml"), set())[0], aliases=tiny_folders)
    base = base_settings(tuple(args))
    for seed in range(300):
        chosen = settings(space, draw(space, Chance(seed)))
        assert chosen["model.encoder.id"] in tiny_folders.values()
        build(laid_over(base, chosen))


@pytest.mark.parametrize("requirements", [set(), {"cuda"}, {"cuda", "texts"}])
def test_thousands_of_draws_can_all_be_run(full, args, requirements):
    more = ["--pretraining.use_dapt=true", "--pretraining.texts=texts"] if "texts" in requirements else []
    base = base_settings((*args, *more))
    space, _ = available(full, requirements)
    for seed in range(1000):
        build(laid_over(base, settings(space, draw(space, Chance(seed)))))


def test_what_is_built_is_what_the_parser_gives(full, args):
    """Both refuse the same, and have the same settings."""
    space, _ = available(full, set())
    base = base_settings(tuple(args))
    for seed in range(12):
        chosen = settings(space, draw(space, Chance(seed)))
        options = build(laid_over(base, chosen))
        refuse_impossible(options)
        parsed = base_settings((*args, *(option(key, value) for key, value in chosen.items())))
        assert {key: parsed[key] for key in chosen} == chosen
        again = build(parsed)
        assert {key: again[key] for key in again if key != "model.encoder"} == {
            key: options[key] for key in options if key != "model.encoder"
        }


def test_a_conflict_comes_out_where_its_condition_is_taken_away(tmp_path, args):
    path = tmp_path / "space.yaml"
    path.write_text(f"extends: {FOLDER / 'space.yaml'}\ngroups: {{training: {{layerwise: {{when: null}}}}}}")
    with pytest.raises(UserError, match=r"layer_decay is not 1 and model\.peft is"):
        check_space(available(read_space(path), set())[0], args)


def test_the_tree_counts_dimensions_and_what_is_active(full):
    least, most, by_group = active_counts(full)
    sizes = [len(draw(full, Chance(10_000 + seed))) for seed in range(200)]
    assert least <= min(sizes)
    assert max(sizes) <= most < len(full.searched)
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(show(full))
    text = console.export_text()
    assert f"{len(full.searched)} dimensions in 8 groups, {least} to {most} active at once" in text
    for group in GROUPS:
        low, high = by_group[group]
        count = sum(parameter.group == group for parameter in full.searched)
        assert f"{group}: {count} dimensions, {low} to {high} active" in text
    lines = text.splitlines()
    assert sum("lora_plus_ratio" in line for line in lines) == 1
    assert all(any(f" {parameter.name} " in line for line in lines) for parameter in full.searched)


def test_optional_draws_are_counted_exactly():
    """By hand: two to four of five."""
    from redsm5.hpo.space.read import ordered
    from redsm5.hpo.space.space import Parameter

    two = Choices(("a", "b"))
    space = ordered(
        [
            Parameter("x", "p.x", two, group="g"),
            Parameter("y", "p.y", two, when={"x": ("a",)}, group="g"),
            Parameter("z", "p.z", two, when={"y": ("a",)}, group="h"),
            Parameter("u", "p.u", two, when={"x": ("b",)}, group="h"),
            Parameter("w", "p.w", two, when={"z": ("b",)}, group="h"),
        ],
        "by hand",
    )
    assert active_counts(space) == (2, 4, {"g": (1, 2), "h": (0, 2)})
