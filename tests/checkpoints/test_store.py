import json
import os
import pickle
import random
from contextlib import suppress

import pytest
import torch
from checkpoint_samples import BASE, facts, state

from redsm5.checkpoints import store
from redsm5.checkpoints.manifest import CheckpointManifest
from redsm5.checkpoints.store import DamagedCheckpoint, read_checkpoint, read_manifest, write_checkpoint
from redsm5.errors import UserError


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "last-000-0000010"
    write_checkpoint(path, state(), facts())
    return path


def test_checkpoint_comes_back_as_it_was(written):
    found, expected = read_checkpoint(written), state()
    assert found["epoch"] == 4
    assert torch.equal(found["state_dict"]["network.w"], expected["state_dict"]["network.w"])
    assert torch.equal(found["state_dict"]["network.tied"], expected["state_dict"]["network.w"])
    moment = found["optimizer_states"][0]["state"][0]["exp_avg"]
    assert torch.equal(moment, expected["optimizer_states"][0]["state"][0]["exp_avg"])


def test_manifest_says_what_it_is_and_how_large(written):
    manifest = read_manifest(written)
    assert (manifest.kind, manifest.epoch, manifest.step, manifest.value) == ("resume", 0, 10, 0.5)
    assert manifest.bytes == sum(p.stat().st_size for p in written.iterdir() if p.name != "manifest.json")


def test_tied_tensors_take_their_room_once(written):
    assert (written / "weights.safetensors").stat().st_size < 64 * 4 + 300


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("spoil", ["flip", "cut", "empty", "grow", "remove"])
def test_damage_to_any_file_is_found(written, name, spoil):
    path = written / name
    content = bytearray(path.read_bytes())
    if spoil == "flip":
        content[random.Random(name).randrange(len(content))] ^= 1
    elif spoil == "cut":
        del content[-7:]
    elif spoil == "empty":
        content.clear()
    elif spoil == "grow":
        content += b"{}"
    path.write_bytes(content)
    if spoil == "remove":
        path.unlink()
    with pytest.raises(DamagedCheckpoint, match=written.name):
        read_checkpoint(written)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json", "manifest.json"])
def test_every_flipped_bit_is_found(written, name):
    """Of a checkpoint that loads silently with a bit of it flipped, nothing could be said."""
    path, draw = written / name, random.Random(0)
    whole, manifest = path.read_bytes(), read_manifest(written)
    for _ in range(60):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        with suppress(DamagedCheckpoint):
            # Between the words of the manifest a blank may turn into a line break: nothing is lost by that.
            read_checkpoint(written)
            assert name == "manifest.json"
            assert read_manifest(written) == manifest
    path.write_bytes(whole)
    read_checkpoint(written)


class Evil:
    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json"])
def test_pickle_in_its_place_is_refused_and_not_executed(written, tmp_path, name):
    """Even with a manifest that vouches for it."""
    (written / name).write_bytes(pickle.dumps(Evil(tmp_path / "executed")))
    manifest = json.loads((written / "manifest.json").read_text())
    manifest["files"][name] = store.hash_of(written / name).model_dump()
    (written / "manifest.json").write_text(CheckpointManifest(**manifest).sealed().model_dump_json())
    with pytest.raises(DamagedCheckpoint, match="cannot be read"):
        read_checkpoint(written)
    assert not (tmp_path / "executed").exists()


def test_other_format_is_refused_with_the_version_that_reads_it(written):
    manifest = json.loads((written / "manifest.json").read_text())
    (written / "manifest.json").write_text(json.dumps({**manifest, "format": 2, "redsm5": "9.1"}))
    with pytest.raises(UserError, match=r"has format 2, this redsm5 .* reads 1; use redsm5 9\.1"):
        read_checkpoint(written)


@pytest.mark.parametrize("call", ["mkdir", "save_file", "fsync", "rename"])
def test_failed_save_raises_and_leaves_nothing(tmp_path, monkeypatch, call):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    place = {"mkdir": "pathlib.Path.mkdir", "save_file": "safetensors.torch.save_file"}.get(call, f"os.{call}")
    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        with pytest.raises(OSError, match="No space left"):
            write_checkpoint(tmp_path / "last-000-0000010", state(), facts())
    assert list(tmp_path.iterdir()) == []


def test_save_that_cannot_be_named_keeps_what_is_there(written):
    before = read_manifest(written)
    with pytest.raises(OSError, match=r"not empty|exists"):
        write_checkpoint(written, state(1), facts())
    assert read_manifest(written) == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_value_that_is_no_number_is_null(tmp_path):
    write_checkpoint(tmp_path / "best-000-0000001", state(), facts("weights", value=None, val_loss=None, base=BASE))
    manifest = read_manifest(tmp_path / "best-000-0000001")
    assert manifest.rank[0] == float("inf")
