"""How many windows a training batch may have: what was tried, else what is counted, else a prediction, said once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from redsm5.catalog import EncoderFacts, facts
from redsm5.children import ChildDied, in_child
from redsm5.children import Tell as ChildTell
from redsm5.errors import UserError

Tell = Callable[[str], None]

MARGIN = 0.15
"""Share of the memory that a predicted batch leaves free: other heads and losses than those that were counted."""
SLACK = 2
"""How many times a batch must fit where what is known is of another PEFT method."""
GENEROUS_SHARE = 0.5
"""Share of the memory within which a generous count of the activations is enough, and nothing is predicted."""
HEAD_FLOATS = 9 * 64 * 4
"""Floats per token of the costliest head: nine outputs, spans of up to 64 tokens, several tensors."""


@dataclass(frozen=True)
class Key:
    """What a bound is about.

    Attributes:
        encoder: Hub id or folder.
        max_length: Tokens of a window.
        precision: As ``runtime.precision``.
        checkpointing: Whether activations are recomputed.
        peft: Class of the PEFT method.
    """

    encoder: str
    max_length: int
    precision: str
    checkpointing: bool
    peft: str

    def __str__(self) -> str:
        extra = ", checkpointing" if self.checkpointing else ""
        return f"{self.encoder}, {self.max_length} tokens, {self.precision}, {self.peft}{extra}"

    def covers(self, other: Key) -> bool:
        """Whether a batch of this one takes at least the memory of one of the other, but for its PEFT method."""
        return (
            self.encoder == other.encoder
            and self.max_length >= other.max_length
            and self.precision in ("none", other.precision)
            and (other.checkpointing or not self.checkpointing)
            and self.peft in ("NoPEFT", other.peft)
        )


@dataclass(frozen=True)
class Known:
    """Windows that fit for a key, at least; None where none does.

    Attributes:
        key: The key.
        windows: Of a training batch.
        eval_windows: Of an evaluation batch.
        tried: Whether it was tried on this device, not counted.
    """

    key: Key
    windows: int
    eval_windows: int
    tried: bool


class Bounds:
    """What fits on a device.

    Args:
        file: The calibration; predictions are noted there.
        name: Of the device, as the calibration has it.
        memory_gb: Of the device, for one trial, in 2^30 bytes.
        tell: Is told what is predicted, once per key.
    """

    def __init__(self, file: Path, *, name: str, memory_gb: float, tell: Tell) -> None:
        self._file, self._name, self._memory_gb, self._tell = file, name, memory_gb, tell
        self._told: set[object] = set()
        self._found: dict[Key, Known] = {}
        self._unknown: set[Key] = set()

    @classmethod
    def here(cls, file: Path, *, tell: Tell, on_cpu: bool = False, workers: int = 1) -> Bounds:
        """Of this machine's device.

        Args:
            file: The calibration.
            tell: Is told what is predicted.
            on_cpu: Whether trials run on the CPU, whatever else there is.
            workers: How many share its memory.

        Raises:
            UserError: The device cannot be asked.
        """
        from functools import partial

        try:
            name, memory_gb = in_child(partial(_device, on_cpu))
        except ChildDied as error:
            raise UserError(f"the memory of this machine cannot be read: {error}; try again") from error
        return cls(file, name=name, memory_gb=memory_gb / workers, tell=tell)

    def windows(self, key: Key, wanted: int, args: Sequence[str]) -> Known | None:
        """What fits of a key.

        Args:
            key: What is asked about.
            wanted: Windows of the largest batch that is asked for.
            args: Config options of a run with this key, for a prediction.

        Returns:
            None where as many as are wanted fit for sure, or where nothing can be said.
        """
        if key in self._found:
            return self._found[key]
        known = self._known()
        exact = [entry for entry in known if entry.key == key]
        if found := next((entry for entry in exact if entry.tried), exact[0] if exact else None):
            return self._found.setdefault(key, found)
        if any(self._suffices(entry, key, wanted) for entry in known):
            return None
        if self._surely_fits(key, wanted) or key in self._unknown:
            return None
        return self._predicted(key, args)

    def _suffices(self, entry: Known, key: Key, wanted: int) -> bool:
        slack = 1 if entry.key.peft == key.peft else SLACK
        return entry.key.covers(key) and entry.windows >= slack * wanted

    def _surely_fits(self, key: Key, wanted: int) -> bool:
        """Whether a count that is far too high still leaves most of the memory free; on a CPU alone."""
        if self._name != "CPU":
            return False
        try:
            needed = generous_gb(facts(key.encoder), key.max_length, wanted)
        except UserError:
            return False
        if needed > GENEROUS_SHARE * self._memory_gb:
            return False
        if self._name not in self._told:
            self._told.add(self._name)
            self._tell(
                f"batches are not bounded where a generous count of their memory is below {GENEROUS_SHARE:.0%} of the "
                f"{self._memory_gb:.1f} GB of this machine"
            )
        return True

    def _predicted(self, key: Key, args: Sequence[str]) -> Known | None:
        from redsm5.batch_search.calibration import add_entry
        from redsm5.batch_search.grid import A_WINDOW
        from redsm5.batch_search.one import entry_of
        from redsm5.batch_search.request import Budget, request_of
        from redsm5.cli import build_cli

        try:
            config = build_cli(list(args), parse_only=True, command="tune-batch").config
            budget = Budget(memory_gb=self._memory_gb, margin=MARGIN, mode="fake")
            shape = replace(A_WINDOW, max_length=key.max_length)
            entry = entry_of(request_of(tuple(args), config, shape, budget, accumulates=True), lambda _: None)
            add_entry(self._file, entry)
        except UserError as error:
            self._unknown.add(key)
            self._tell(f"no bound for batches of {key}: {error}; what is too large is halved when it fails")
            return None
        found = Known(key, entry.windows or 0, entry.eval_windows or 0, tried=False)
        self._tell(
            f"no calibration of {key}: {found.windows} windows are predicted to fit a batch in "
            f"{self._memory_gb:.1f} GB ({entry.seconds:.0f} s; redsm5 tune-batch tries it)"
        )
        return self._found.setdefault(key, found)

    def _known(self) -> list[Known]:
        """What the calibration has for this device, smallest first for each key."""
        from redsm5.batch_search.calibration import Device, read_calibration

        here = Device.here(self._name, self._memory_gb, MARGIN)
        found = []
        for entry in read_calibration(self._file).entries:
            there = entry.device
            if (there.torch, there.transformers) != (here.torch, here.transformers):
                continue
            tried = entry.method != "fake" and there.name == here.name and (entry.peak_gb or 0) <= self._memory_gb
            counted = entry.method == "fake" and there.memory_gb <= self._memory_gb + 0.5 and there.margin >= MARGIN
            if (tried or counted) and (tried or abs(there.memory_gb - self._memory_gb) <= 0.5):
                key = Key(entry.encoder, entry.max_length, entry.precision, entry.checkpointing, entry.peft)
                found.append(Known(key, entry.windows or 0, entry.eval_windows or 0, tried))
        return sorted(found, key=lambda known: known.windows)


def generous_gb(known: EncoderFacts, length: int, windows: int) -> float:
    """Memory of a training batch in fp32, counted far too high: weights with their states, activations, heads.

    Args:
        known: The encoder.
        length: Tokens of a window.
        windows: Of the batch.
    """
    layer = 30 * known.hidden + 6 * known.ffn + 6 * known.heads * length
    weights = 4 * (
        known.vocabulary * known.hidden + known.layers * (4 * known.hidden**2 + 2 * known.hidden * known.ffn)
    )
    floats = windows * length * (known.layers * layer + 40 * known.hidden + HEAD_FLOATS)
    return 4 * (floats + 2 * weights) / 1024**3


def _device(on_cpu: bool, tell: ChildTell) -> tuple[str, float]:
    import torch

    from redsm5.batch_search.limits import GB, CpuMemory

    if torch.cuda.is_available() and not on_cpu:
        properties = torch.cuda.get_device_properties(0)
        return properties.name, properties.total_memory / GB
    return CpuMemory.name, CpuMemory().available() / GB
