import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from redsm5.errors import UserError
from redsm5.run import lock
from redsm5.run.lock import LOCK, FolderHeld, Holder, boot_id, run_lock

HOLD = """
import sys, time
from pathlib import Path
from redsm5.run.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """A process that holds the lock of a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def no_flock(monkeypatch):
    """A file system without locks."""

    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def write_holder(folder, **changes):
    values = {"pid": os.getpid(), "host": socket.gethostname(), "boot_id": boot_id(), "started": "2026-01-01T00:00:00"}
    (folder / LOCK).write_text(json.dumps({**values, **changes}))


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_process_is_refused_with_the_pid_and_host_of_the_first(held, tmp_path):
    said = rf"^process {held.pid} on host {socket.gethostname()} is at work in {tmp_path} since \d{{4}}-.*; wait for it"
    with pytest.raises(FolderHeld, match=said) as refused, run_lock(tmp_path):
        pass
    assert refused.value.lives
    write_holder(tmp_path, host="elsewhere")
    with pytest.raises(FolderHeld, match="on host elsewhere") as refused, run_lock(tmp_path):
        pass
    assert refused.value.lives  # the file system says so


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_lock_of_a_killed_process_is_taken_over(held, tmp_path, how):
    held.send_signal(how)
    held.wait()
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == held.pid  # it could not clean up
    with run_lock(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("changes", [{}, {"boot_id": "another"}, {"host": "another"}, {"pid": "damaged"}])
def test_with_flock_what_stands_in_the_file_decides_nothing(tmp_path, changes):
    write_holder(tmp_path, **changes)
    with run_lock(tmp_path):
        pass


@pytest.mark.parametrize("changes", [lambda: {"boot_id": "another"}, lambda: {"pid": dead_pid()}, lambda: {"pid": "?"}])
def test_without_flock_another_boot_a_dead_process_and_nonsense_are_taken_over(no_flock, tmp_path, changes):
    write_holder(tmp_path, **changes())
    with run_lock(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text()) == {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "boot_id": boot_id(),
            "started": json.loads((tmp_path / LOCK).read_text())["started"],
        }
    assert list(tmp_path.iterdir()) == []


def test_without_flock_a_living_process_is_refused(no_flock, held, tmp_path):
    with pytest.raises(UserError, match=f"^process {held.pid} on host .*; wait for it, or"), run_lock(tmp_path):
        pass
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == held.pid
    held.kill()
    held.wait()
    with run_lock(tmp_path):
        pass


def test_without_flock_another_host_is_refused_with_what_to_do(no_flock, tmp_path):
    write_holder(tmp_path, host="elsewhere", pid=dead_pid())
    with (
        pytest.raises(FolderHeld, match=rf"on host elsewhere .* or remove {tmp_path}/.lock if that") as refused,
        run_lock(tmp_path),
    ):
        pass
    assert not refused.value.lives
    (tmp_path / LOCK).unlink()
    with run_lock(tmp_path), pytest.raises(UserError, match=f"process {os.getpid()} "), run_lock(tmp_path):
        pass


def test_without_flock_a_file_that_another_process_has_replaced_stays(no_flock, tmp_path, monkeypatch):
    """The other one is faster: it takes over the stale file after this process has judged it."""
    write_holder(tmp_path, boot_id="another")
    parsed, judged = lock._parsed, []

    def replace_meanwhile(content):
        holder = parsed(content)
        if not judged:
            judged.append(holder)
            write_holder(tmp_path, host="faster")
        return holder

    monkeypatch.setattr(lock, "_parsed", replace_meanwhile)
    with pytest.raises(UserError, match="on host faster"), run_lock(tmp_path):
        pass
    assert json.loads((tmp_path / LOCK).read_text())["host"] == "faster"


def count_up(folder, flock):
    if not flock:
        fcntl.flock = lambda descriptor, operation: (_ for _ in ()).throw(OSError(errno.ENOTSUP, "not supported"))
    done = 0
    while done < 20:
        try:
            with run_lock(folder):
                value = int((folder / "counter").read_text())
                time.sleep(0.001)
                (folder / "counter").write_text(str(value + 1))
                done += 1
        except UserError:
            time.sleep(0.0005)


@pytest.mark.parametrize("flock", [True, False])
def test_processes_that_race_for_a_folder_have_it_one_after_the_other(tmp_path, flock):
    (tmp_path / "counter").write_text("0")
    processes = [multiprocessing.get_context("fork").Process(target=count_up, args=(tmp_path, flock)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "60"


def test_ranks_of_one_run_do_not_ask(held, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with run_lock(tmp_path):
        pass


def test_holder_of_another_user_is_not_gone(monkeypatch):
    def forbidden(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert not Holder.this_process().is_gone


def test_a_forked_process_does_not_hold_the_lock_beyond_its_parent(tmp_path):
    """Processes that load data notice seconds later that the fit, which was killed, is gone."""
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom redsm5.run.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n"
        "    if os.fork() == 0:\n        print('forked', flush=True)\n        time.sleep(60)\n        os._exit(0)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        with pytest.raises(UserError, match=f"process {process.pid} "), run_lock(tmp_path):
            pass
        process.kill()
        process.wait()
        with run_lock(tmp_path):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_forked_process_that_leaves_the_block_lets_its_parent_hold_the_lock(tmp_path):
    try:
        with run_lock(tmp_path):
            if (child := os.fork()) == 0:
                raise InterruptedError
            os.waitpid(child, 0)
            assert (tmp_path / LOCK).exists()
    except InterruptedError:
        os._exit(0)
