import pytest

from redsm5.errors import UserError
from redsm5.run.folder import RunFolder, differing_keys

CONFIG = "run_dir: x\nmodel:\n  encoder:\n    id: a\n  lambda_span: 1.0\n"


def test_prepare_fresh_folder_writes_config_and_starts_anew(tmp_path):
    folder = RunFolder(tmp_path / "deep" / "run")
    assert folder.prepare(CONFIG, overwrite=False) is None
    assert folder.config.read_text() == CONFIG
    assert folder.checkpoints.is_dir()


def test_prepare_unfinished_run_with_same_config_goes_on_from_last_checkpoint(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, overwrite=False)
    folder.last.write_bytes(b"state")
    assert folder.prepare(CONFIG, overwrite=False) == folder.last


def test_prepare_unfinished_run_with_other_config_names_the_keys(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, overwrite=False)
    folder.last.write_bytes(b"state")
    with pytest.raises(UserError, match=r"differs in model\.lambda_span;"):
        folder.prepare(CONFIG.replace("1.0", "2.0"), overwrite=False)
    assert folder.config.read_text() == CONFIG


def test_prepare_finished_run_is_refused_and_left_alone(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, overwrite=False)
    folder.report.write_text("{}")
    with pytest.raises(UserError, match="holds a finished run"):
        folder.prepare(CONFIG, overwrite=False)
    assert folder.report.exists()


def test_prepare_overwrite_removes_own_files_only(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, overwrite=False)
    for path in (folder.report, folder.last, folder.best, folder.split, tmp_path / "notes.txt"):
        path.write_text("x")
    assert folder.prepare(CONFIG, overwrite=True) is None
    left = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"config.yaml", "notes.txt"}


def test_prepare_run_dir_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(UserError, match="is a file"):
        RunFolder.named(str(path))


@pytest.mark.parametrize(
    ("new", "keys"),
    [
        (CONFIG, []),
        (CONFIG.replace("id: a", "id: b"), ["model.encoder.id"]),
        (CONFIG + "data:\n  fold: 1\n", ["data.fold"]),
        ("run_dir: x\n", ["model.encoder.id", "model.lambda_span"]),
    ],
)
def test_differing_keys_are_dotted_and_sorted(new, keys):
    assert differing_keys(CONFIG, new) == keys
