"""A confirmation in words and as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from redsm5.confirm.models import Candidate, Confirmation, Refit
from redsm5.metrics.evaluation import Interval


def refit_line(refit: Refit, objective: str) -> str:
    """A refit that has ended, in a line."""
    value = "undefined" if refit.value is None else f"{refit.value:.4f}"
    ended = f"failed: {refit.failed}" if refit.failed else f"{objective.removeprefix('val_')} {value} on the fold"
    return f"trial {refit.trial}, seed {refit.seed}, fold {refit.fold}: {ended}; {refit.epochs} epochs"


def sentences(found: Confirmation) -> list[str]:
    """What it comes to."""
    metric = found.objective.removeprefix("val_")
    refits = f"{len(found.seeds)} seeds x {found.folds} folds of {found.posts} posts by {found.authors} authors"
    said = [f"{len(found.candidates)} candidates, {refits}; the test posts were in none of them."]
    best = next((one for one in found.candidates if one.trial == found.best), None)
    if best is None or best.mean is None or best.gap is None:
        return [*said, "None of them was confirmed: a training of each has failed, or the metric is undefined."]
    said.append(
        f"Trial {best.trial} is the confirmed best: {metric} {best.mean:.4f}{_interval(best.interval, found.level)}; "
        f"the search had it at {best.search_value:.4f}, rank {best.rank}."
    )
    first = min(found.candidates, key=lambda one: one.rank)
    if first.gap is not None and first.mean is not None:
        said.append(
            f"The best of the search, trial {first.trial}, had {first.search_value:.4f} as the best of {found.trials} "
            f"trials and has {first.mean:.4f} confirmed: an optimism of {first.gap:+.4f}."
        )
    level = [one.other for one in found.differences if one.interval.low <= 0 <= one.interval.high]
    if level:
        named = ", ".join(map(str, sorted(level)))
        said.append(f"Not to be told from it on so many posts (paired bootstrap): {named}.")
    if best.pooled is not None and "tuned_f1_macro" in best.pooled.scores:
        said.append(
            f"Macro F1 of its out-of-fold predictions at 0.5 and at thresholds from the other folds: "
            f"{best.pooled.scores['f1_macro']:.4f}, {best.pooled.scores['tuned_f1_macro']:.4f}; calibration error "
            f"{best.pooled.ece_macro:.3f}, {best.pooled.calibrated_ece_macro:.3f} once calibrated."
        )
    return said


def _interval(interval: Interval | None, level: float) -> str:
    return "" if interval is None else f" ({100 * level:.0f} % interval {interval.low:.4f} to {interval.high:.4f})"


HEAD = ("trial", "in the search", "confirmed", "interval", "optimism", "best less this")


def rows(found: Confirmation) -> list[tuple[str, ...]]:
    """One per candidate, under ``HEAD``."""
    apart = {one.other: one for one in found.differences}
    made: list[tuple[str, ...]] = []
    for one in found.candidates:
        less = apart.get(one.trial)
        made.append(
            (
                str(one.trial),
                f"{one.search_value:.4f}",
                "failed" if one.mean is None else f"{one.mean:.4f}",
                "" if one.interval is None else f"{one.interval.low:.4f} to {one.interval.high:.4f}",
                "" if one.gap is None else f"{one.gap:+.4f}",
                "" if less is None else f"{less.difference:+.4f} (p {less.p_value:.3f})",
            )
        )
    return made


def table(found: Confirmation) -> Table:
    """The candidates, the best first."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in HEAD:
        made.add_column(name, justify="left" if name == "trial" else "right")
    for row in rows(found):
        made.add_row(*(Text(cell) for cell in row))
    return made


def failures(candidates: Sequence[Candidate]) -> list[str]:
    """A line for each refit that failed."""
    return [f"trial {one.trial}, {reason}" for one in candidates for reason in one.failed]
