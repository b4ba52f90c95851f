import shutil
from pathlib import Path

import pytest
from checkpoint_samples import put
from run_configs import config_of

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.hpo import taking_over
from redsm5.hpo.attempts import Kept
from redsm5.hpo.taking_over import furthest, take_over


def test_take_over_copies_the_run_with_its_last_whole_checkpoint(tmp_path):
    old, new = tmp_path / "attempt-1", tmp_path / "attempt-2"
    config_of(old, train=8, eval=8)
    (old / ".lock").write_text("held")
    kept = CheckpointFolder(old / "checkpoints")
    put(kept, epoch=2)
    damaged = put(kept, epoch=3)
    next(damaged.glob("*.safetensors")).write_bytes(b"cut")
    assert take_over(old, new) == Kept(2, 30)
    assert (new / "config.yaml").read_text() == (old / "config.yaml").read_text()
    assert [entry.manifest.epoch for entry in CheckpointFolder(new / "checkpoints").entries("resume")] == [2]
    assert not (new / ".lock").exists()


def test_take_over_is_whole_or_nothing(tmp_path, monkeypatch):
    old, new = tmp_path / "attempt-1", tmp_path / "attempt-2"
    config_of(old, train=8, eval=8)
    put(CheckpointFolder(old / "checkpoints"), epoch=2)

    def cut(source, target, **_):
        Path(target).mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", cut)
        with pytest.raises(OSError, match="No space"):
            take_over(old, new)
    assert not new.exists()
    assert take_over(old, new) == Kept(2, 30)


def test_take_over_is_not_of_a_checkpoint_that_a_stalled_worker_replaced_meanwhile(tmp_path, monkeypatch):
    old, new = tmp_path / "attempt-1", tmp_path / "attempt-2"
    config_of(old, train=8, eval=8)
    kept = CheckpointFolder(old / "checkpoints")
    first, copytree = put(kept, epoch=2), shutil.copytree

    def replaced(*args, **options):
        if first.exists():
            shutil.rmtree(first)
            put(kept, epoch=3)
        return copytree(*args, **options)

    monkeypatch.setattr(shutil, "copytree", replaced)
    with pytest.raises(FileNotFoundError):
        take_over(old, new)
    assert not new.exists()
    assert take_over(old, new) == Kept(3, 40)


def test_take_over_counts_only_epochs_that_ended(tmp_path):
    old = tmp_path / "attempt-1"
    config_of(old, train=8, eval=8)
    put(CheckpointFolder(old / "checkpoints"), epoch=3, monitor=None, value=None)
    assert take_over(old, tmp_path / "attempt-2") == Kept(2, 40)


def test_take_over_leaves_nothing_where_there_is_no_checkpoint(tmp_path):
    old, new = tmp_path / "attempt-1", tmp_path / "attempt-2"
    config_of(old, train=8, eval=8)
    assert take_over(old, new) is None
    assert not new.exists()
    assert take_over(tmp_path / "attempt-0", new) is None


def attempts(folder, *epochs):
    """Attempts with a checkpoint each, numbered from 1; None for one that left none."""
    for token, epoch in enumerate(epochs, 1):
        config_of(folder / f"attempt-{token}", train=token, eval=8)
        if epoch is not None:
            put(CheckpointFolder(folder / f"attempt-{token}" / "checkpoints"), epoch=epoch)


@pytest.mark.parametrize(
    ("epochs", "token", "kept"),
    [
        ((5, 1), 1, Kept(5, 60)),  # the second one began on a machine that did not see the first
        ((1, 5), 2, Kept(5, 60)),
        ((3, 3, None), 2, Kept(3, 40)),
        ((2, 5, 5, 1), 3, Kept(5, 60)),
    ],
)
def test_furthest_checkpoint_is_gone_on_from_and_of_several_the_newest(tmp_path, epochs, token, kept):
    attempts(tmp_path, *epochs)
    new = tmp_path / "attempt-9"
    found = furthest(tmp_path, new, pytest.fail)
    assert (found, found.token) == (kept, token)
    old = tmp_path / f"attempt-{token}"
    assert (new / "config.yaml").read_text() == (old / "config.yaml").read_text()


def test_nothing_is_gone_on_from_where_there_is_no_checkpoint(tmp_path):
    attempts(tmp_path, None, None)
    assert furthest(tmp_path, tmp_path / "attempt-9", pytest.fail) is None
    assert not (tmp_path / "attempt-9").exists()


def test_furthest_checkpoint_that_cannot_be_copied_is_not_gone_on_from(tmp_path, monkeypatch):
    attempts(tmp_path, 5, 1)
    copytree, lines = shutil.copytree, []

    def refused(source, *args, **options):
        if source.name == "attempt-1":
            raise PermissionError(13, "Permission denied")
        return copytree(source, *args, **options)

    monkeypatch.setattr(shutil, "copytree", refused)
    monkeypatch.setattr(taking_over, "PAUSE", 0.0)
    found = furthest(tmp_path, tmp_path / "attempt-9", lines.append)
    assert (found, found.token) == (Kept(1, 20), 2)
    assert lines == [f"{tmp_path}/attempt-1 cannot be gone on from (Permission denied)"]
