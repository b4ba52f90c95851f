"""Sampler and pruner of a study, by class name, and what they are shown of it.

A trial is drawn before it is in the database: killed amid it, a worker leaves nothing. It is drawn from (seed of the
study, slot) and the results so far, so that attempts that were lost change nothing.
"""

from __future__ import annotations

import copy
import inspect
import math
import time
import warnings
from bisect import bisect_right
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import accumulate
from typing import Any, cast

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from redsm5.errors import UserError
from redsm5.hpo.attempts import SLOT, TOKEN, is_lost
from redsm5.hpo.leases import Attempt, Lost
from redsm5.hpo.records import REPORT
from redsm5.hpo.storage import reaching

SAMPLER_OPTIONS = {
    "TPESampler": {
        "multivariate": True,
        "group": True,
        "constant_liar": True,
        "n_startup_trials": 50,
        "n_ei_candidates": 2,
    }
}
"""Fewer random trials say little of a hundred dimensions: with 20 TPE once stayed in the first region that was not bad.
More of them are lost to a search of some hundred.
Optuna's 24 candidates are drawn near the best trials, and of them the one nearest to these is taken: with dozens of
categorical dimensions a draw changes none of them any more. Of two, it changes some (docs/hpo.md has the figures)."""
PRUNER_OPTIONS = {"MedianPruner": {"n_startup_trials": 10, "n_warmup_steps": 3}}
"""The first steps say little, so that no trial ends before its fourth; with the ten before it, it may end there."""
ONE_SEED = ("QMCSampler",)
"""Samplers whose points belong to one sequence: they have the study's seed in every trial."""
DRAFT = -1
"""The id of a trial that is in no database."""
SECONDS = 2.0
"""For so long a pruner may look at the same results of the others: reading them costs as much as a short epoch."""
OF_PARAMETERS = ("diverged", "out of memory")
"""Reasons of failures that are the parameters' own. Optuna's samplers leave failures out: with the best rates next to
those that diverge, TPE would draw across that edge for ever."""
LEAST = {"n_startup_trials": 0, "n_ei_candidates": 1}
"""Options that are whole numbers, with the least: Optuna's samplers look at them only when they draw."""
RELATIVE = "tpe:relative_params"
"""Attributes in which TPE announces parameters before they are stored; ours are stored with the trial."""


def sampler_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a sampler: those that are given, over ours."""
    return {**SAMPLER_OPTIONS.get(name, {}), **given}


def pruner_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a pruner."""
    return {**PRUNER_OPTIONS.get(name, {}), **given}


def make_sampler(name: str, options: Mapping[str, Any], seed: int) -> BaseSampler:
    """A sampler of ``optuna.samplers``.

    Args:
        name: Of its class.
        options: Of its constructor, over our defaults.
        seed: Of its draws.

    Raises:
        UserError: There is none of this name, or it does not take these options.
    """
    return cast(BaseSampler, _make("sampler", optuna.samplers, BaseSampler, name, sampler_options(name, options), seed))


def make_pruner(name: str, options: Mapping[str, Any]) -> BasePruner:
    """A pruner of ``optuna.pruners``; the arguments are as for samplers."""
    return cast(BasePruner, _make("pruner", optuna.pruners, BasePruner, name, pruner_options(name, options), None))


def try_to_draw(
    define: Callable[[Trial], object],
    name: str,
    options: Mapping[str, Any],
    directions: Sequence[StudyDirection],
) -> None:
    """Draw a trial of a study that is nowhere: some samplers say only then that they do not take the space.

    Args:
        define: Asks an Optuna trial for the parameters.
        name: Of the sampler's class.
        options: Of its constructor.
        directions: Of the objectives.

    Raises:
        UserError: It cannot draw.
    """
    study = optuna.create_study(directions=directions, sampler=make_sampler(name, options, 0))
    try:
        define(study.ask())
    except (ValueError, TypeError, ImportError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"--sampler {name} cannot draw from this space ({said}); give another, or options") from error


