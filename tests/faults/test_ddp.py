"""Two processes share a training: stopped in mid-epoch, they go on as if they had not been."""

import os
import signal
import subprocess
import sys
import time

import pytest

from redsm5.metrics_csv import read_rows
from redsm5.run.folder import RunFolder

MORE = ("--trainer.devices=2", "--trainer.strategy=ddp")


def begin(args):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-m", "redsm5", *args], env=environment, **settings)


def figures(run):
    return [row for row in read_rows(RunFolder(run).metrics) if row.name != "seconds"]


@pytest.mark.slow
def test_two_processes_stopped_in_mid_epoch_go_on_to_the_same(command, tmp_path):
    whole = begin(command(tmp_path / "whole", *MORE))
    said, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, said[-3000:]
    cut = begin(command(tmp_path / "cut", *MORE))
    folder, until = RunFolder(tmp_path / "cut"), time.monotonic() + 300
    while not folder.kept.entries("resume") and time.monotonic() < until:
        time.sleep(0.02)
    cut.send_signal(signal.SIGTERM)
    said, _ = cut.communicate(timeout=300)
    assert cut.returncode == 128 + signal.SIGTERM, said[-3000:]
    assert "stopped " in said
    again = begin(command(tmp_path / "cut", *MORE))
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said[-3000:]
    assert "going on from" in said
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")
    assert folder.predictions("val").read_text() == RunFolder(tmp_path / "whole").predictions("val").read_text()
