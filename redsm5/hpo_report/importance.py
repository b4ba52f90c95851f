"""Which parameters mattered: PED-ANOVA over the trials of a study."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from redsm5.hpo_report.models import Group, Importance
from redsm5.report.study_models import TrialReport

FEWEST = 10
"""Trials with a value below which a best tenth says nothing."""


def comparable(
    reports: Sequence[TrialReport],
    distributions: Mapping[int, Mapping[str, BaseDistribution]],
    direction: Literal["minimize", "maximize"],
) -> optuna.Study:
    """The trials with a value as a study of Optuna's in memory, with one objective.

    Pruned trials are in it with the best value that they reached: without them what was given up early would look as
    if it had never been tried.

    Args:
        reports: Of ended trials.
        distributions: Of each trial's parameters, by its number.
        direction: ``minimize`` or ``maximize``.
    """
    study = optuna.create_study(direction=direction)
    study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE,
                value=report.value,
                params=dict(report.params),
                distributions=dict(distributions[report.trial]),
            )
            for report in reports
            if report.value is not None and report.state != "FAIL"
        ]
    )
    return study


def importances(study: optuna.Study, groups: Mapping[str, str], best: Mapping[str, object]) -> list[Importance]:
    """How much each parameter decides whether a trial is among the best tenth, the largest first.

    PED-ANOVA (Watanabe, Bansal and Hutter 2023), with parameters that are not always active as in its conditional form
    (Optuna's implementation of both). Empty where too few trials have a value.

    Args:
        study: Of ``comparable``.
        groups: Group of each parameter.
        best: What the best trial drew.
    """
    trials = study.get_trials(deepcopy=False)
    if len(trials) < FEWEST:
        return []
    assert study.direction in (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that parts of it are new
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    made = [
        Importance(
            name=name,
            group=groups.get(name, ""),
            importance=min(1.0, share),
            active=sum(name in trial.params for trial in trials) / len(trials),
            best=best.get(name),  # type: ignore[arg-type]
        )
        for name, share in found.items()
    ]
    return sorted(made, key=lambda one: -one.importance)


def group_importances(found: Sequence[Importance]) -> list[Group]:
    """Sums over the groups of the space, the largest first."""
    members: dict[str, list[float]] = defaultdict(list)
    for one in found:
        members[one.group].append(one.importance)
    made = [Group(name=name, importance=min(1.0, sum(parts)), parameters=len(parts)) for name, parts in members.items()]
    return sorted(made, key=lambda one: -one.importance)
