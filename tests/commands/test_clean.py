import shutil
import subprocess
import sys

import pytest
from checkpoint_samples import put

from redsm5.cli import main
from redsm5.run.folder import RunFolder
from redsm5.run.lock import run_lock


@pytest.fixture
def runs(tmp_path):
    """A finished and an unfinished run, each with a checkpoint, a half one and a half file."""
    for name in ("study/done", "open"):
        run = RunFolder(tmp_path / name)
        run.prepare("run_dir: x\n", fresh=False)
        kept = put(run.kept)
        put(run.kept, "weights")
        shutil.copytree(kept, run.checkpoints / f".{kept.name}.00112233.tmp")
        damaged = put(run.kept, epoch=1)
        damaged.rename(damaged.with_name(f"damaged-{damaged.name}"))
        (run.path / ".report.json.abcd.tmp").write_text("{")
    for name in ("report.json", "view-val.html"):
        (tmp_path / "study" / "done" / name).write_text("{}")
    (tmp_path / "open" / "notes.tmp").write_text("mine")
    return tmp_path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_clean_lists_and_touches_nothing(runs, capsys):
    before = files(runs)
    assert main(["clean", str(runs)]) == 0
    said = capsys.readouterr().out
    assert said.count("a checkpoint that was never finished") == 2
    assert said.count("a damaged checkpoint that was set aside") == 2
    assert said.count("a file that was never finished") == 2
    assert said.count("the state of a training that has ended") == 1
    assert f"2 runs in {runs}: " in said
    assert f"can go; redsm5 clean {runs} --yes removes it" in said
    assert files(runs) == before


def test_clean_yes_leaves_what_is_needed(runs, capsys):
    assert main(["clean", str(runs), "--yes"]) == 0
    assert "removed" in capsys.readouterr().out
    left = {path.name for path in runs.rglob("*") if path.parent.name in ("checkpoints", "open", "done")}
    assert left == {
        "best-000-0000010", "last-000-0000010", ".lock", "checkpoints", "config.yaml", "notes.tmp", "report.json",
        "view-val.html",
    }  # fmt: skip
    assert not list((runs / "study" / "done" / "checkpoints").glob("last-*"))
    assert RunFolder(runs / "open").resume_from() is not None
    assert main(["clean", str(runs), "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_clean_leaves_a_run_alone_that_is_at_work(runs, capsys):
    with run_lock(runs / "open"):
        before = files(runs / "open")
        command = [sys.executable, "-m", "redsm5", "clean", str(runs / "open"), "--yes"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "a process is at work here; left alone" in done.stdout
        assert files(runs / "open") == before


def test_clean_of_a_folder_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert main(["clean", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.startswith(f"redsm5: error: there is no folder {tmp_path / 'no'}; give")
