import os
import stat

import pytest

from redsm5.atomic import atomic_file, write_text_atomically
from redsm5.errors import UserError


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_text_atomically(path, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="No space left"):
        write_text_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_write_replaces_the_file_and_sets_the_mode(tmp_path):
    path = tmp_path / "predictions.jsonl"
    write_text_atomically(path, "old")
    write_text_atomically(path, "new – ü\n", mode=0o600)
    assert path.read_bytes() == "new – ü\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_write_into_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="No such file or directory; check its folder"):
        write_text_atomically(tmp_path / "nowhere" / "report.json", "x")


def test_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"old")

    def write_half():
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_half()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]
