"""Which parameters mattered: PED-ANOVA over the trials of a study, and what of it chance explains."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState, create_trial

from redsm5.hpo_report.models import Group, Importance
from redsm5.metrics.paired import FloatArray
from redsm5.report.study_models import TrialReport

FEWEST = 50
"""Trials with a value below which the best tenth, then less than five, says nothing."""
ACTIVE = 20
"""Trials in which a parameter must have been active to be compared."""
TOP = 5
"""Trials of the best tenth in which it must have been: Optuna's own advice."""
TENTH = 0.1
SHUFFLES = 20
BLOCK = 20
"""Trials that follow one another, among which values are shuffled."""
CHANCE = 0.95
"""Share of the shuffles in which no parameter reaches its floor."""


def comparable(
    reports: Sequence[TrialReport],
    distributions: Mapping[int, Mapping[str, BaseDistribution]],
    direction: Literal["minimize", "maximize"],
) -> optuna.Study:
    """The trials with a value as a study of Optuna's in memory, with one objective, of which less is better.

    Pruned trials are in it with the best value that they reached: without them what was given up early would look as
    if it had never been tried.

    Args:
        reports: Of ended trials.
        distributions: Of each trial's parameters, by its number.
        direction: ``minimize`` or ``maximize``.
    """
    sign = 1 if direction == "minimize" else -1
    study = optuna.create_study(direction="minimize")
    study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE,
                value=sign * report.value,
                params=dict(report.params),
                distributions=dict(distributions[report.trial]),
            )
            for report in reports
            if report.value is not None and report.state != "FAIL"
        ]
    )
    one: dict[BaseDistribution, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):  # the same object for equal ones: comparing them is what takes time
        trial.distributions = {name: one.setdefault(found, found) for name, found in trial.distributions.items()}
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
    values = np.array([trial.value for trial in trials])
    names = _names(trials, values)
    found = _divergences(study, values, names)
    whole = found.sum()
    if whole <= 0:
        return []
    draw = np.random.default_rng(0)
    shuffled = np.stack([_divergences(study, within_blocks(values, draw), names) for _ in range(SHUFFLES)])
    floors = floors_of(shuffled)
    made = [
        Importance(
            name=name,
            group=groups.get(name, ""),
            importance=min(1.0, found[place] / whole),
            floor=floors[place] / whole,
            active=sum(name in trial.params for trial in trials) / len(trials),
            best=best.get(name),  # type: ignore[arg-type]
        )
        for place, name in enumerate(names)
    ]
    return sorted(made, key=lambda one: (-one.importance, one.name))


def within_blocks(values: FloatArray, draw: np.random.Generator) -> FloatArray:
    """Values shuffled among trials that follow one another, in blocks of ``BLOCK``, of which the last may be shorter.

    Not among all: a sampler that learns finds better values as it goes on, and narrows what it draws, of parameters
    that do nothing too. What goes with the course of the search alone is in the shuffles as it is in the trials
    (restricted permutations; Good 2005, chapter 3).

    Args:
        values: [trials], in the order of the search.
        draw: Draws the shuffles.

    Returns:
        [trials].
    """
    return np.concatenate([draw.permutation(values[at : at + BLOCK]) for at in range(0, len(values), BLOCK)])


def floors_of(shuffled: FloatArray) -> FloatArray:
    """What chance alone reaches of each parameter, such that in 95 % of the shuffles it reaches none of the floors.

    The scales of chance differ: a number that can be anything comes to more than a choice of two. So each parameter is
    measured by the mean and deviation of its own (single-step maxT; Westfall and Young 1993, section 2.5).

    Args:
        shuffled: [shuffles, parameters] of divergences, with values that have nothing to do with the parameters.

    Returns:
        [parameters].
    """
    means, deviations = shuffled.mean(0), shuffled.std(0)
    scaled = (shuffled - means) / np.where(deviations > 0, deviations, 1.0)
    floors: FloatArray = means + np.quantile(scaled.max(1), CHANCE) * deviations
    return floors


def group_importances(found: Sequence[Importance]) -> list[Group]:
    """Sums over the groups of the space, the largest first, of what is above the floors.

    Without the floors a group would be the more important the more parameters it has: chance gives each a share.
    """
    members: dict[str, list[float]] = defaultdict(list)
    for one in found:
        members[one.group].append(max(0.0, one.importance - one.floor))
    made = [Group(name=name, importance=min(1.0, sum(parts)), parameters=len(parts)) for name, parts in members.items()]
    return sorted(made, key=lambda one: (-one.importance, one.name))


def _names(trials: Sequence[FrozenTrial], values: FloatArray) -> list[str]:
    """Parameters that were active in enough trials, and in enough of the best tenth."""
    cutoff = np.sort(values)[math.ceil(TENTH * len(values)) - 1]
    top = [trial for trial, value in zip(trials, values, strict=True) if value <= cutoff]
    every = sorted({name for trial in trials for name in trial.params})
    return [
        name
        for name in every
        if sum(name in trial.params for trial in trials) >= ACTIVE and sum(name in trial.params for trial in top) >= TOP
    ]


def _divergences(study: optuna.Study, values: FloatArray, names: list[str]) -> FloatArray:
    """PED-ANOVA's divergences, not scaled to a sum of 1, of trials that have these values, by their numbers.

    Returns:
        One per name.
    """
    if not names:
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that parts of it are new, and that a target should be minimised
        found = PedAnovaImportanceEvaluator(target_quantile=TENTH).evaluate(
            study, names, target=lambda trial: float(values[trial.number])
        )
    return np.array([found[name] for name in names])
