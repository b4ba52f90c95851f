import json
import multiprocessing
import os
import time
from types import SimpleNamespace

import pytest

from redsm5.pretraining import cache
from redsm5.pretraining.cache import StageFolder, aside, evict, made_once
from redsm5.pretraining.record import RECORD
from redsm5.run.lock import FolderHeld, run_lock


def made(folder, *, epochs=1, size=1000, used=0.0):
    """A stage of so many bytes, last used so many seconds ago."""
    stage = StageFolder(folder)
    stage.epoch(epochs).mkdir(parents=True)
    (stage.epoch(epochs) / RECORD).write_text("x" * size)
    (folder / ".used").touch()
    os.utime(folder / ".used", (time.time() - used,) * 2)
    return stage


def test_stage_that_is_there_is_not_made_again(tmp_path):
    stage = made(tmp_path / "dapt-a", used=900)
    assert made_once(stage, 1, lambda: pytest.fail("made again")) == stage.epoch(1)
    assert time.time() - (stage.path / ".used").stat().st_mtime < 60


def test_training_that_leaves_nothing_is_an_error_and_not_tried_for_ever(tmp_path):
    with pytest.raises(RuntimeError, match="without"):
        made_once(StageFolder(tmp_path / "dapt-a"), 1, lambda: None)


def test_folder_gets_its_name_when_it_is_whole(tmp_path):
    with pytest.raises(FileNotFoundError), aside(tmp_path / "epoch-1") as folder:
        (folder / "nowhere" / "half").write_text("x")
    assert list(tmp_path.iterdir()) == []
    with aside(tmp_path / "epoch-1") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "epoch-1").exists()
    assert (tmp_path / "epoch-1" / "file").read_text() == "x"


def worker(folder, log):
    stage = StageFolder(folder)

    def make():
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(1.0)
        with aside(stage.epoch(1)) as path:
            (path / RECORD).write_text("{}")

    made_once(stage, 1, make)


def test_of_three_processes_that_want_a_stage_one_makes_it(tmp_path, capfd):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=worker, args=(tmp_path / "dapt-a", tmp_path / "log")) for _ in range(3)]
    for process in workers:
        process.start()
    for process in workers:
        process.join(60)
    assert [process.exitcode for process in workers] == [0, 0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert "waiting for a stage that another process makes" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("elsewhere", "locked", "words"),
    [
        (False, True, 4),
        (True, True, 4),  # the lock of a file system goes with its process, on whatever host
        (True, False, 1),  # nobody knows whether that one lives: who waits for it falls silent
    ],
)
def test_process_that_waits_says_so_each_minute_while_the_other_one_lives(
    tmp_path, monkeypatch, capsys, elsewhere, locked, words
):
    """Who hears nothing of a trial takes it for stuck; a stage may take hours."""
    stage, clock = StageFolder(tmp_path / "dapt-a"), [1000.0]

    def sleep(seconds):
        clock[0] += seconds
        if clock[0] >= 1000.0 + 3.5 * 60:
            made(tmp_path / "dapt-a")

    def held(path):
        raise FolderHeld("process 7 on host h is at work", elsewhere=elsewhere, locked=locked)

    monkeypatch.setattr(cache, "run_lock", held)
    monkeypatch.setattr(cache, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    assert made_once(stage, 1, lambda: pytest.fail("made twice")) == stage.epoch(1)
    assert capsys.readouterr().err.count("waiting for a stage that another process makes: process 7 on host h") == words


def dying_worker(folder):
    made_once(StageFolder(folder), 1, lambda: os.kill(os.getpid(), 9))


def test_stage_of_a_killed_process_is_made_by_the_next(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=dying_worker, args=(tmp_path / "dapt-a",))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    worker(tmp_path / "dapt-a", tmp_path / "log")
    assert StageFolder(tmp_path / "dapt-a").has(1)


def test_longest_unused_stages_go_first(tmp_path):
    for name, used in (("dapt-a", 300), ("dapt-b", 100), ("texts-c", 200)):
        made(tmp_path / name, size=1000, used=used)
    evict(tmp_path, 1500e-9, keep=[])
    assert [path.name for path in tmp_path.iterdir()] == ["dapt-b"]


def test_what_a_killed_process_has_left_goes_when_it_is_old(tmp_path):
    for name, age in (".texts-a.1.tmp", 2 * 24 * 3600), (".texts-b.2.tmp", 60):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    evict(tmp_path, 1.0, keep=[])
    assert [path.name for path in tmp_path.iterdir()] == [".texts-b.2.tmp"]


def test_below_the_limit_nothing_goes(tmp_path):
    made(tmp_path / "dapt-a")
    evict(tmp_path, 1.0, keep=[])
    assert (tmp_path / "dapt-a").is_dir()


def test_stages_that_are_kept_made_or_stood_upon_stay(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    root = tmp_path / "cache"
    kept, locked, used, young, gone = (made(root / f"dapt-{name}", used=900) for name in "abcde")
    (run / "config.yaml").write_text(f"model:\n  encoder:\n    id: {used.epoch(1)}\n")
    used.users.write_text(json.dumps({"run": str(run), "at": 0.0}) + "\n")
    young.used_by(tmp_path / "run that begins")
    gone.users.write_text(json.dumps({"run": str(tmp_path / "removed"), "at": 0.0}) + "\n")
    with run_lock(locked.path):
        evict(root, 1e-9, keep=[kept.path])
    assert sorted(path.name for path in root.iterdir()) == ["dapt-a", "dapt-b", "dapt-c", "dapt-d"]
    assert "larger than pretraining.cache_gb" in capsys.readouterr().err
