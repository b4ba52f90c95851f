import pytest
from checkpoint_samples import put

from redsm5.errors import UserError
from redsm5.run.folder import RunFolder, differing_keys

CONFIG = "run_dir: x\nmodel:\n  encoder:\n    id: a\n  lambda_span: 1.0\n"


def test_prepare_new_folder_writes_config_and_starts_anew(tmp_path):
    folder = RunFolder(tmp_path / "deep" / "run")
    folder.prepare(CONFIG, fresh=False)
    assert folder.config.read_text() == CONFIG
    assert folder.checkpoints.is_dir()
    assert folder.resume_from() is None


def test_prepare_unfinished_run_with_same_config_goes_on_from_last_checkpoint(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, fresh=False)
    path = put(folder.kept)
    folder.prepare(CONFIG, fresh=False)
    assert folder.resume_from() == path


def test_prepare_unfinished_run_with_other_config_names_the_keys(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, fresh=False)
    put(folder.kept)
    with pytest.raises(UserError, match=r"differs in model\.lambda_span;"):
        folder.prepare(CONFIG.replace("1.0", "2.0"), fresh=False)
    assert folder.config.read_text() == CONFIG


def test_prepare_run_killed_before_its_first_checkpoint_starts_over_with_another_config(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, fresh=False)
    folder.metrics.write_text("epoch")
    folder.prepare(CONFIG.replace("1.0", "2.0"), fresh=False)
    assert not folder.metrics.exists()


def test_prepare_finished_run_is_refused_and_left_alone(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, fresh=False)
    folder.report.write_text("{}")
    folder.prepare(CONFIG, fresh=False)  # it was killed before its page was there
    folder.view("val").write_text("")
    with pytest.raises(UserError, match="holds a finished run"):
        folder.prepare(CONFIG, fresh=False)
    assert folder.report.exists()


def test_prepare_fresh_removes_own_files_only(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, fresh=False)
    put(folder.kept)
    put(folder.kept, "weights")
    for path in (folder.report, folder.split, tmp_path / "notes.txt"):
        path.write_text("x")
    folder.prepare(CONFIG, fresh=True)
    left = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"config.yaml", "notes.txt"}


def test_resume_from_says_what_is_damaged_and_takes_the_one_before(tmp_path, capsys):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, fresh=False)
    first, second = put(folder.kept, epoch=0), put(folder.kept, epoch=1)
    (second / "state.json").write_text("{}")
    assert folder.resume_from() == first
    assert f"{second} is damaged (state.json is not what was written); set aside" in capsys.readouterr().err


def test_resume_from_nothing_but_damaged_ones_never_starts_over_silently(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(CONFIG, fresh=False)
    (put(folder.kept) / "manifest.json").unlink()
    for _ in range(2):
        with pytest.raises(UserError, match="can be read any more; add --fresh"):
            folder.resume_from()
    folder.prepare(CONFIG, fresh=True)
    assert folder.resume_from() is None


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


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("/a/tiny-encoders/bert-0f", "/b/c/tiny-encoders/bert-0f", True),
        ("/a/tiny-encoders/bert-0f", "/b/c/tiny-encoders/bert-1f", False),
        ("/a/pretraining/tapt-0f/epoch-2", "/b/pretraining/tapt-0f/epoch-2", True),
        ("/a/pretraining/tapt-0f/epoch-2", "/b/pretraining/tapt-0f/epoch-3", False),
        ("/a/models/bert", "/b/models/bert", False),  # what is in a folder of the user nobody knows
    ],
)
def test_encoder_in_another_cache_is_the_same_one(old, new, same):
    configs = [f"model: {{encoder: {{id: {path}}}}}" for path in (old, new)]
    assert (differing_keys(*configs) == []) == same
