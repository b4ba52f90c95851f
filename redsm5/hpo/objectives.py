"""What a search optimises: a validation metric, or several objectives at once. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from redsm5.callbacks.early_stopping import EarlyStopping, Monitor
from redsm5.report.study_models import TrialReport

MEASURED = ("peak_memory", "train_time")
"""Objectives that are no metrics; less of both is better."""
ONE_OBJECTIVE = ("CmaEsSampler",)
"""Samplers that cannot search for several."""


@dataclass(frozen=True)
class Objective:
    """One of them.

    Attributes:
        name: A validation metric, ``peak_memory`` or ``train_time``.
        mode: Which values are better.
    """

    name: str
    mode: Literal["min", "max"]

    @property
    def sign(self) -> int:
        """What its values are multiplied with so that less is better."""
        return 1 if self.mode == "min" else -1


def objectives_of(names: Iterable[str]) -> tuple[Objective, ...]:
    """Objectives with their directions.

    Args:
        names: The first is a validation metric.

    Raises:
        ValueError: One is not known, or stands twice, or the first is no metric.
    """
    found = tuple(names)
    metrics: tuple[str, ...] = get_args(Monitor)
    for number, name in enumerate(found):
        if name not in metrics + MEASURED:
            raise ValueError(f"{name} is no objective; choose among {', '.join(metrics + MEASURED)}")
        if name in found[:number]:
            raise ValueError(f"{name} stands twice")
    if found and found[0] in MEASURED:
        raise ValueError(f"{found[0]} cannot be the first: that one picks the best epoch and is pruned by")
    return tuple(Objective(name, _mode(name)) for name in found)


def _mode(name: str) -> Literal["min", "max"]:
    return "min" if name in MEASURED else EarlyStopping(monitor=cast(Monitor, name)).mode


def pareto_front(reports: Sequence[TrialReport], objectives: Sequence[Objective]) -> list[TrialReport]:
    """The complete trials than which no other is better in one objective and as good in all others.

    Args:
        reports: Of trials.
        objectives: At least two.

    Returns:
        The best by the first objective first.
    """
    points = [
        (report, tuple(one.sign * report.objectives[one.name] for one in objectives))
        for report in reports
        if report.state == "COMPLETE" and all(one.name in report.objectives for one in objectives)
    ]
    front = [
        (report, point)
        for report, point in points
        if not any(other != point and all(o <= p for o, p in zip(other, point, strict=True)) for _, other in points)
    ]
    return [report for report, _ in sorted(front, key=lambda found: (found[1], found[0].trial))]
