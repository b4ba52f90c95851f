import dataclasses
import importlib
from itertools import permutations, zip_longest
from typing import get_type_hints

import pytest
import yaml

from redsm5.cli import build_cli
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.errors import UserError
from redsm5.modules.module import MultiTaskModule
from redsm5.optim.sgd import SGD
from redsm5.run.sentences import variants_of

BASE = ["--model.encoder.id", "x", "--data.path", "x"]
OPTIONS = {
    f"{prefix}.{name}": [kind for kind in variants_of(hint) if kind.__module__.startswith("redsm5.")]
    for prefix, owner in (("model", MultiTaskModule), ("data", ReDSM5DataModule))
    for name, hint in get_type_hints(owner.__init__).items()
    if isinstance(hint, type) and variants_of(hint)
}
"""Every option with variants, with its classes."""
PAIRS = [[(key, *pair) for pair in permutations(kinds, 2)] for key, kinds in OPTIONS.items()]
ROUNDS = [[pair for pair in together if pair] for together in zip_longest(*PAIRS)]
"""All ordered pairs of variants of an option; those of different options share a parse."""


def parsed(*args):
    return build_cli([*BASE, *args], parse_only=True).config


def option(config, key):
    module, _, name = config[f"{key}.class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def values(config, key):
    chosen = config.get(f"{key}.init_args")
    return chosen.as_dict() if chosen else {}


def defaults(kind):
    return {
        field.name: field.default if field.default is not dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(kind)
    }


def plain(mapping):
    """Without what is a variant itself, and tuples as lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in mapping.items()
        if not dataclasses.is_dataclass(value) and not (isinstance(value, dict) and "class_path" in value)
    }


def test_options_are_found():
    assert {"model.optimizer", "model.schedule", "model.pooling", "data.batching"} <= set(OPTIONS)
    assert len(OPTIONS["model.optimizer"]) == len(OPTIONS["model.schedule"]) == 10


@pytest.mark.slow
@pytest.mark.parametrize("together", ROUNDS, ids=range(len(ROUNDS)))
def test_switched_variant_has_its_own_defaults(together, tmp_path):
    """The first of each pair in a file with all its values, the second on the command line by its name."""
    nodes = {"model": {}, "data": {}}
    for key, first, _ in together:
        prefix, name = key.split(".")
        given = plain(defaults(first))
        nodes[prefix][name] = {"class_path": f"{first.__module__}.{first.__name__}", "init_args": given}
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(nodes))
    options = [f"--{key}={second.__name__}" for key, _, second in together]
    config = parsed("--config", str(tmp_path / "first.yaml"), *options)
    for key, _, second in together:
        assert option(config, key) is second
        assert plain(values(config, key)) == plain(defaults(second)), key


def test_switch_from_the_default_has_its_own_defaults_for_every_variant():
    widest = max(len(kinds) for kinds in OPTIONS.values())
    for i in range(widest):
        chosen = {key: kinds[i] for key, kinds in OPTIONS.items() if i < len(kinds)}
        config = parsed(*(f"--{key}={kind.__name__}" for key, kind in chosen.items()))
        for key, kind in chosen.items():
            assert option(config, key) is kind
            assert plain(values(config, key)) == plain(defaults(kind)), key


def test_same_class_name_in_two_options_stays_apart():
    config = parsed("--model.pooling=Mean", "--model.aggregation=Mean")
    assert option(config, "model.pooling").__module__ == "redsm5.modules.pooling"
    assert option(config, "model.aggregation").__module__ == "redsm5.modules.aggregation"


ADAMW = {"model": {"optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.4, "head_lr": 0.5}}}}
ONLY_LR = {"model": {"optimizer": {"init_args": {"lr": 0.4}}}}
SGD_FILE = {"model": {"optimizer": {"class_path": "SGD", "init_args": {"weight_decay": 0.3}}}}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        # What is set for a class stays while the class stays, file after file.
        ([ADAMW], {"class": "AdamW", "lr": 0.4, "head_lr": 0.5, "weight_decay": 0.01}),
        ([ADAMW, ["--model.optimizer=AdamW"]], {"class": "AdamW", "lr": 0.4, "head_lr": 0.5}),
        ([ADAMW, ["--model.optimizer.lr=0.1"]], {"class": "AdamW", "lr": 0.1, "head_lr": 0.5}),
        ([ADAMW, ["--model.optimizer.init_args.lr=0.1"]], {"class": "AdamW", "lr": 0.1, "head_lr": 0.5}),
        ([ONLY_LR, ["--model.optimizer=AdamW"]], {"class": "AdamW", "lr": 0.4}),
        # A source that switches the class starts from that class, and keeps what it says itself, in any order.
        ([ADAMW, ["--model.optimizer=SGD"]], {"class": "SGD", "lr": SGD.lr, "head_lr": SGD.head_lr}),
        ([ONLY_LR, ["--model.optimizer=SGD"]], {"class": "SGD", "lr": SGD.lr}),
        ([ADAMW, ["--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"]], {"class": "SGD", "lr": 0.1}),
        ([["--model.optimizer.lr=0.1", "--model.optimizer=SGD"]], {"class": "SGD", "lr": 0.1}),
        ([ADAMW, SGD_FILE], {"class": "SGD", "lr": SGD.lr, "weight_decay": 0.3}),
        ([SGD_FILE, ADAMW], {"class": "AdamW", "lr": 0.4, "weight_decay": 0.01}),
        ([SGD_FILE, ADAMW, ["--model.optimizer=SGD"]], {"class": "SGD", "lr": SGD.lr, "weight_decay": 0.01}),
        (
            [ADAMW, ['--model.optimizer={"class_path": "SGD", "init_args": {"lr": 0.1}}']],
            {"class": "SGD", "lr": 0.1, "head_lr": SGD.head_lr},
        ),
        ([ADAMW, ["--model.optimizer=redsm5.optim.sgd.SGD"]], {"class": "SGD", "lr": SGD.lr}),
    ],
)  # fmt: skip
def test_values_belong_to_the_class_of_their_source(sources, expected, tmp_path):
    args = []
    for i, source in enumerate(sources):
        if isinstance(source, dict):
            (tmp_path / f"{i}.yaml").write_text(yaml.safe_dump(source))
            args += ["--config", str(tmp_path / f"{i}.yaml")]
        else:
            args += source
    config = parsed(*args)
    found = {"class": option(config, "model.optimizer").__name__, **values(config, "model.optimizer")}
    assert {key: found[key] for key in expected} == expected


def test_option_file_of_a_part_counts_as_what_it_sets(tmp_path):
    (tmp_path / "sgd.yaml").write_text("class_path: SGD\ninit_args:\n  lr: 0.1\n")
    config = parsed(f"--model.optimizer={tmp_path / 'sgd.yaml'}")
    assert values(config, "model.optimizer")["lr"] == 0.1
    assert values(config, "model.optimizer")["head_lr"] == SGD.head_lr


def test_foreign_value_is_still_refused_by_name():
    with pytest.raises(UserError, match="SGD has no option betas"):
        parsed("--model.optimizer=SGD", "--model.optimizer.betas=[0.9, 0.9]")


def test_print_config_shows_the_variants_own_defaults(capsys):
    with pytest.raises(SystemExit):
        parsed("--model.optimizer=SGD", "--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["optimizer"]["init_args"] == defaults(SGD)
