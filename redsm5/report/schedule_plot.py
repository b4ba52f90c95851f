"""Learning rates over the steps of a training, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from redsm5.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (".png", ".svg", ".pdf")
MOST_EPOCH_LINES = 40
"""With more epochs than this, lines at their ends would be a grey area."""


@dataclass(frozen=True)
class RateCurves:
    """Rates by name, at every step from 0 to the last."""

    title: str
    total_steps: int
    steps_per_epoch: int
    rates: Mapping[str, Sequence[float]]


def check_picture(path: Path) -> None:
    """Refuse what cannot be drawn, before any work is done for it.

    Raises:
        UserError: The kind of picture is unknown, or matplotlib is missing.
    """
    if path.suffix.lower() not in KINDS:
        raise UserError(f"{path} is no picture that can be drawn; its name must end in {', '.join(KINDS)}")
    if find_spec("matplotlib") is None:
        raise UserError("pictures need matplotlib; install it with: pip install 'redsm5[plots]'")


def draw(curves: RateCurves, path: Path) -> None:
    """Draw the rates, those of the encoder, of PEFT parameters and of the head each on an axis of their own.

    Args:
        curves: What to draw.
        path: The picture, overwritten if it is there.
    """
    # Not pyplot: it would look for a display and keep the figure.
    from matplotlib.figure import Figure

    panels = _panels(curves.rates)
    figure = Figure(figsize=(9, 1.2 + 2.4 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, names in zip(axes, panels, strict=True):
        _draw_panel(axis, curves, names)
    axes[-1].set_xlabel(f"optimizer step (an epoch has {curves.steps_per_epoch})")
    figure.suptitle(curves.title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _panels(names: Mapping[str, Sequence[float]]) -> list[list[str]]:
    """Names by what their rates are comparable to, the empty ones left out."""
    encoder = [n for n in names if n.startswith("lr_encoder")]
    peft = [n for n in names if n in ("lr_adapter", "lr_lora_b")]
    others = [n for n in names if n not in encoder and n not in peft]
    return [panel for panel in (encoder, peft, others) if panel]


def _draw_panel(axis: Axes, curves: RateCurves, names: Sequence[str]) -> None:
    from matplotlib import colormaps

    colours = colormaps["viridis"]
    for i, name in enumerate(names):
        # From the embeddings in dark to the top in light, but not in a yellow that nobody sees on white.
        axis.plot(curves.rates[name], label=name, color=colours(0.85 * i / max(1, len(names) - 1)), linewidth=1.5)
    epochs = curves.total_steps // curves.steps_per_epoch
    if epochs <= MOST_EPOCH_LINES:
        for epoch in range(1, epochs + 1):
            axis.axvline(epoch * curves.steps_per_epoch, color="0.9", linewidth=0.8, zorder=0)
    axis.set_ylim(bottom=0)
    axis.set_xlim(0, curves.total_steps)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axis.set_ylabel("learning rate")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
