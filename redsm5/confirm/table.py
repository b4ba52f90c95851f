"""A confirmation in words and as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from redsm5.confirm.models import Candidate, Confirmation, Refit
from redsm5.metrics.evaluation import Interval
from redsm5.words import counted


def refit_line(refit: Refit, objective: str) -> str:
    """A refit that has ended, in a line."""
    value = "undefined" if refit.value is None else f"{refit.value:.4f}"
    less = f", batch halved {refit.halvings} times" if refit.halvings else ""
    ended = f"failed: {refit.failed}" if refit.failed else f"{objective.removeprefix('val_')} {value} on the fold"
    return f"trial {refit.trial}, seed {refit.seed}, fold {refit.fold}: {ended}; {refit.epochs} epochs{less}"


def refits_words(one: Candidate, found: Confirmation) -> str:
    """How many refits a mean is over."""
    asked = len(found.seeds) * found.folds
    if one.refits == asked:
        return f"{asked} refits"
    return f"{one.refits} of {asked} refits, as {found.metric} is undefined on the folds of the others"


def sentences(found: Confirmation) -> list[str]:
    """What it comes to."""
    refits = f"{found.design} of {found.posts} posts by {counted(found.authors, 'author')}"
    said = [
        f"{counted(len(found.candidates), 'candidate')}, {refits}; the test posts were in none of them. "
        f"Each refit was trained on {found.refit_training_posts:.0f} posts, the trials of the search on "
        f"{found.training_posts}."
    ]
    best = next((one for one in found.candidates if one.trial == found.best), None)
    if best is None or best.mean is None:
        return [*said, "None of them was confirmed: a training of each has failed, or the metric is undefined."]
    confirmed = sum(one.mean is not None for one in found.candidates)
    chosen = f"; it was chosen among {confirmed} by these very values, which flatters it a little"
    said.append(
        f"Trial {best.trial} is the confirmed best: {found.metric} {best.mean:.4f}"
        f"{_interval(best.interval, found.level)}, mean over {refits_words(best, found)}"
        f"{chosen if confirmed > 1 else ''}. The search had it at {best.search_value:.4f}, rank {best.rank}."
    )
    return [*said, *_of_search(found), *_compared(found), *_decided(best)]


def _of_search(found: Confirmation) -> list[str]:
    """How far the best value of the search is from the confirmed one."""
    first = min(found.candidates, key=lambda one: one.rank)
    if first.mean is None or first.search_difference is None:
        return []
    said = (
        f"The best of the search, trial {first.trial}, had {first.search_value:.4f} as the best of {found.trials} "
        f"trials and has {first.mean:.4f} on the folds: a difference to the search of {first.search_difference:+.4f}, "
        "with the luck of the choice and the other number of training posts in it."
    )
    if first.unselected_value is None or first.pooled_value is None:
        return [said]
    return [
        f"{said} Its predictions of the posts that each refit had not seen give {first.pooled_value:.4f}, and "
        f"{first.unselected_value:.4f} on the {found.training_posts} posts that took no part in choosing it."
    ]


def _compared(found: Confirmation) -> list[str]:
    """The best one and the others."""
    said, alpha = [], 1 - found.level
    test = f"corrected resampled t-test of the differences, Holm over {counted(len(found.differences), 'pair')}"
    told = [one for one in found.differences if one.p_holm is not None]
    level = sorted(one.other for one in told if (one.p_holm or 0.0) >= alpha)
    worse = sorted(one.other for one in told if (one.p_holm or 0.0) < alpha)
    if level:
        said.append(f"Not to be told from it ({test}): trial {', '.join(map(str, level))}.")
    if worse:
        said.append(f"Worse than it ({test}): {', '.join(map(str, worse))}.")
    if found.differences and not told:
        said.append("With one refit each there is no test of the differences; ask for more --seeds.")
    sign = 1 if found.direction == "maximize" else -1
    against = sorted(
        one.other
        for one in found.differences
        if one.pooled_difference is not None and sign * one.pooled_difference < 0 and (one.pooled_p_holm or 0.0) < alpha
    )
    if against:
        said.append(
            "Better than it on the predictions of all folds together, though worse in the mean over the refits (paired "
            f"bootstrap, Holm): {', '.join(map(str, against))}."
        )
    if found.differences and all(one.pooled_p_value is None for one in found.differences):
        said.append(f"There is no paired bootstrap of {found.metric}; the t-test stands alone.")
    return said


def _decided(best: Candidate) -> list[str]:
    if best.pooled is None or "tuned_f1_macro" not in best.pooled.scores:
        return []
    return [
        f"Macro F1 of its out-of-fold predictions at 0.5 and at thresholds from the other folds: "
        f"{best.pooled.scores['f1_macro']:.4f}, {best.pooled.scores['tuned_f1_macro']:.4f}; calibration error "
        f"{best.pooled.ece_macro:.3f}, {best.pooled.calibrated_ece_macro:.3f} once calibrated."
    ]


def _interval(interval: Interval | None, level: float) -> str:
    return "" if interval is None else f" ({100 * level:.0f} % interval {interval.low:.4f} to {interval.high:.4f})"


HEAD = ("trial", "in the search", "confirmed", "interval", "difference to the search", "best less this", "pooled")
"""``best less this`` in the mean over the refits; ``pooled``: all folds together, and best less this there."""


def rows(found: Confirmation) -> list[tuple[str, ...]]:
    """One per candidate, under ``HEAD``."""
    apart = {one.other: one for one in found.differences}
    made: list[tuple[str, ...]] = []
    for one in found.candidates:
        less = apart.get(one.trial)
        pooled = "" if one.pooled_value is None else f"{one.pooled_value:.4f}"
        if less is not None and less.pooled_difference is not None:
            pooled += f" ({less.pooled_difference:+.4f}{_p(less.pooled_p_holm)})"
        made.append(
            (
                str(one.trial),
                f"{one.search_value:.4f}",
                f"{one.mean:.4f}" if one.mean is not None else "failed" if one.failed else "undefined",
                "" if one.interval is None else f"{one.interval.low:.4f} to {one.interval.high:.4f}",
                "" if one.search_difference is None else f"{one.search_difference:+.4f}",
                "" if less is None else f"{less.difference:+.4f}{_p(less.p_holm)}",
                pooled,
            )
        )
    return made


def _p(value: float | None) -> str:
    return "" if value is None else f", p {value:.3f}"


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
