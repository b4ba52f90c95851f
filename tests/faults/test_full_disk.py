"""A disk that fills up: the training stops with a sentence, nothing good is lost, and the same command goes on."""

import subprocess

import pytest
from fault_child import POINTS
from run_outcomes import assert_equal, outcome

from redsm5.run.folder import RunFolder


@pytest.fixture
def disk(tmp_path):
    """A file system of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_run_that_cannot_fit_is_refused_before_it_trains(call, command, disk, tmp_path):
    assert call(command(disk / "run")) == 2
    said = (tmp_path / "log").read_text()
    assert "no room for a checkpoint of" in said
    assert f"on the disk of {disk / 'run'}" in said
    assert "epoch 0" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("point", "nth", "blind"),
    [("training", 5, False), ("writing tensors", 4, True), ("metrics", 2, True), ("evaluation", 1, False)],
)
def test_disk_that_fills_up_stops_the_run_until_there_is_room(call, command, whole, disk, tmp_path, point, nth, blind):
    assert point in POINTS
    args = command(disk / "run")
    code = call(args, fault=(point, nth, disk, blind))
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    assert code == 2
    # Where it is foreseen, older checkpoints go first, which may make room for this one and not for what comes next.
    assert "cannot write" in said or (not blind and "no room for a checkpoint" in said)
    assert RunFolder(disk / "run").kept.entries("resume")
    assert not RunFolder(disk / "run").kept.leftovers()
    (disk / "ballast").unlink()
    # Half as large as the margin that is kept free on real disks.
    assert call(args, fault=("going on", 9, disk, True)) == 0, (tmp_path / "log").read_text()[-3000:]
    assert_equal(outcome(disk / "run"), whole[0])
