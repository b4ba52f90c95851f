"""Entries in words and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redsm5.batch_search.units import Batches, Shape

if TYPE_CHECKING:
    from redsm5.batch_search.calibration import Entry

_ROW = "  {:<6} {:<5} {:<6} {:<10} {:>8} {:>8} {:>7} {:>7} {:>6}"


def entry_line(entry: Entry) -> str:
    """One entry, as it is found."""
    kind = f"{entry.max_length} tokens, {entry.precision}, {entry.peft}{', checkpointing' * entry.checkpointing}"
    if entry.windows is None:
        verb = "does" if entry.unit == 1 else "do"
        return f"{entry.encoder}, {kind}: {_words(entry.unit)} {verb} not fit{_needs(entry)} ({entry.seconds:.0f} s)"
    return (
        f"{entry.encoder}, {kind}: {entry.windows} windows in training, {entry.eval_windows} in evaluation, "
        f"{entry.peak_gb:.2f} GB ({entry.probes} probes, {entry.seconds:.0f} s)"
    )


def too_large(entry: Entry, shape: Shape) -> str:
    """The sentence for a config of which not even one example fits."""
    training = entry.windows is None or entry.windows < shape.train
    words = _words(shape.train if training else shape.evaluation[0])
    device, fewer = entry.device, " or data.max_windows" if shape.train > 1 else ""
    return (
        f"a batch of 1 ({words} of {entry.max_length} tokens{'' if training else ' in evaluation'}) does not fit: "
        f"{entry.encoder} has {device.memory_gb:.1f} GB less {device.margin:.0%} on {device.name}{_needs(entry)}; try "
        f"model.encoder.gradient_checkpointing, model.peft LoRA, or a smaller data.max_length{fewer}"
    )


def found_lines(entry: Entry, shape: Shape, chosen: Batches) -> list[str]:
    """What was found for one config, and how to use it."""
    device = entry.device
    how = "counted on fake tensors" if entry.method == "fake" else f"{entry.probes} probes, {entry.seconds:.0f} s"
    unit = "tokens" if chosen.by_tokens else "examples"
    share = (entry.peak_gb or 0) / device.memory_gb
    lines = [
        f"{entry.encoder} on {device.name}, {device.memory_gb:.1f} GB less {device.margin:.0%} ({how})",
        f"training:   {chosen.train} {unit} ({entry.windows} windows of {entry.max_length} tokens fit, at "
        f"{entry.peak_gb:.2f} GB, {share:.0%})",
        f"evaluation: {chosen.evaluation} {unit} ({entry.eval_windows} windows were tried)",
    ]
    if chosen.accumulate is not None:
        effective = chosen.train * chosen.accumulate
        lines.append(f"accumulate: {chosen.accumulate} batches make an optimizer step of {effective} examples")
    if not chosen.by_tokens:
        lines.append(f"an example has up to {shape.train} windows in training, {shape.evaluation[0]} in evaluation")
    return lines


def print_table(entries: Sequence[Entry]) -> None:
    """All entries, encoder by encoder."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text("encoder", style="bold"))
    header = ("length", "prec.", "checkp", "PEFT", "windows", "eval", "GB", "pred.", "s")
    console.print(Text(_ROW.format(*header), style="bold"))
    encoder = None
    for entry in entries:
        if entry.encoder != encoder:
            encoder = entry.encoder
            console.print(Text(encoder))
        console.print(
            Text(
                _ROW.format(
                    entry.max_length,
                    entry.precision,
                    "on" if entry.checkpointing else "off",
                    entry.peft,
                    _number(entry.windows),
                    _number(entry.eval_windows),
                    _number(entry.peak_gb or entry.needs_gb, 2),
                    _number(entry.predicted_gb, 2),
                    f"{entry.seconds:.0f}",
                ),
                style="red" if entry.windows is None else "",
            )
        )
    legend = "windows: that fit a training batch (-: none); GB: its peak, or what one needs; pred.: by small probes"
    console.print(Text(legend, style="dim"))


def _needs(entry: Entry) -> str:
    return "" if entry.needs_gb is None else f" and needs about {entry.needs_gb:.2f} GB"


def _words(windows: int) -> str:
    return "1 window" if windows == 1 else f"{windows} windows"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
