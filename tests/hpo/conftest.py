import subprocess
import sys

import optuna
import pytest
from postgres import Postgres

from redsm5.hpo.owner import Owner

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
