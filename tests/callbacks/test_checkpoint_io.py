import pytest
import torch

from redsm5.callbacks.checkpoint_io import AtomicCheckpointIO
from redsm5.errors import UserError


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_checkpoint_io_round_trip_keeps_tensors(tmp_path):
    path = tmp_path / "deep" / "best.ckpt"
    state = {"epoch": 3, "state_dict": {"w": torch.arange(6.0).reshape(2, 3)}}
    AtomicCheckpointIO().save_checkpoint(state, path)
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert loaded["epoch"] == 3
    assert torch.equal(loaded["state_dict"]["w"], state["state_dict"]["w"])


def test_checkpoint_io_failed_save_raises_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def half(checkpoint, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert AtomicCheckpointIO().load_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("weights_only", [True, False, None])
def test_checkpoint_io_never_executes_what_it_loads(tmp_path, weights_only):
    path, trace = tmp_path / "evil.ckpt", tmp_path / "executed"
    torch.save({"payload": Malicious(trace)}, path)
    with pytest.raises(UserError, match="is damaged or none of ours"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=weights_only)
    assert not trace.exists()