class Sampling:
    """Draws the trials of a study and says which to prune. Methods raise ``Away`` as those of ``Leases`` do.

    Args:
        storage: Of ``open_storage``.
        study_id: In it.
        seed: Of the study.
        sampler: Class name.
        sampler_options: Of its constructor.
        pruner: Class name.
        pruner_options: Of its constructor.
    """

    def __init__(
        self,
        storage: RDBStorage,
        study_id: int,
        *,
        seed: int,
        sampler: str = "TPESampler",
        sampler_options: Mapping[str, Any] | None = None,
        pruner: str = "MedianPruner",
        pruner_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.seed, self.sampler, self.sampler_options = seed, sampler, dict(sampler_options or {})
        make_sampler(self.sampler, self.sampler_options, seed)  # its errors belong before the first trial
        self.pruner = make_pruner(pruner, pruner_options or {})
        with reaching():
            self._name = storage.get_study_name_from_id(study_id)
            directions = storage.get_study_directions(study_id)
        self._seen = _Seen(get_storage(storage), study_id, several=len(directions) > 1)
        self._main = _Main(self._seen, directions[0])

    def draw(self, slot: int, define: Callable[[Trial], object]) -> FrozenTrial:
        """A running trial with its parameters, that is in no database.

        Args:
            slot: Its number.
            define: Asks an Optuna trial for the parameters.
        """
        seed = self.seed if self.sampler in ONE_SEED else seed_of(self.seed, slot)
        with reaching():
            self._seen.read()
            draft = self._seen.own = create_trial(state=TrialState.RUNNING)
            draft.number = slot
            sampler = make_sampler(self.sampler, self.sampler_options, seed)
            define(Trial(self._study(self._seen, sampler), DRAFT))
        draft.system_attrs = {key: value for key, value in draft.system_attrs.items() if not key.startswith(RELATIVE)}
        return draft

    def prunes(self, attempt: Attempt) -> bool:
        """Whether an attempt is to end, as its reports so far compare with those of the others.

        Raises:
            Lost: It was ended by another worker: some pruners note in the trial how far it came.
        """
        with reaching():
            own = self._seen.take_up(attempt)
            own.intermediate_values = dict(attempt.values)
            self._seen.read(within=SECONDS)
            try:
                return self.pruner.prune(self._study(self._main, optuna.samplers.RandomSampler()), own)
            except UpdateFinishedTrialError:
                raise Lost(f"slot {attempt.claim.slot} was taken from this worker") from None

    def _study(self, seen: _Seen | _Main, sampler: BaseSampler) -> optuna.Study:
        return optuna.Study(self._name, cast(BaseStorage, seen), sampler, self.pruner)


def seed_of(seed: int, slot: int) -> int:
    """The seed of a trial's draws, of the study's and the trial's number."""
    return int(np.random.SeedSequence((seed, slot)).generate_state(1)[0])


class _Seen:
    """A storage as sampler and pruner see it: one trial per slot, read once for all that they ask.

    Args:
        storage: The whole.
        study_id: In it.
        several: Whether the study has several objectives. TPE then cannot rank pruned trials by what they reported, and
            is not shown it: they are worse than all others.
    """

    def __init__(self, storage: BaseStorage, study_id: int, *, several: bool) -> None:
        self._storage, self._study_id, self._several = storage, study_id, several
        self._finished: dict[int, FrozenTrial] = {}
        self._trials: list[FrozenTrial] = []
        self._read_at = -math.inf
        self.own = create_trial(state=TrialState.RUNNING)
        """The trial that is drawn, or runs, in this worker"""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def read(self, within: float = 0.0) -> None:
        """Read the study, unless that was done within so many seconds."""
        if time.monotonic() - self._read_at < within:
            return
        slots: dict[int, FrozenTrial] = {}
        for trial in self._storage.get_all_trials(self._study_id, deepcopy=False):
            slot = trial.system_attrs.get(SLOT)
            if slot is None or is_lost(trial):
                continue
            if slot not in slots or _rank(trial) > _rank(slots[slot]):
                slots[slot] = trial
        self._trials = [self._shown(slots[slot], slot) for slot in sorted(slots)]
        self._read_at = time.monotonic()

    def take_up(self, attempt: Attempt) -> FrozenTrial:
        """The trial of an attempt of this worker, which is not read again while it runs."""
        if self.own._trial_id != attempt.trial_id:
            self.own = self._shown(self._storage.get_trial(attempt.trial_id), attempt.claim.slot)
        return self.own

    def _shown(self, trial: FrozenTrial, slot: int) -> FrozenTrial:
        """Numbers of Optuna count lost attempts too, and samplers look at numbers."""
        shown = self._finished.get(trial._trial_id)
        if shown is None:
            shown = copy.copy(trial)
            shown.number = slot
            shown.system_attrs = {key: value for key, value in trial.system_attrs.items() if key not in (SLOT, TOKEN)}
            if _failed_by_parameters(trial):
                shown.state, shown.intermediate_values = TrialState.PRUNED, {}  # TPE ranks it last
            if trial.state.is_finished():
                self._finished[trial._trial_id] = shown
        return shown

    def get_study_id_from_name(self, name: str) -> int:
        return self._study_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found = self.of(states)
        if self._several:
            found = [_silent(trial) if trial.state == TrialState.PRUNED else trial for trial in found]
        return copy.deepcopy(found) if deepcopy else found

    def of(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        """Those in some states, with all that is known of them."""
        return [trial for trial in self._trials if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if trial_id == self.own._trial_id:
            return self.own
        for trial in reversed(self._trials):
            if trial._trial_id == trial_id:
                return trial
        return self._storage.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return self.get_trial(trial_id).system_attrs

    def set_trial_param(self, trial_id: int, *param: object) -> None:
        """A trial notes it in what ``get_trial`` gave it, which is the draft."""

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if trial_id == self.own._trial_id:
            self.own.system_attrs[key] = value
        if trial_id != DRAFT:
            self._storage.set_trial_system_attr(trial_id, key, value)


class _Main:
    """The same as a pruner sees it: of several objectives the main one, which is what trials report.

    Optuna itself neither reports nor prunes where there are several. It also compares the best that a trial has had
    with what those that were trained to their end had at that very step: those that ended earlier are not among them,
    and the others may have been better before. Trials are judged by their best epoch, so they are compared by it: the
    value at a step is the best up to it.
    """

    def __init__(self, seen: _Seen, direction: StudyDirection) -> None:
        self._seen, self._direction = seen, direction
        self._curves: dict[int, _Curve] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seen, name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [self._direction]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        step = max(self._seen.own.intermediate_values, default=0)
        found = [self._shown(trial, step) for trial in self._seen.of(states)]
        return copy.deepcopy(found) if deepcopy else found

    def _shown(self, trial: FrozenTrial, step: int) -> FrozenTrial:
        if trial.state != TrialState.COMPLETE:
            return trial if len(trial._values or ()) <= 1 else _of_main(trial)
        curve = self._curves.get(trial._trial_id)
        if curve is None:  # once: a thousand are shown at every epoch
            curve = self._curves[trial._trial_id] = _Curve(trial, self._direction)
        return curve.at(step)


class _Curve:
    """A trial that was trained to its end, with the best value up to a step as its value there."""

    def __init__(self, trial: FrozenTrial, direction: StudyDirection) -> None:
        self._values = trial.intermediate_values
        self._shown = _of_main(trial)
        known = sorted((step, value) for step, value in self._values.items() if not math.isnan(value))
        self._steps = [step for step, _ in known]
        best = min if direction == StudyDirection.MINIMIZE else max
        self._best = list(accumulate((value for _, value in known), best))

    def at(self, step: int) -> FrozenTrial:
        """The trial at a step, until the next call."""
        before = bisect_right(self._steps, step)
        if before:
            self._shown.intermediate_values = {**self._values, step: self._best[before - 1]}
        return self._shown


def _of_main(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown._values = None if trial._values is None else trial._values[:1]
    return shown


def _silent(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.intermediate_values = {}
    return shown


def _failed_by_parameters(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get(REPORT, {}).get("reason") in OF_PARAMETERS


def _rank(trial: FrozenTrial) -> tuple[bool, int]:
    """Of the attempts at a slot, the result counts; while there is none, the last."""
    return trial.state.is_finished(), trial.system_attrs[TOKEN]


def _make(
    kind: str,
    module: Any,
    base: type,
    name: str,
    options: Mapping[str, Any],
    seed: int | None,
) -> object:
    found = {known: getattr(module, known) for known in module.__all__}
    classes = {
        known: value
        for known, value in found.items()
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }
    if name not in classes:
        raise UserError(f"--{kind} {name} is unknown; choose among {', '.join(sorted(classes))}")
    takes = inspect.signature(classes[name]).parameters
    unknown = sorted(set(options) - set(takes)) or sorted({"seed"} & set(options))
    if unknown:
        accepted = ", ".join(sorted(set(takes) - {"seed"})) or "none"
        raise UserError(f"--{kind}-options: {name} does not take {unknown[0]}; its options are {accepted}")
    for option, least in LEAST.items():
        value = options.get(option, least)
        if type(value) is not int or value < least:
            raise UserError(f"--{kind}-options: {option} is {value}; it takes a whole number of at least {least}")
    given = {**options, **({"seed": seed} if "seed" in takes and seed is not None else {})}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # group=True among them: our choice, not the user's
            return classes[name](**given)
    except ImportError as error:
        raise UserError(
            f"--{kind} {name} needs the package {error.name or 'that optuna names'}, which is not installed; install it"
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"--{kind}-options: {name} refuses {dict(options)}: {' '.join(str(error).split())}") from error
