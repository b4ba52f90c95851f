"""A config in a model's folder names no code but our own."""

import json
import os
import shutil
import sys

import pytest
import yaml

import redsm5
from redsm5.errors import UserError
from redsm5.inference.export import export
from redsm5.inference.model_files import sha256_of
from redsm5.metrics.thresholds import threshold_of


@pytest.fixture
def model(trained_run, tmp_path):
    export(trained_run, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module on the path that leaves a mark when it is imported."""
    mark = tmp_path / "executed"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass X: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    yield mark
    sys.modules.pop("evil", None)


def rewrite(model, change):
    """Change the config and vouch for it in the manifest."""
    config = yaml.safe_load((model / "config.yaml").read_text())
    change(config["model"])
    (model / "config.yaml").write_text(yaml.safe_dump(config))
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"]["config.yaml"] = sha256_of(model / "config.yaml")
    (model / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "value",
    [
        "evil.X",
        {"class_path": "evil.X"},
        {"class_path": "redsm5.modules.pooling.evil.X"},
        {"class_path": "redsm5.modules.pooling.Mean", "dict_kwargs": {"x": "evil.X"}},
        {"class_path": "redsm5.modules.encoder.Encoder", "init_args": {"id": "x"}},
        ["evil.X"],
        7,
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["pooling", "evidence_head"])
def test_code_that_a_config_names_is_not_imported(model, evil, key, value):
    rewrite(model, lambda options: options.update({key: value}))
    with pytest.raises(
        UserError, match=r"which is no part of redsm5, and nothing else is loaded|does not fit this version"
    ):
        redsm5.load(model)
    assert not evil.exists()


@pytest.mark.parametrize("head", ["evil.X", {"class_path": "evil.X"}], ids=str)
def test_code_that_a_nested_option_names_is_not_imported(model, evil, head):
    nested = {"class_path": "redsm5.modules.evidence_head.SentenceFilter", "init_args": {"head": head}}
    rewrite(model, lambda options: options.update(evidence_head=nested))
    with pytest.raises(UserError, match="which is no part of redsm5"):
        redsm5.load(model)
    assert not evil.exists()


@pytest.mark.parametrize("key", ["encoder", "decoding"])
def test_plain_options_are_no_class_and_no_file(model, evil, key):
    rewrite(model, lambda options: options.update({key: "evil.X"}))
    with pytest.raises(UserError, match="which is no part of redsm5"):
        redsm5.load(model)
    assert not evil.exists()


def test_run_folder_is_read_with_the_same_care(trained_run, evil, tmp_path):
    shutil.copytree(trained_run, tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    config["model"]["pooling"] = "evil.X"
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "run" / "seals.json").unlink()
    with pytest.raises(UserError, match="which is no part of redsm5"):
        redsm5.load(tmp_path / "run")
    assert not evil.exists()


@pytest.mark.parametrize("value", [float("nan"), True, -0.1, 1.5, "0.5", None], ids=str)
def test_threshold_that_is_no_probability_is_refused(value):
    with pytest.raises(ValueError, match="it must be a number from 0 to 1"):
        threshold_of(value)


def test_manifest_vouches_for_every_file(model):
    manifest = json.loads((model / "manifest.json").read_text())
    del manifest["files"]["model.safetensors"]
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"says nothing of model\.safetensors"):
        redsm5.load(model)


def test_file_that_the_manifest_does_not_know_is_refused(model):
    (model / "tokenizer" / "added.json").write_text("{}")
    with pytest.raises(UserError, match=r"says nothing of tokenizer/added\.json"):
        redsm5.load(model)


def test_export_that_fails_at_the_last_moment_leaves_the_old_one(trained_run, model, monkeypatch):
    rename, left = os.rename, [2]

    def fail(source, target):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(UserError, match="No space left"):
        export(trained_run, model, overwrite=True)
    monkeypatch.undo()
    assert redsm5.load(model).predict(["I feel gloomy."])
    assert [path.name for path in model.parent.iterdir() if path.name.startswith(".")] == []


def test_export_is_flushed_with_its_folders(trained_run, tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr("redsm5.inference.export.sync", lambda path: flushed.append(path.name))
    export(trained_run, tmp_path / "model")
    assert {"model.safetensors", "manifest.json", "encoder", "tokenizer", tmp_path.name} <= set(flushed)


def test_card_may_be_added_to(model):
    before = redsm5.load(model).predict(["I feel gloomy."])
    with (model / "README.md").open("a") as card:
        card.write("\nHanded to the ward on Monday.\n")
    assert redsm5.load(model).predict(["I feel gloomy."]) == before
