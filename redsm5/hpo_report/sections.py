"""The sections of a report, in their order: what its page shows, and its Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import plotly.graph_objects as go

from redsm5.hpo_report import (
    cells,
    combined,
    confirmed,
    figures,
    parallel,
    pareto,
    slices,
    storage,
    tables,
    tested,
    trial_tables,
)
from redsm5.hpo_report.leading import leading
from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.tables import Table


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading.
        says: What it shows, in a sentence or two; may be empty.
        table: Its numbers.
        draw: Makes its picture; None where the table is all there is.
        folded: Whether a table without a picture is closed at first.
    """

    title: str
    says: str
    table: Table
    draw: Callable[[], go.Figure] | None = None
    folded: bool = False


def sections(report: SearchReport) -> list[Section]:
    """Those for which there are numbers."""
    return [*_summed_up(report), *(_of_search(report) if report.trials else ())]


def _summed_up(report: SearchReport) -> Iterator[Section]:
    yield Section("Requirements", "What this project holds a search to.", tables.requirement_table(report))
    if report.study.test is not None:
        yield Section("Test", tested.look_sentence(report.study), tested.look_table(report))
    if report.candidates:
        yield Section("The best trials, where they differ", "", tables.candidate_table(report))
    if report.same:
        yield Section("What the best trials share", "", tables.same_table(report), folded=True)
    if report.confirmed is not None:
        points = partial(confirmed.confirmed_points, report)
        some = any(one.mean is not None for one in report.confirmed.candidates)
        table = confirmed.confirmed_table(report)
        yield Section("Confirmed", confirmed.says(report.confirmed), table, points if some else None)
        if report.confirmed.differences:
            yield Section(
                "Differences between the confirmed",
                "Of the confirmed best trial to the others, on the same posts. Where the interval holds 0, so many "
                "posts do not tell the two apart.",
                confirmed.difference_table(report),
                partial(confirmed.difference_points, report),
            )
    if report.combined is not None:
        apart = any(one.gain is not None for one in report.combined.compared[1:])
        yield Section(
            "Combined",
            combined.says(report.combined),
            combined.combined_table(report),
            partial(combined.gain_points, report) if apart else None,
        )


def _of_search(report: SearchReport) -> Iterator[Section]:
    objective = report.study.objective
    yield Section(
        "Values over trials",
        f"The best {objective} of each trial on the validation part, and the best so far of those that were trained to "
        "their end.",
        trial_tables.trial_table(report),
        partial(figures.history, report),
    )
    if report.study.front:
        yield Section(
            "Pareto front",
            "Than a trial on the front none is better in one objective and as good in the others.",
            tables.front_table(report),
            partial(pareto.front, report),
        )
    if report.importances:
        yield from _of_parameters(report)
    yield Section(
        "Reports and pruning",
        f"{report.pruned_by} after every epoch. The pruner compares it with that of the other trials at the same "
        "epoch.",
        trial_tables.curve_table(report),
        partial(figures.intermediate, report),
    )
    yield Section(
        "How trials ended",
        "Epochs of the trials, by what ended them. Where this report speaks of shares of pruned or stopped trials, "
        "they are of those that did not fail.",
        trial_tables.ending_table(report),
        partial(figures.endings, report),
    )
    yield Section(
        "Durations",
        "Seconds of a trial, by state.",
        trial_tables.duration_table(report),
        partial(figures.durations, report),
    )
    yield Section(
        "Where the time went",
        "Of all trials together. Of the time that the workers waited for one another it says nothing.",
        trial_tables.time_table(report),
        partial(figures.times, report),
    )
    if any(row.memory_gb is not None for row in report.trials):
        yield Section(
            "Memory",
            "The peak of each trial, in 2^30 bytes: of the GPU, without one of its process.",
            trial_tables.memory_table(report),
            partial(figures.memory, report),
        )
    yield Section(
        "Storage",
        "Of the study's folder on this machine. The peak was looked at after each trial, with its checkpoints as they "
        "were at their most; it leaves out caches, and what was made after the search: refits, ensembles, this report.",
        storage.storage_table(report),
        partial(figures.stored, report) if report.storage.now else None,
    )
    if report.study.reasons:
        yield Section(
            "Failures",
            "Failed trials by reason.",
            tables.reason_table(report),
            partial(figures.failures, report),
        )


def _of_parameters(report: SearchReport) -> Iterator[Section]:
    objective = report.study.objective
    yield Section(
        "Importance of the parameters",
        "How much a parameter decides whether a trial is among the best tenth, within what was tried (PED-ANOVA). "
        "Orange marks are what chance reaches; grey ones are not above theirs. Green ones are active in some trials "
        "only, and are compared among those.",
        tables.importance_table(report),
        partial(figures.importance_bars, report),
    )
    yield Section(
        "Importance of the groups",
        "Of the parameters of each group, what is above chance, summed.",
        tables.group_table(report),
        partial(figures.group_bars, report) if any(one.importance for one in report.groups) else None,
    )
    names = parallel.line_names(report)
    if len(names) > 1 and parallel.ranked(report, names):
        yield Section(
            "The important parameters together",
            "A line per trial that was trained to its end and has all of these, by the fifth that its value is in. "
            f"The table has the best {parallel.LISTED}.",
            parallel.parallel_table(report, names),
            partial(parallel.parallel, report, names),
        )
    if leading(report):
        yield Section(
            "Slices",
            f"{objective} over the most important parameters, one at a time.",
            slices.slice_table(report),
            partial(slices.slices, report),
        )
    for first, second in cells.pairs(report):
        yield Section(
            f"{first} and {second}",
            f"The mean {objective} of the trials in each cell; empty ones were never tried.",
            cells.cell_table(report, first, second),
            partial(cells.heat_map, report, first, second),
        )
