"""Workers that are killed at random and replaced, until the study is done."""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter

import optuna
from optuna.trial import TrialState
from storm_worker import STEPS, value_at

from redsm5.hpo.attempts import LOST, SLOT
from redsm5.hpo.storage import open_storage

CONTEXT = multiprocessing.get_context("fork")


class NotDone(Exception):
    """The study did not come to its end."""


def make_study(url):
    storage = open_storage(url)
    storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "study")
    storage.engine.dispose()


def start(target, url, budget, **options):
    worker = CONTEXT.Process(target=target, args=(url, budget), kwargs=options, daemon=True)
    worker.start()
    return worker


def storm(target, url, budget, *, workers, kills, every, stop_for=0.0, seconds=120, between=lambda killed: None):
    """Kill so many workers, each replaced at once; how many were killed, and the exit codes of those that were not.

    With ``stop_for``, after every fifth kill another one is stopped for so many seconds and woken.
    """
    random.seed(int(os.environ.get("STORM_SEED", "1")))
    asleep = {}
    running = [start(target, url, budget, elsewhere=n % 2 == 1) for n in range(workers)]
    killed, codes, end, next_kill = 0, [], time.monotonic() + seconds, time.monotonic() + 0.3
    try:
        while running:
            if time.monotonic() > end:
                raise NotDone(f"after {seconds} s and {killed} kills")
            time.sleep(0.02)
            for worker in [worker for worker in running if worker.exitcode is not None]:
                running.remove(worker)
                codes.append(worker.exitcode)
            for pid in [pid for pid, wake in asleep.items() if time.monotonic() > wake]:
                del asleep[pid]
                os.kill(pid, signal.SIGCONT)
            if running and killed < kills and time.monotonic() > next_kill:
                victim = random.choice(running)
                os.kill(victim.pid, signal.SIGKILL)
                victim.join()
                running.remove(victim)
                asleep.pop(victim.pid, None)
                killed += 1
                running.append(start(target, url, budget, elsewhere=killed % 2 == 1))
                next_kill = time.monotonic() + random.expovariate(1 / every)
                between(killed)
                if stop_for and killed % 5 == 0:
                    pid = random.choice(running).pid
                    os.kill(pid, signal.SIGSTOP)
                    asleep[pid] = time.monotonic() + stop_for
    finally:
        for worker in running:
            worker.kill()
            worker.join()
    return killed, codes


def trials_of(url):
    storage = open_storage(url)
    trials = storage.get_all_trials(storage.get_study_id_from_name("study"))
    storage.engine.dispose()
    return trials


def states_of(url):
    """How many trials of a study are in each state."""
    return Counter(trial.state for trial in trials_of(url))


def faults(url, budget):
    """What is wrong with a study that says it is done; by slot where there are slots."""
    trials = trials_of(url)
    found = []
    states = Counter(trial.state for trial in trials)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) != budget:
        found.append(f"{len(complete)} complete instead of {budget}")
    for state in (TrialState.RUNNING, TrialState.WAITING):
        if states[state]:
            found.append(f"{states[state]} left {state.name}")
    for trial in complete:
        expected = {step: value_at(trial.params["x"], step) for step in range(STEPS)}
        if trial.intermediate_values != expected or trial.value != trial.params["x"]:
            found.append(f"trial {trial.number} has other values than its own")
    if any(SLOT in trial.system_attrs for trial in trials):
        slots = Counter(trial.system_attrs[SLOT] for trial in complete)
        if slots != Counter(range(budget)):
            found.append(f"slots complete other than once: {slots - Counter(range(budget))}")
        found += [f"trial {t.number} failed" for t in trials if t.state == TrialState.FAIL and LOST not in t.user_attrs]
    return found
