"""What goes with what: one row per impossible pair, checked before anything is loaded. Torch-free."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from jsonargparse import Namespace

from redsm5.datamodules.split_choice import SplitChoice
from redsm5.errors import UserError
from redsm5.optim.adafactor import Adafactor
from redsm5.optim.one_cycle import OneCycle
from redsm5.optim.schedules import Constant, NoSchedule
from redsm5.peft.freezing import Freezing, WholeEncoder
from redsm5.peft.methods import PEFT, AdaLoRA, LoRA, NoPEFT


class Options(Protocol):
    """The options of a run, by dotted key: of one with variants an instance of the chosen one."""

    def __getitem__(self, key: str) -> Any:
        """The option."""


class Chosen:
    """The options of a config, by dotted key.

    Args:
        config: The parsed config; every option in it has been checked by itself.
    """

    def __init__(self, config: Namespace) -> None:
        self._config = config

    def __getitem__(self, key: str) -> Any:
        """A plain value, or of an option with variants an instance of the chosen one."""
        value = self._config[key]
        return _instance(value) if isinstance(value, Namespace) and "class_path" in value else value


@dataclass(frozen=True)
class Conflict:
    """A pair that cannot work."""

    first: str
    """Key and value of the one part, as a sentence begins"""
    second: str
    """Key and value of the other"""
    reason: str
    """Why, and what to take instead"""
    applies: Callable[[Options], bool]
    """Whether a config has the pair"""


def _trains_encoder_weights(peft: PEFT, freezing: Freezing) -> bool:
    """Whether weights of the encoder itself train beside those of a method."""
    norms = isinstance(freezing, WholeEncoder) and freezing.train_norms
    return norms or (isinstance(peft, (LoRA, AdaLoRA)) and peft.bias != "none")


def _unread(key: str, default: object, other: str, reason: str) -> Conflict:
    """A split setting that is not read where the other is set; what it has by itself is no setting."""

    def applies(options: Options) -> bool:
        value = options[key]
        return options[other] is not None and (tuple(value) if isinstance(value, list) else value) != default

    return Conflict(f"{key} is set", f"{other} is {{{other}}}", f"{reason}: leave {key} out", applies)


CONFLICTS = (
    Conflict(
        "model.optimizer is Adafactor with relative_step",
        "model.schedule is {model.schedule}",
        "the optimizer finds its own rate at every step, which no schedule can multiply: take NoSchedule",
        lambda c: (
            isinstance(c["model.optimizer"], Adafactor)
            and c["model.optimizer"].relative_step
            and not isinstance(c["model.schedule"], (NoSchedule, Constant))
        ),
    ),
    Conflict(
        "model.optimizer is {model.optimizer}",
        "model.schedule is OneCycle with cycle_momentum",
        "this optimizer has no momentum to cycle: set cycle_momentum to false",
        lambda c: (
            isinstance(c["model.schedule"], OneCycle)
            and c["model.schedule"].cycle_momentum
            and not c["model.optimizer"].has_momentum
        ),
    ),
    Conflict(
        "model.optimizer.layer_decay is not 1",
        "model.peft is {model.peft}",
        "the method freezes the encoder's own layers, whose rates the decay is about: leave layer_decay at 1",
        lambda c: (
            c["model.optimizer"].layer_decay != 1
            and not isinstance(c["model.peft"], NoPEFT)
            and not _trains_encoder_weights(c["model.peft"], c["model.freezing"])
        ),
    ),
    Conflict(
        "model.optimizer.layer_decay is not 1",
        "model.freezing is WholeEncoder",
        "no layer trains whose rate could decay: leave layer_decay at 1",
        lambda c: (
            c["model.optimizer"].layer_decay != 1
            and isinstance(c["model.peft"], NoPEFT)
            and isinstance(c["model.freezing"], WholeEncoder)
            and not c["model.freezing"].train_norms
        ),
    ),
    Conflict(
        "model.optimizer.peft_lr is set",
        "model.peft is NoPEFT",
        "there are no PEFT parameters to train at that rate: choose a method, or leave peft_lr out",
        lambda c: (
            isinstance(c["model.peft"], NoPEFT) and c["model.optimizer"].peft_lr != type(c["model.optimizer"])().peft_lr
        ),
    ),
    _unread("data.fractions", SplitChoice.fractions, "data.split_file", "the file says which post is in which part"),
    _unread("data.split_seed", SplitChoice.seed, "data.split_file", "nothing is drawn where a file says the split"),
    _unread("data.group_by", SplitChoice.group_by, "data.split_file", "the file says which posts stay together"),
    _unread("data.fractions", SplitChoice.fractions, "data.folds", "the number of folds says how large the parts are"),
)
"""The table, which docs/tuning.md shows."""


def refuse_impossible(chosen: Options) -> None:
    """Refuse options of which a pair cannot work.

    Args:
        chosen: The options, of a parsed config as ``Chosen``.

    Raises:
        UserError: Names the two parts and the reason.
    """
    for conflict in CONFLICTS:
        if conflict.applies(chosen):
            first, second = (_filled(part, chosen) for part in (conflict.first, conflict.second))
            raise UserError(f"{first} and {second}: {conflict.reason}")


def _filled(part: str, chosen: Options) -> str:
    """The sentence with the class name of the option whose key stands in braces."""
    before, brace, rest = part.partition("{")
    if not brace:
        return part
    key, _, after = rest.partition("}")
    value = chosen[key]
    plain = isinstance(value, (str, int, float)) or value is None
    return f"{before}{value if plain else type(value).__name__}{after}"


def _instance(spec: Namespace) -> Any:
    module, _, name = spec.class_path.rpartition(".")
    values = spec.get("init_args")
    nested = {
        field: _instance(value) if isinstance(value, Namespace) and "class_path" in value else value
        for field, value in (values.items(branches=True, nested=False) if values else ())
    }
    return getattr(importlib.import_module(module), name)(**nested)
