import os
import stat

import pytest

from redsm5.atomic import atomic_file, refuse_unwritable, write_text_atomically
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


@pytest.mark.parametrize(
    ("name", "says"),
    [("nowhere/r.html", "No such file or directory"), ("", "Is a directory"), ("old/r.html", "Not a directory")],
)
def test_refuse_unwritable_says_before_the_work_what_writing_would_after_it(tmp_path, name, says):
    (tmp_path / "old").write_text("old")
    for call in (refuse_unwritable, lambda path: write_text_atomically(path, "x")):
        with pytest.raises(UserError, match=f"{says}; check its folder"):
            call(tmp_path / name)
    refuse_unwritable(tmp_path / "old")
    refuse_unwritable(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


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
