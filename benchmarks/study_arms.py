"""The arms of ``study.py``, each in its own process, on a copy of the same study."""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
from measure import write_json
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from redsm5.hpo.leases import Leases
from redsm5.hpo.sampling import Sampling, make_pruner, make_sampler
from redsm5.hpo.storage import open_storage

STEPS = 10
COMMON, SWITCHES, CHOICES, OWN = 16, 10, "abcd", 2
"""16 parameters that all trials have; 10 categorical ones of 4 choices, each of which has 2 of its own: 106."""


def define(trial: Trial) -> None:
    """Draw a trial of the conditional space."""
    for index in range(COMMON):
        trial.suggest_float(f"common{index}", 1e-6, 1e-2, log=True)
    for index in range(SWITCHES):
        choice = trial.suggest_categorical(f"switch{index}", list(CHOICES))
        for own in range(OWN):
            trial.suggest_float(f"switch{index}-{choice}{own}", 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("arm", "work", "result"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("at", "trials"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    random.seed(0)
    made = Path(args.work) / "made.db"
    if args.arm == "make":
        make(f"sqlite:///{made}", args.at)
        active = COMMON + SWITCHES * (1 + OWN)
        dimensions = COMMON + SWITCHES * (1 + OWN * len(CHOICES))
        write_json(args.result, {"dimensions": dimensions, "active": active})
        return
    copy = Path(args.work) / f"{args.arm}.db"
    shutil.copyfile(made, copy)
    clock = Clock()
    (ours if args.arm == "ours" else plain)(f"sqlite:///{copy}", args.trials, clock)
    write_json(args.result, {part: seconds / args.trials for part, seconds in clock.seconds.items()})


class Clock:
    """Seconds of each part, summed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs in this context is a part."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        passed = {"all": time.perf_counter() - wall, "processor": time.process_time() - processor}
        for key, seconds in {**passed, name: passed["all"]}.items():
            self.seconds[key] = self.seconds.get(key, 0.0) + seconds


def make(url: str, at: int) -> None:
    """A study of random trials, a third of them pruned."""
    storage = open_storage(url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "study")
    leases = Leases(storage, study_id)
    sampling = Sampling(storage, study_id, seed=1, sampler="RandomSampler")
    for index in range(at):
        claim = leases.claim(at)
        assert claim is not None
        attempt = leases.attempt(claim, lambda slot: sampling.draw(slot, define))
        for step in range(STEPS // 2 if index % 3 == 0 else STEPS):
            leases.report(attempt, step, random.random())
        state = TrialState.PRUNED if index % 3 == 0 else TrialState.COMPLETE
        leases.finish(attempt, state, random.random())
    storage.engine.dispose()


def ours(url: str, trials: int, clock: Clock) -> None:
    """As a worker of ``redsm5 hpo`` does it, without the trial."""
    storage = open_storage(url)
    study_id = storage.get_study_id_from_name("study")
    leases, sampling = Leases(storage, study_id), Sampling(storage, study_id, seed=1)
    for index in range(trials + 1):
        timed = clock if index else Clock()  # the first reads all trials before it
        with timed.part("claim"):
            claim = leases.claim(10**9)
        assert claim is not None
        with timed.part("draw"):
            attempt = leases.attempt(claim, lambda slot: sampling.draw(slot, define))
        with timed.part("reports"):
            for step in range(STEPS):
                leases.report(attempt, step, random.random())
                sampling.prunes(attempt)
        with timed.part("tell"):
            leases.finish(attempt, TrialState.COMPLETE, random.random())


def plain(url: str, trials: int, clock: Clock) -> None:
    """As Optuna's documentation does it; the storage as it comes."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # SQLite's default, which ours changed in the file
    study = optuna.load_study(
        study_name="study",
        storage=url,
        sampler=make_sampler("TPESampler", {}, 1),
        pruner=make_pruner("MedianPruner", {}),
    )
    for index in range(trials + 1):
        timed = clock if index else Clock()
        with timed.part("claim"):
            trial = study.ask()
        with timed.part("draw"):
            define(trial)
        with timed.part("reports"):
            for step in range(STEPS):
                trial.report(random.random(), step)
                trial.should_prune()
        with timed.part("tell"):
            study.tell(trial, random.random())


if __name__ == "__main__":
    main()
