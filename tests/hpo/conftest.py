import shutil
import subprocess
import sys
from dataclasses import replace

import optuna
import pytest
from postgres import Postgres
from stand_in import begin, fit

from redsm5.hpo import finish, worker
from redsm5.hpo.owner import Owner
from redsm5.hpo.study import load_study
from redsm5.hpo.trial_process import TrialProcess

OWNER = "from redsm5.hpo.owner import Owner; print(Owner.this_process().to_json())"


@pytest.fixture(scope="session")
def dead_owner():
    """A process of this host that has ended."""
    done = subprocess.run([sys.executable, "-c", OWNER], check=True, capture_output=True, text=True)
    return Owner.from_json(done.stdout)


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def begun(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        yield begin(tiny_corpus_dir, tiny_encoder, folder, patch, lease_seconds=60.0), folder / "study"


@pytest.fixture
def study(begun, tmp_path, monkeypatch):
    """A study of three trials that was begun."""
    settings, folder = begun
    shutil.copytree(folder, tmp_path / "study")
    monkeypatch.setattr(TrialProcess, "run", fit)
    monkeypatch.setattr(worker, "WAIT", 0.05)
    found = load_study(replace(settings, study_dir=str(tmp_path / "study")))
    yield found
    found.storage.engine.dispose()


@pytest.fixture
def untested(monkeypatch):
    """Tests of the best trial are stood in for; calls in order."""
    calls = []
    monkeypatch.setattr(finish, "_test", lambda run, log: calls.append(run))
    monkeypatch.setattr(finish, "read_report", lambda path: type("Report", (), {"evaluations": {}}))
    return calls
