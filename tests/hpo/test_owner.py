import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from redsm5.hpo.owner import Owner

OWNER = "from redsm5.hpo.owner import Owner; print(Owner.this_process().to_json())"


def test_is_gone_knows_a_process_that_ended(dead_owner):
    assert dead_owner.is_gone


def test_is_gone_is_false_for_this_process():
    assert not Owner.this_process().is_gone


def test_nothing_is_known_of_a_process_that_the_system_hides(monkeypatch):
    owner = Owner.this_process()
    read = Path.read_text

    def hidden(path, **kwargs):
        if path.name == "stat":
            raise FileNotFoundError(path)
        return read(path, **kwargs)

    monkeypatch.setattr(Path, "read_text", hidden)
    assert not owner.is_gone


def test_is_gone_when_the_id_was_given_out_again():
    assert dataclasses.replace(Owner.this_process(), started="1").is_gone


def test_nothing_is_known_of_another_boot_or_other_process_ids(dead_owner):
    for field in ("boot", "namespace"):
        assert not dataclasses.replace(dead_owner, **{field: "another"}).is_gone
    assert not dataclasses.replace(dead_owner, boot="").is_gone


def test_is_gone_for_what_its_parent_has_not_yet_taken_notice_of_but_not_for_a_stopped_one():
    code = f"{OWNER}; import sys, time; sys.stdout.flush(); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    owner = Owner.from_json(child.stdout.readline())
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(0.05)
    assert not owner.is_gone
    child.kill()
    for _ in range(100):
        if owner.is_gone:
            break
        time.sleep(0.02)
    assert owner.is_gone  # a zombie still
    child.wait()
    assert owner.is_gone


def test_owners_of_one_process_are_two_and_survive_the_database():
    first, second = Owner.this_process(), Owner.this_process()
    assert first != second
    assert Owner.from_json(first.to_json()) == first
