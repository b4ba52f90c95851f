import shutil

from checkpoint_samples import put

from redsm5.checkpoints.folder import CheckpointFolder


def names(folder):
    return sorted(path.name for path in folder.path.iterdir())


def test_best_is_by_metric_then_validation_loss_then_epoch(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert folder.best() is None
    for epoch, (value, loss) in enumerate([(0.4, 0.1), (0.6, 0.9), (0.6, 0.7), (0.6, 0.7), (None, 0.0)]):
        put(folder, "weights", epoch=epoch, value=value, val_loss=loss)
    assert folder.best().manifest.epoch == 2


def test_best_of_a_loss_is_the_smallest(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for epoch, value in enumerate([0.4, 0.2, 0.3]):
        put(folder, "weights", epoch=epoch, value=value, mode="min", monitor="val_loss")
    assert folder.best().manifest.epoch == 1


def test_an_epoch_done_again_gets_a_free_name_and_counts_as_the_newer(tmp_path):
    folder = CheckpointFolder(tmp_path)
    first, second = put(folder, "weights", epoch=1), put(folder, "weights", epoch=1)
    assert first != second
    assert folder.best().path == second
    for _ in range(10):
        tenth = put(folder, "weights", epoch=1)
    assert folder.best().path == tenth


def test_last_is_the_newest_and_damaged_ones_are_set_aside(tmp_path):
    folder = CheckpointFolder(tmp_path)
    paths = [put(folder, epoch=epoch) for epoch in range(3)]
    (paths[2] / "state.safetensors").write_bytes(b"half")
    shutil.rmtree(paths[1])
    paths[1].mkdir()
    last, sentences = folder.take_last()
    assert last.path == paths[0]
    assert [sentence.split(";")[1] for sentence in sentences] == [
        f" set aside as damaged-{paths[2].name}",
        f" set aside as damaged-{paths[1].name}",
    ]
    assert names(folder) == sorted([f"damaged-{paths[1].name}", f"damaged-{paths[2].name}", paths[0].name])
    assert folder.take_last() == (last, [])


def test_sweep_removes_what_a_kill_left_behind_and_nothing_else(tmp_path):
    folder = CheckpointFolder(tmp_path)
    kept = put(folder)
    shutil.copytree(kept, tmp_path / ".last-001-0000020.0123abcd.tmp")
    (tmp_path / "notes.tmp").write_text("mine")
    folder.sweep()
    assert names(folder) == [kept.name, "notes.tmp"]


def test_clear_removes_checkpoints_only(tmp_path):
    folder = CheckpointFolder(tmp_path)
    put(folder)
    put(folder, "weights")
    (tmp_path / "notes.txt").write_text("mine")
    folder.clear()
    assert names(folder) == ["notes.txt"]


def test_newest_is_by_number_not_by_spelling(tmp_path):
    folder = CheckpointFolder(tmp_path)
    paths = [put(folder, epoch=epoch, step=6 * epoch) for epoch in (998, 999, 1000)]
    assert folder.take_last()[0].path == paths[-1]
    assert [entry.path for entry in folder.entries("resume")] == paths


def test_folder_is_empty_until_something_was_trained(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert folder.is_empty()
    (tmp_path / "notes.txt").write_text("mine")
    assert folder.is_empty()
    path = put(folder)
    assert not folder.is_empty()
    path.rename(path.with_name(f"damaged-{path.name}"))
    assert not folder.is_empty()
