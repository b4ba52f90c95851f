"""Negative controls: what Lightning does by itself under the same faults, so that our tests show something."""

import csv
import os
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader


class Line(pl.LightningModule):
    """A module that notes which samples it is shown."""

    def __init__(self, size=1):
        super().__init__()
        self.weight = torch.nn.Linear(1, size)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen += batch.flatten().tolist()
        loss = self.weight(batch.float().view(-1, 1)).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def trainer_in(folder, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "logger": False}
    return pl.Trainer(default_root_dir=folder, **{**quiet, **settings})


def samples():
    return DataLoader(torch.arange(96), batch_size=8, shuffle=True)


def test_stock_resume_in_mid_epoch_repeats_samples_and_leaves_others_out(tmp_path):
    pl.seed_everything(0)
    checkpoint = ModelCheckpoint(tmp_path, filename="mid", every_n_train_steps=5, save_top_k=-1)
    first = Line()
    trainer_in(tmp_path, max_steps=5, callbacks=[checkpoint]).fit(first, samples())
    second = Line()
    trainer_in(tmp_path, max_epochs=1).fit(second, samples(), ckpt_path=tmp_path / "mid.ckpt", weights_only=True)
    seen = first.seen + second.seen
    assert len(set(seen)) < 96
    assert len(seen) > len(set(seen))


def test_stock_csv_log_loses_its_rows_on_resume(tmp_path):
    def fit(epochs, path=None):
        logger = CSVLogger(tmp_path, name="log", version="fixed")
        checkpoint = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False)
        trainer = trainer_in(tmp_path, max_epochs=epochs, logger=logger, callbacks=[checkpoint], log_every_n_steps=1)
        trainer.fit(Line(), samples(), ckpt_path=path, weights_only=True)
        with open(Path(logger.log_dir) / "metrics.csv", newline="") as file:
            return [int(row["step"]) for row in csv.DictReader(file)]

    assert fit(1) == list(range(12))
    assert fit(2, tmp_path / "last.ckpt") != list(range(24))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system for TMPDIR")
def test_stock_checkpoint_across_file_systems_is_half_after_a_kill(tmp_path, monkeypatch, forks):
    """It is written to TMPDIR and then copied over the good one; ours is renamed in its own folder."""
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("TMPDIR and the folder of the test are on one file system")
    target = tmp_path / "last.ckpt"
    child = forks.Process(target=save_twice_and_die, args=(target,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with pytest.raises((RuntimeError, EOFError, OSError, ValueError)):
        torch.load(target, weights_only=True)


def save_twice_and_die(target):
    """Save a good checkpoint; be killed while the next is put in its place."""
    import shutil
    import tempfile

    from lightning.fabric.plugins import TorchCheckpointIO

    tempfile.tempdir = "/dev/shm"
    state = {"weights": torch.zeros(100_000)}
    TorchCheckpointIO().save_checkpoint(state, target)
    copy = shutil.copyfileobj

    def half(source, destination, *rest):
        destination.write(source.read(150_000))
        destination.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    assert copy is not half
    shutil.copyfileobj, shutil._USE_CP_SENDFILE = half, False
    TorchCheckpointIO().save_checkpoint(state, target)
