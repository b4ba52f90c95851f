from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from redsm5.families import FAMILIES
from redsm5.peft.freezing import BottomLayers, Freezing, NoFreezing, WholeEncoder
from redsm5.peft.methods import IA3, METHODS, PEFT, AdaLoRA, Compacter, Houlsby, LoRA, LoRAPlus, NoPEFT, Pfeiffer

METHOD_NAMES = [method.__name__ for method in METHODS[1:]]


def parse(base, *arguments):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--option", type=base)
    return parser.instantiate(parser.parse_args(list(arguments))).option


@pytest.mark.parametrize(
    ("base", "arguments", "expected"),
    [
        (PEFT, ["--option=NoPEFT"], NoPEFT()),
        (PEFT, ["--option=LoRA", "--option.r=16", "--option.bias=all"], LoRA(r=16, bias="all")),
        (PEFT, ["--option=LoRAPlus", "--option.ratio=4", "--option.layers=top_8"], LoRAPlus(ratio=4, layers="top_8")),
        (PEFT, ["--option=AdaLoRA", "--option.target_r=4"], AdaLoRA(target_r=4)),
        (PEFT, ["--option=Pfeiffer", "--option.bottleneck=32"], Pfeiffer(bottleneck=32)),
        (PEFT, ["--option=Houlsby", "--option.parallel=true"], Houlsby(parallel=True)),
        (PEFT, ["--option=Compacter", "--option.n=8"], Compacter(n=8)),
        (PEFT, ["--option=IA3", "--option.ffn=false"], IA3(ffn=False)),
        (Freezing, ["--option=NoFreezing"], NoFreezing()),
        (Freezing, ["--option=BottomLayers", "--option.n=6"], BottomLayers(n=6)),
        (Freezing, ["--option=WholeEncoder", "--option.train_norms=true"], WholeEncoder(train_norms=True)),
    ],
)
def test_method_is_picked_by_class_name(base, arguments, expected):
    assert parse(base, *arguments) == expected


@pytest.mark.parametrize(
    ("base", "arguments"),
    [
        (PEFT, ["--option=LoRA", "--option.ratio=4"]),
        (PEFT, ["--option=IA3", "--option.r=4"]),
        (PEFT, ["--option=Pfeiffer", "--option.parallel=true"]),
        (PEFT, ["--option=Compacter", "--option.n=3"]),
        (PEFT, ["--option=LoRA", "--option.targets=keys"]),
        *((PEFT, [f"--option={name}", "--option.layers=top_5"]) for name in METHOD_NAMES),
        (PEFT, ["--option=Pfeiffer", "--option.bottleneck=wide"]),
        (Freezing, ["--option=WholeEncoder", "--option.n=4"]),
    ],
)
def test_foreign_key_or_value_is_refused_while_parsing(base, arguments):
    with pytest.raises(ArgumentError):
        parse(base, *arguments)


@pytest.mark.parametrize(
    ("method", "values", "said"),
    [
        (LoRA, {"r": 0}, "r is 0; it must be at least 1"),
        (LoRA, {"alpha": 0.0}, "alpha is 0.0"),
        (LoRA, {"dropout": 1.0}, "dropout is 1.0"),
        (LoRAPlus, {"ratio": 0.5}, "ratio is 0.5; it must be at least 1"),
        (LoRAPlus, {"ratio": float("inf")}, "ratio is inf"),
        (LoRAPlus, {"r": 0}, "r is 0"),
        (AdaLoRA, {"target_r": 12}, "target_r is 12; it must be at least 1 and below initial_r, 12"),
        (AdaLoRA, {"start": 0.8}, "start is 0.8 and end is 0.7"),
        (AdaLoRA, {"interval": 0}, "interval is 0"),
        (AdaLoRA, {"orthogonality": -1.0}, "orthogonality is -1.0"),
        (Pfeiffer, {"bottleneck": 0}, "bottleneck is 0"),
        (Houlsby, {"dropout": -0.1}, "dropout is -0.1"),
        (Compacter, {"bottleneck": 33}, "bottleneck is 33; it must be a multiple of n, 4"),
        (Compacter, {"rank": 0}, "rank is 0"),
        (BottomLayers, {"n": -1}, "n is -1"),
    ],
)
def test_impossible_value_is_refused_with_its_field(method, values, said):
    with pytest.raises(ValueError, match=said):
        method(**values)


def test_methods_are_eight_with_defaults():
    assert len(METHODS) == 8
    assert {method.__name__ for method in METHODS} == {c.__name__ for c in subclasses(PEFT)}
    assert all(method() == method() for method in METHODS)
    assert [field.name for field in fields(NoPEFT)] == []


def subclasses(base):
    found = set(base.__subclasses__())
    return {c for c in found.union(*(subclasses(c) for c in found)) if c.__module__.startswith("redsm5.")}


def test_families_name_all_sites_or_none():
    for name, family in FAMILIES.items():
        assert bool(family.query) == bool(family.key) == bool(family.value)
        assert (name == "modernbert") == (not family.query) == (not family.sites.after)


def test_option_files_import_neither_torch_nor_peft():
    names = ("bottleneck", "checks", "freezing", "ia3", "lora", "methods", "names", "options", "targets")
    code = (
        f"import sys, {', '.join(f'redsm5.peft.{name}' for name in names)}; "
        "sys.exit('torch' in sys.modules or 'peft' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
