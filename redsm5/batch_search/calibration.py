"""``calibration.json``: what fits, of every setting that was tried, on which device."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from redsm5.atomic import write_text_atomically
from redsm5.batch_search.settings import Setting
from redsm5.datamodules.token_cache import cache_folder
from redsm5.errors import UserError
from redsm5.metrics.evaluation import Frozen

CALIBRATION_VERSION: Literal[1] = 1
FILE = "calibration.json"
Method = Literal["predicted", "power", "binsearch", "fake"]


class Device(Frozen):
    """What a number holds for."""

    name: str = Field(description="Name of the GPU, or CPU.")
    memory_gb: float = Field(gt=0, description="Memory there is, or was asked for, in 2^30 bytes.")
    margin: float = Field(ge=0, lt=1, description="Share of it that stays free.")
    torch: str = Field(description="Version of torch.")
    transformers: str = Field(description="Version of transformers.")

    @classmethod
    def here(cls, name: str, memory_gb: float, margin: float) -> Device:
        """With the versions that are installed."""
        return cls(
            name=name, memory_gb=memory_gb, margin=margin, torch=version("torch"), transformers=version("transformers")
        )


class Entry(Frozen):
    """What fits in one setting on one device."""

    encoder: str = Field(description="Hub id or folder.")
    max_length: int = Field(ge=1, description="Tokens of a window.")
    precision: Literal["none", "bf16", "fp16"] = Field(description="runtime.precision.")
    checkpointing: bool = Field(description="model.encoder.gradient_checkpointing.")
    peft: str = Field(description="Class of the PEFT method.")
    accumulates: bool = Field(description="Whether gradients of one batch are there while the next one passes.")
    rest: str = Field(description="Hash of everything else that memory depends on: heads, losses, optimizer, criteria.")
    device: Device = Field(description="Where it holds.")
    method: Method = Field(description="How it was found: by probes, in one of three orders, or on fake tensors.")
    unit: int = Field(ge=1, description="Windows of the largest example: sizes that were tried are multiples of it.")
    windows: int | None = Field(ge=1, description="Windows of max_length tokens that fit a training batch; null: none.")
    eval_windows: int | None = Field(ge=1, description="Likewise in an evaluation batch.")
    peak_gb: float | None = Field(description="Peak memory of both, in 2^30 bytes.")
    trained_gb: float | None = Field(default=None, description="That of training alone.")
    predicted_gb: float | None = Field(description="The same, as probes of at most half the size predict it.")
    needs_gb: float | None = Field(description="What one example needs, where it does not fit.")
    probes: int = Field(ge=1, description="Sizes that were tried.")
    seconds: float = Field(ge=0, description="Time that the search took.")
    found: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC), description="When.")

    @property
    def setting(self) -> Setting:
        """The setting that it is about."""
        return Setting(
            self.encoder, self.max_length, self.precision, self.checkpointing, self.peft, self.accumulates, self.rest
        )


class Calibration(Frozen):
    """The file."""

    schema_version: Literal[1] = CALIBRATION_VERSION
    entries: tuple[Entry, ...] = ()

    def usable(self, setting: Setting, name: str, memory_gb: float, margin: float) -> Entry | None:
        """An entry that holds on a device with this much memory: tried with these versions, and its peak fits.

        Args:
            setting: Of the config.
            name: Of the device.
            memory_gb: What there is now.
            margin: Share that is to stay free, at least.
        """
        here, limit = Device.here(name, memory_gb, margin), memory_gb * (1 - margin)

        def holds(entry: Entry) -> bool:
            # A GPU's allocator holds more than the tensors whose peak is noted: what it was held to counts. Free memory
            # of a machine goes up and down, and there the peak is what the process takes.
            probed = entry.device.memory_gb * (1 - entry.device.margin)
            return probed <= limit or (name == "CPU" and entry.peak_gb is not None and entry.peak_gb <= limit)

        for entry in reversed(self.entries):
            there = entry.device
            same = (there.name, there.torch, there.transformers) == (here.name, here.torch, here.transformers)
            tried = entry.method != "fake" and entry.windows is not None
            if entry.setting == setting and same and tried and holds(entry):
                return entry
        return None


def default_file() -> Path:
    """Where ``fit`` and ``hpo`` look: beside the token caches."""
    return cache_folder(None) / FILE


def read_calibration(path: Path) -> Calibration:
    """The file; an empty one where there is none.

    Raises:
        UserError: It is damaged, or of another version.
    """
    try:
        return Calibration.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Calibration()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give another file with --calibration") from error
    except (ValidationError, ValueError) as error:
        raise UserError(f"{path} is damaged or of another version; delete it, and tune-batch makes it anew") from error


def add_entry(path: Path, entry: Entry) -> None:
    """Add an entry, in place of an earlier one of the same setting, device and method.

    Raises:
        UserError: The file is damaged or cannot be written.
    """
    with _locked(path):
        kept = [old for old in read_calibration(path).entries if _place(old) != _place(entry)]
        calibration = Calibration(entries=(*kept, entry))
        write_text_atomically(path, json.dumps(calibration.model_dump(mode="json"), indent=1) + "\n")


def _place(entry: Entry) -> tuple[Setting, Device, bool]:
    return entry.setting, entry.device, entry.method == "fake"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time: each reads the entries of the others before it writes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another file with --calibration") from error
