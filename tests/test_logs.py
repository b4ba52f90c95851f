import json
import logging
import math
import os
import warnings
from datetime import UTC, datetime, timedelta

import pytest

from redsm5.errors import UserError
from redsm5.logs import event, position_is, run_logs


def lines(folder):
    return [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]


def test_a_record_has_all_fields_and_a_line_to_read(tmp_path):
    folder = tmp_path / "my-run"
    folder.mkdir()
    with run_logs(folder, "fit"):
        position_is(lambda: (3, 120))
        event("new best", monitor="val_loss", value=0.123456789, worst=math.inf, path=folder)
    start, record, finish = lines(folder)
    assert list(record) == ["time", "level", "run", "epoch", "step", "message", "context"]
    assert abs(datetime.fromisoformat(record.pop("time")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert record == {
        "level": "INFO",
        "run": "my-run",
        "epoch": 3,
        "step": 120,
        "message": "new best",
        "context": {"monitor": "val_loss", "value": 0.123456789, "worst": "inf", "path": str(folder)},
    }
    assert (start["message"], start["epoch"], start["context"]["pid"]) == ("start", None, os.getpid())
    assert finish["message"] == "finish"
    readable = (folder / "run.log").read_text().splitlines()
    said = f"INFO epoch 3, step 120: new best (monitor val_loss, value 0.1235, worst inf, path {folder})"
    assert readable[1].split(" ", 1)[1] == said


def test_a_second_process_of_the_run_appends(tmp_path):
    for _ in range(2):
        with run_logs(tmp_path, "fit"):
            pass
    assert [line["message"] for line in lines(tmp_path)] == ["start", "finish"] * 2
    event("after the end")
    assert len(lines(tmp_path)) == 4


def test_secrets_are_masked_in_messages_contexts_and_tracebacks(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "not-of-the-usual-kind")

    def broken():
        event("ask https://me:pass1word@host", header={"Authorization": "Bearer abcdef123456"}, who=["a@b.org"])
        logging.getLogger("redsm5.x").warning("with not-of-the-usual-kind")
        raise RuntimeError("hf_abcdefghijkl was refused") from ValueError("not-of-the-usual-kind")

    with pytest.raises(RuntimeError), run_logs(tmp_path, "fit"):
        broken()
    text = (tmp_path / "run.jsonl").read_text() + (tmp_path / "run.log").read_text()
    for secret in ("pass1word", "abcdef123456", "a@b.org", "abcdefghijkl", "not-of-the-usual-kind"):
        assert secret not in text
    crash = lines(tmp_path)[-1]
    assert (crash["level"], crash["message"], crash["context"]["kind"]) == ("ERROR", "crash", "RuntimeError")
    trace = crash["context"]["traceback"]
    places = [trace.index(part) for part in ("ValueError: ***", "which caused", "RuntimeError: hf_*** was refused")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("error", "level", "message"),
    [(UserError("path is empty; set it"), "ERROR", "stopped"), (KeyboardInterrupt(), "WARNING", "interrupted")],
)
def test_the_last_line_says_how_it_ended(tmp_path, error, level, message):
    with pytest.raises(type(error)), run_logs(tmp_path, "fit"):
        raise error
    assert (lines(tmp_path)[-1]["level"], lines(tmp_path)[-1]["message"]) == (level, message)
    assert "path is empty" in (tmp_path / "run.log").read_text() or message == "interrupted"


def test_warnings_are_logged_and_shown_as_before(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        shown = []
        warnings.showwarning = lambda *args: shown.append(str(args[0]))
        with run_logs(tmp_path, "fit"):
            warnings.warn("the value 'of a whole sentence' is odd", RuntimeWarning, stacklevel=1)
        warnings.warn("after the end", stacklevel=1)
    assert shown == ["the value 'of a whole sentence' is odd", "after the end"]
    [warning] = [line for line in lines(tmp_path) if line["level"] == "WARNING"]
    assert warning["message"] == "the value '<19 characters>' is odd"
    assert (warning["context"]["category"], warning["context"]["file"]) == ("RuntimeWarning", __file__)


def test_further_ranks_do_not_log(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with run_logs(tmp_path, "fit"):
        event("here")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_nothing_and_prints_nothing(tmp_path, capsys):
    os.symlink("/dev/full", tmp_path / "run.jsonl")
    with run_logs(tmp_path, "fit"):
        event("here")
    assert "here" in (tmp_path / "run.log").read_text()
    assert capsys.readouterr().err == ""
