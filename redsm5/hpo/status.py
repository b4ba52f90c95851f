"""How far a study is, in lines: while it runs, and when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from redsm5.checkpoints.space import size_words
from redsm5.hpo.records import Records, best_first
from redsm5.report.study_models import TrialReport

RECENT = 20
"""Trials by which the rate is measured: later ones are pruned more, and earlier ones had other company."""


def trial_line(report: TrialReport, best: TrialReport | None) -> str:
    """A trial that has ended, in a line.

    Args:
        report: Of the trial.
        best: The best one, itself included.
    """
    value = "no epoch" if report.value is None else f"{report.objective} {report.value:.4f}"
    if best is not None and best.trial == report.trial:
        value += ", the best so far"
    others = {name: found for name, found in report.objectives.items() if name != report.objective}
    value += f", {values_words(others)}" if others else ""
    epochs = f"{report.epochs} epoch{'s' if report.epochs != 1 else ''}, {span(report.seconds.fits)}"
    why = f": {report.reason}" if report.reason else ""
    names = ("encoder", "peft" if "peft" in report.params else "tuning", "optimizer")
    chosen = ", ".join(str(report.params[name]) for name in names if name in report.params)
    tried = f", attempt {report.attempts}" if report.attempts > 1 else ""
    return f"trial {report.trial}: {report.state}{why}, {value}; {epochs}{tried}{'; ' + chosen if chosen else ''}"


def values_words(objectives: Mapping[str, float]) -> str:
    """Values of objectives, in words: ``val_f1_macro 0.8148, peak_memory 0.51 GB, train_time 12 s``."""
    said = {"peak_memory": "{:.3g} GB", "train_time": "{:.3g} s"}
    return ", ".join(f"{name} {said.get(name, '{:.4f}').format(value)}" for name, value in objectives.items())


def summary(records: Records, budget: int, direction: str, disk: int, *, between: int = 0) -> str:
    """Counts, best value, rate, time that is left, and disk, in a line.

    Args:
        records: The trials.
        budget: How many there are to be.
        direction: Of the main objective.
        disk: Bytes of the folder.
        between: Workers that are known to be between two trials.
    """
    counts = [f"{len(records.of(state))} {name}" for state, name in NAMES.items()]
    parts = [f"{len(records.ended)} of {budget} trials ended ({', '.join(counts)}, {len(records.running)} begun)"]
    ranked = best_first(records.ended, direction)
    if ranked:
        parts.append(f"best {ranked[0].value:.4f} (trial {ranked[0].trial})")
    rate = trials_per_second(records.ended, len(records.at_work) + between)
    if rate:
        left = max(budget - len(records.ended), 0) / rate
        parts.append(f"{60 * rate:.3g} trials a minute, {span(left)} left")
    parts.append(f"{size_words(disk)} on disk")
    return "; ".join(parts)


NAMES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def trials_per_second(ended: Sequence[TrialReport], workers: int) -> float | None:
    """Of the trials that ended last; None before two have.

    By the time that trials take and the number of workers, not by the clock: a study rests.

    Args:
        ended: Trials that have ended, whoever ran them.
        workers: Of all machines: as many as trials are held now. Where none is, as if there were one.
    """
    recent = sorted(ended, key=lambda report: report.created)[-RECENT:]
    if len(recent) < 2:
        return None
    seconds = [r.seconds.sampling + r.seconds.fits + r.seconds.storage for r in recent]
    return max(1, workers) * len(recent) / max(sum(seconds), 1e-9)


def span(seconds: float) -> str:
    """A time in words: 8 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def lines(records: Records, budget: int, direction: str, disk: int, reasons: dict[str, int]) -> list[str]:
    """What ``redsm5 hpo status`` prints."""
    ranked = best_first(records.ended, direction)
    found = [summary(records, budget, direction, disk)]
    found += [f"  failed: {count} x {reason}" for reason, count in reasons.items()]
    found += [trial_line(report, None) for report in ranked[:5]]
    if records.ended:
        last = max(report.created for report in records.ended)
        found.append(f"the last one ended {span((datetime.now(UTC) - last).total_seconds())} ago")
    return found
