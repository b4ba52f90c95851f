"""Sampler and pruner of a study, by class name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial


def make_sampler(text, seed):
    return TPESampler(seed=seed)


def make_pruner(text):
    return optuna.pruners.MedianPruner(n_startup_trials=10, n_warmup_steps=2)


class Sampling:
    def __init__(self, sampler: str, pruner: str, seed: int) -> None:
        self.seed = seed

    def draw(self, study: optuna.Study, slot: int, draw: Callable[[Any], Any]) -> FrozenTrial:
        seed = int.from_bytes(hashlib.sha256(f"{self.seed} {slot}".encode()).digest()[:4], "big")
        sampler = TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=20, warn_independent_sampling=False)
        frozen = create_trial(state=TrialState.RUNNING)
        frozen.number = 10**9
        space = sampler.infer_relative_search_space(study, frozen)
        drawer = _Drawer(study, sampler, frozen, sampler.sample_relative(study, frozen, space), space)
        draw(drawer)
        return create_trial(state=TrialState.RUNNING, params=drawer.params, distributions=drawer.distributions)

    def prunes(self, study: optuna.Study, trial_id: int) -> bool:
        return study.pruner.prune(study, study._storage.get_trial(trial_id))


class _Drawer:
    def __init__(self, study, sampler: BaseSampler, frozen, relative, space) -> None:
        self.study, self.sampler, self.frozen, self.relative, self.space = study, sampler, frozen, relative, space
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def _suggest(self, name, distribution):
        if name not in self.params:
            if name in self.relative and self.space[name] == distribution:
                value = self.relative[name]
            else:
                value = self.sampler.sample_independent(self.study, self.frozen, name, distribution)
            self.params[name] = value
            self.distributions[name] = distribution
        return self.params[name]

    def suggest_categorical(self, name, choices):
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_float(self, name, low, high, *, step=None, log=False):
        return self._suggest(name, FloatDistribution(low, high, log=log, step=step))

    def suggest_int(self, name, low, high, *, step=1, log=False):
        return self._suggest(name, IntDistribution(low, high, log=log, step=step))
