import shutil
from pathlib import Path

from checkpoint_samples import put

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.checkpoints.store import discard
from redsm5.hpo import retention
from redsm5.hpo.retention import disk_bytes, prune_earlier, prune_study, search_bytes, trial_folder


def ended_trial(study, number, attempts=1):
    run = trial_folder(study, number) / f"attempt-{attempts}"
    for attempt in range(1, attempts + 1):
        folder = trial_folder(study, number) / f"attempt-{attempt}"
        kept = CheckpointFolder(folder / "checkpoints")
        put(kept, "weights", epoch=1)
        put(kept, "resume", epoch=2)
        for name in ("config.yaml", "predictions-val.jsonl", "view-val.html", "report.json"):
            (folder / name).write_text("x")
    (trial_folder(study, number) / "report.json").write_text("x")
    return str(run.relative_to(study))


def files(folder: Path):
    return sorted({path.name for path in folder.rglob("*") if path.is_file()})


def test_study_keeps_weights_of_the_best_and_predictions_of_all(tmp_path):
    ended = {number: ended_trial(tmp_path, number) for number in range(3)}
    done = set()
    prune_study(tmp_path, ended, {1}, done)
    for number in range(3):
        run = tmp_path / ended[number]
        kept = CheckpointFolder(run / "checkpoints")
        assert len(kept.entries("weights")) == (number == 1)
        assert kept.entries("resume") == []
        assert (run / "predictions-val.jsonl").exists()
        assert (run / "view-val.html").exists() == (number == 1)
        assert (run / "config.yaml").exists()
    assert done == {0, 2}


def test_study_drops_weights_when_better_trials_come(tmp_path):
    ended, done = {0: ended_trial(tmp_path, 0)}, set()
    prune_study(tmp_path, ended, {0}, done)
    assert files(tmp_path / ended[0] / "checkpoints") != []
    ended[1] = ended_trial(tmp_path, 1)
    prune_study(tmp_path, ended, {1}, done)
    assert not (tmp_path / ended[0] / "checkpoints").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    prune_study(tmp_path, ended, {1}, done)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_attempt_that_goes_on_leaves_no_checkpoints_in_those_before_it(tmp_path):
    """A trial of fifteen jobs would have fifteen copies on the disk."""
    run = tmp_path / ended_trial(tmp_path, 4, attempts=12)
    shutil.rmtree(run.with_name("attempt-11"))
    shutil.copytree(run, run.with_name(".attempt-11"))  # its worker was killed while it copied
    prune_earlier(run.with_name("attempt-10"))
    left = {path.parent.name for path in trial_folder(tmp_path, 4).glob("*/checkpoints")}
    assert left == {"attempt-10", ".attempt-11", "attempt-12"}
    prune_earlier(run)
    assert [path.parent.name for path in trial_folder(tmp_path, 4).glob("*/checkpoints")] == ["attempt-12"]
    assert (run.with_name("attempt-2") / "config.yaml").exists()


def test_folders_of_lost_attempts_go(tmp_path):
    run = ended_trial(tmp_path, 4, attempts=3)
    prune_study(tmp_path, {4: run}, {4}, set())
    assert [path.name for path in trial_folder(tmp_path, 4).iterdir() if path.is_dir()] == ["attempt-3"]


def test_checkpoint_that_another_worker_removes_meanwhile_is_no_error(tmp_path, monkeypatch):
    ended = {0: ended_trial(tmp_path, 0)}

    def gone(path):
        shutil.rmtree(path)
        discard(path)

    monkeypatch.setattr(retention, "discard", gone)
    prune_study(tmp_path, ended, {0}, set())
    kept = CheckpointFolder(tmp_path / ended[0] / "checkpoints")
    assert (len(kept.entries("weights")), kept.entries("resume")) == (1, [])


def test_running_trials_are_not_touched(tmp_path):
    ended_trial(tmp_path, 0)
    before = files(tmp_path)
    prune_study(tmp_path, {}, set(), set())
    assert files(tmp_path) == before


def test_disk_bytes_are_those_of_all_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for path, size in (("x", 10), ("a/y", 200), ("a/b/z", 3000)):
        (tmp_path / path).write_bytes(b"0" * size)
    assert disk_bytes(tmp_path) == 3210


def test_what_came_after_the_search_is_no_part_of_what_it_takes(tmp_path):
    sizes = {
        "study.db": 3000, "trials/00001/confirm.json": 200, "confirm/folds/weights": 50_000, "confirm.json": 60_000,
        "ensemble/weights": 70_000, "report.html": 80_000, "search.json": 90_000, "refits/00001/config.yaml": 900,
    }  # fmt: skip
    for name, size in sizes.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    assert search_bytes(tmp_path) == 3200
    known = {}
    for _ in range(2):
        assert search_bytes(tmp_path, {1}, known) == 3200
    (tmp_path / "trials/00002").mkdir()
    (tmp_path / "trials/00002/log.txt").write_bytes(b"x" * 50)
    assert search_bytes(tmp_path, {1}, known) == 3250
    assert known == {1: 200}
