"""A worker of a study as the real one is, with a stand-in objective; and stock Optuna's for comparison."""

import dataclasses
import random
import time
import uuid

import optuna
from optuna.trial import TrialState

from redsm5.hpo.attempts import Kept
from redsm5.hpo.beating import Beating
from redsm5.hpo.leases import AlreadyDone, Leases, Lost
from redsm5.hpo.owner import Owner
from redsm5.hpo.sampling import Sampling
from redsm5.hpo.storage import Away, insist, open_storage

STEPS = 8
LEASE = 2.0


def define(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    if trial.suggest_categorical("kind", ["plain", "bent"]) == "bent":
        trial.suggest_float("bend", 0.0, 1.0)
    return x


def value_at(x, step):
    return x * (step + 1) / STEPS


def work(url, budget, name="study", elsewhere=False, told=None, log=None):
    """Until the study is done; ``told`` is an event that says when the first trial runs, ``log`` a ``StormLog``."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    owner = Owner.this_process()
    if elsewhere:  # only its beats say that it lives
        owner = dataclasses.replace(owner, boot=uuid.uuid4().hex)
    storage = insist(lambda: opened(url))
    study = insist(lambda: storage_call(storage.get_study_id_from_name, name))
    leases = insist(lambda: Leases(storage, study, lease_seconds=LEASE, owner=owner))
    sampling = insist(lambda: Sampling(storage, study, seed=1, pruner_options={"n_startup_trials": 10**6}))
    while True:
        try:
            claim = leases.claim(budget)
            if claim is None:
                if leases.counts(budget).done >= budget:
                    return
                time.sleep(LEASE / 12)
                continue
            trial(leases, sampling, claim, told, log)
        except (Lost, AlreadyDone):
            continue
        except Away:
            time.sleep(0.2)


def trial(leases, sampling, claim, told, log):
    with Beating(leases, claim, lambda: None) as beating:
        attempt = leases.attempt(
            claim,
            lambda slot: sampling.draw(slot, define),
            keep=lambda earlier: Kept(max(earlier.intermediate_values, default=-1)),
        )
        if told is not None:
            told.set()
        if log is not None:
            log.begins(claim.slot, claim.token)
        kept = attempt.earlier.intermediate_values if attempt.earlier else {}
        for step in range(len(kept), STEPS):
            time.sleep(random.uniform(0.006, 0.025))
            if beating.is_lost:
                raise Lost
            value = value_at(attempt.params["x"], step)
            began = time.monotonic()
            insist(lambda step=step, value=value: leases.report(attempt, step, value), most=0.5)
            if log is not None:
                log.told(claim.slot, claim.token, began)
            insist(lambda: sampling.prunes(attempt), most=0.5)
        insist(lambda: leases.finish(attempt, TrialState.COMPLETE, attempt.params["x"]), most=0.5)


def opened(url):
    try:
        return open_storage(url)
    except Exception as error:
        raise Away(str(error)) from error


def storage_call(function, *args, **kwargs):
    from redsm5.hpo.storage import reaching

    with reaching():
        return function(*args, **kwargs)


def work_as_stock(url, budget, name="study", elsewhere=False, told=None):
    """Optuna's own means: heartbeat, retry of stale trials, a callback that counts."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    import warnings

    warnings.simplefilter("ignore")
    storage = optuna.storages.RDBStorage(
        url.replace("postgresql://", "postgresql+psycopg://"),
        heartbeat_interval=1,
        grace_period=2,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
            inherit_intermediate_values=True
        ),
    )

    def objective(trial):
        x = define(trial)
        for step in range(STEPS):
            time.sleep(random.uniform(0.006, 0.025))
            if step not in trial.storage.get_trial(trial._trial_id).intermediate_values:
                trial.report(value_at(x, step), step)
        return x

    study = optuna.load_study(study_name=name, storage=storage)
    enough = optuna.study.MaxTrialsCallback(budget, states=(TrialState.COMPLETE,))
    if sum(t.state == TrialState.COMPLETE for t in study.trials) < budget:
        study.optimize(objective, callbacks=[enough])
