"""The real workers, killed at random while their fits are stood in for, and the server killed with them."""

import json
import time
from functools import partial

import pytest
from optuna.trial import TrialState
from stand_in import begin, work
from storm import storm
from storm_log import StormLog

from redsm5.hpo import finish
from redsm5.hpo.attempts import SLOT, is_lost
from redsm5.hpo.records import read_records
from redsm5.hpo.study import load_study
from redsm5.metrics_csv import read_epochs

KEEP = 3
TRIALS = 80
"""So many that a fast machine does not end them before the kills."""


def faults(settings, budget, monkeypatch):
    """What is wrong with a study whose workers have ended, after the search has finished it."""
    study = load_study(settings)
    monkeypatch.setattr(finish, "_test", lambda run, log: None)
    monkeypatch.setattr(finish, "read_report", lambda path: type("Report", (), {"evaluations": {}}))
    finish.finish(study, lambda _: None)
    trials = study.optuna.get_trials()
    records = read_records(study.optuna)
    study.storage.engine.dispose()
    found = StormLog(study.folder / "storm.log").faults()
    if left := [trial.number for trial in trials if not trial.state.is_finished()]:
        found.append(f"{left} are left running")
    results = sorted(trial.system_attrs[SLOT] for trial in trials if trial.state.is_finished() and not is_lost(trial))
    if results != list(range(budget)):
        found.append(f"results of {results}")
    for report in records.ended:
        folder = study.folder / "trials" / f"{report.trial:05d}"
        if not (path := folder / "report.json").exists():
            found.append(f"trial {report.trial} has no report")
        elif json.loads(path.read_text(encoding="utf-8")) != report.model_dump(mode="json"):
            found.append(f"trial {report.trial} has the report of another attempt")
        if (left := [path.name for path in folder.iterdir() if path.is_dir()]) != [report.run.rpartition("/")[2]]:
            found.append(f"trial {report.trial} has the folders {left}")
        epochs = [row["epoch"] for row in read_epochs(study.folder / report.run / "metrics.csv")]
        if epochs != list(range(report.epochs)):
            found.append(f"trial {report.trial} has the epochs {epochs}")
    weights = {path.parts[-4] for path in study.folder.glob("trials/*/attempt-*/checkpoints/*")}
    if len(weights) > KEEP:
        found.append(f"{len(weights)} trials have weights")
    states = {state.name: sum(t.state == state and not is_lost(t) for t in trials) for state in TrialState}
    print(f"{budget} trials: {states}, {records.lost} lost attempts; {len(weights)} with weights; faults: {found}")
    return found


@pytest.mark.slow
def test_real_workers_killed_on_sqlite_leave_an_exact_study(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    settings = begin(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch, n_trials=TRIALS, keep=KEEP, max_failed=1.0)
    began = time.monotonic()
    killed, codes = storm(
        partial(work, settings=settings), settings.url, TRIALS, workers=3, kills=40, every=0.5, seconds=500
    )
    print(f"SQLite: {killed} workers killed in {time.monotonic() - began:.0f} s")
    assert set(codes) == {0}
    assert killed > 20
    assert faults(settings, TRIALS, monkeypatch) == []


@pytest.mark.slow
def test_real_workers_and_the_server_killed_leave_an_exact_study(
    tiny_corpus_dir, tiny_encoder, tmp_path, postgres, monkeypatch
):
    settings = begin(
        tiny_corpus_dir,
        tiny_encoder,
        tmp_path,
        monkeypatch,
        n_trials=TRIALS,
        keep=KEEP,
        max_failed=1.0,
        storage=postgres.new_url(),
    )
    began, outages = time.monotonic(), []

    def between(killed):
        if killed in (5, 15):  # for less and for more than a lease
            postgres.kill()
            time.sleep(0.5 if not outages else 2 * settings.lease_seconds)
            postgres.start()
            outages.append(killed)

    killed, codes = storm(
        partial(work, settings=settings),
        settings.url,
        TRIALS,
        workers=4,
        kills=30,
        every=0.5,
        seconds=500,
        between=between,
    )
    print(f"PostgreSQL: {killed} workers and {len(outages)} servers killed in {time.monotonic() - began:.0f} s")
    assert set(codes) == {0}
    assert outages == [5, 15]
    assert faults(settings, TRIALS, monkeypatch) == []
