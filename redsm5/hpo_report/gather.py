"""Reads a study and makes its report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.trial import FrozenTrial
from pydantic import JsonValue

from redsm5.confirm.on_disk import read_confirmation
from redsm5.ensemble.on_disk import read_ensemble
from redsm5.hpo.attempts import SLOT, is_lost
from redsm5.hpo.finish import study_report
from redsm5.hpo.records import Records, best_first, read_records
from redsm5.hpo.study import Study
from redsm5.hpo_report.axes import domain_of
from redsm5.hpo_report.combined import combined_of
from redsm5.hpo_report.confirmed import confirmed_of
from redsm5.hpo_report.importance import comparable, group_importances, importances
from redsm5.hpo_report.models import Candidate, Domain, SearchReport, TrialRow
from redsm5.hpo_report.requirements import requirements
from redsm5.hpo_report.storage import storage_of
from redsm5.hpo_report.summary import summary
from redsm5.report.study_models import TrialReport

CANDIDATES = 5
"""Best trials that are shown side by side."""


def search_report(study: Study, tell: Callable[[str], None]) -> SearchReport:
    """All numbers of a study, as it stands now.

    Args:
        study: Of ``load_study``.
        tell: Says what of its folder is left out: of another version, or of other trials than are there.

    Raises:
        UserError: The database holds what this version cannot read.
    """
    created = datetime.now(UTC)  # what ends meanwhile is not in it
    records = read_records(study.optuna)
    whole = study_report(study, records)
    ended = {report.trial: report for report in records.ended}
    confirmation = read_confirmation(study.folder, ended, tell)
    confirmed = None if confirmation is None else confirmed_of(confirmation)
    ensemble = read_ensemble(study.folder, ended, tell)
    combined = None if ensemble is None else combined_of(ensemble)
    results = _results(study)
    ranked = best_first(records.ended, whole.direction)
    found = importances(
        comparable(records.ended, {slot: trial.distributions for slot, trial in results.items()}, whole.direction),
        {parameter.name: parameter.group for parameter in study.space.searched},
        ranked[0].params if ranked else {},
    )
    groups = group_importances(found)
    required = requirements(whole)
    candidates, same = side_by_side(ranked[:CANDIDATES])
    return SearchReport(
        created=created,
        study=whole,
        pruned_by=study.plan.pruned_by,
        summary=summary(whole, found, groups, required, confirmed, combined),
        requirements=required,
        importances=found,
        groups=groups,
        domains=domains(results.values()),
        candidates=candidates,
        same=same,
        confirmed=confirmed,
        combined=combined,
        storage=storage_of(study.folder, whole.peak_disk_bytes),
        trials=rows(records, {slot: trial.intermediate_values for slot, trial in results.items()}, whole.direction),
    )


def domains(trials: Collection[FrozenTrial]) -> dict[str, Domain]:
    """What each parameter that was drawn can be: within a study that never changes."""
    found = {name: one for trial in trials for name, one in trial.distributions.items()}
    return {name: domain_of(found[name]) for name in sorted(found)}


def rows(records: Records, curves: Mapping[int, Mapping[int, float]], direction: str) -> list[TrialRow]:
    """The ended trials.

    Args:
        records: Of the study.
        curves: What each reported, by its number and by epoch.
        direction: ``minimize`` or ``maximize``.
    """
    better = min if direction == "minimize" else max
    best: float | None = None
    made = []
    for report in records.ended:
        if report.state == "COMPLETE" and report.value is not None:
            best = report.value if best is None else better(best, report.value)
        made.append(
            TrialRow(
                trial=report.trial,
                state=report.state,
                reason=report.reason,
                value=report.value,
                best=best,
                objectives=report.objectives,
                epochs=report.epochs,
                stopped_early=report.stopped_early,
                curve=sorted((step, value) for step, value in curves.get(report.trial, {}).items()),
                ended=report.created,
                seconds=report.seconds.fits,
                memory_gb=report.memory_gb,
                params=report.params,
            )
        )
    return made


def side_by_side(best: Sequence[TrialReport]) -> tuple[list[Candidate], dict[str, JsonValue]]:
    """The best trials with the settings in which they differ, and the settings that all have and share.

    Args:
        best: Complete ones, the best first.
    """
    keys = sorted({key for report in best for key in report.settings})
    absent = object()  # a setting may be null, which is something else than not set
    shared = {
        key for key in keys if len({repr(report.settings.get(key, absent)) for report in best}) == 1
    }  # of those that all have: where it is absent in one, another has it
    made = [
        Candidate(
            trial=report.trial,
            value=_value(report),
            objectives=report.objectives,
            differs={key: report.settings.get(key) for key in keys if key not in shared},
        )
        for report in best
    ]
    return made, {key: best[0].settings[key] for key in keys if key in shared}


def _value(report: TrialReport) -> float:
    assert report.value is not None
    return report.value


def _results(study: Study) -> dict[int, FrozenTrial]:
    """The attempts that ended as results, by the number of their trial."""
    found: dict[int, FrozenTrial] = {}
    for trial in study.optuna.get_trials(deepcopy=False):
        slot: Any = trial.system_attrs.get(SLOT)
        if slot is not None and trial.state.is_finished() and not is_lost(trial):
            found[slot] = trial
    return found
