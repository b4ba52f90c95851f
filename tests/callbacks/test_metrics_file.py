from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.metrics_csv import MetricRow, append_rows, read_epochs, read_rows


class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        loss = self.weight(batch[0]).square().mean()
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.weight(batch[0]).square().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, epochs, ckpt_path=None):
    pl.seed_everything(0)
    data = DataLoader(TensorDataset(torch.arange(8.0).reshape(8, 1) / 8), batch_size=4)
    checkpoint = pl.callbacks.ModelCheckpoint(folder, filename="last", enable_version_counter=False)
    trainer = pl.Trainer(
        max_epochs=epochs,
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[MetricsFile(folder / "metrics.csv"), checkpoint],
    )
    trainer.fit(Line(), data, data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def rows(folder):
    return [(r.epoch, r.step, r.name, r.value) for r in read_rows(folder / "metrics.csv") if r.name != "seconds"]


def test_metrics_file_has_a_row_per_step_and_name_with_all_digits(tmp_path):
    trainer = fit(tmp_path, 3)
    assert (tmp_path / "metrics.csv").read_text().startswith("epoch,step,name,value\n")
    expected = [(epoch, 2 * epoch + 2, name) for epoch in range(3) for name in ("seconds", "train_loss", "val_loss")]
    assert [(r.epoch, r.step, r.name) for r in read_rows(tmp_path / "metrics.csv")] == expected
    last = read_epochs(tmp_path / "metrics.csv")[-1]
    assert last["val_loss"] == float(trainer.callback_metrics["val_loss"])


@pytest.mark.parametrize(
    "left",
    [
        "",
        "2,6,train_loss,9.0\n2,6,val_loss,9.0\n",  # of an epoch whose checkpoint was never written
        "2,6,train_loss,9.0\n2,6,val_l",  # and cut
    ],
)
def test_metrics_file_of_a_resumed_run_equals_that_of_an_uninterrupted_one(tmp_path, left):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    whole.mkdir()
    resumed.mkdir()
    fit(whole, 4)
    fit(resumed, 2)
    before = (resumed / "metrics.csv").read_bytes()
    with (resumed / "metrics.csv").open("a") as file:
        file.write(left)
    fit(resumed, 4, ckpt_path=resumed / "last.ckpt")
    assert rows(resumed) == rows(whole)
    assert (resumed / "metrics.csv").read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("epoch", "step", "kept"),
    [
        (2, 8, [(0, 4), (1, 8)]),  # between epochs
        (2, 10, [(0, 4), (1, 8)]),  # within the epoch that had not ended
        (1, 6, [(0, 4)]),  # an older checkpoint
        (1, 8, [(0, 4)]),  # after the last step of an epoch, before its end: it is ended again
        (0, 0, []),
    ],
)
def test_metrics_file_keeps_what_came_before_the_checkpoint(tmp_path, epoch, step, kept):
    path = tmp_path / "metrics.csv"
    append_rows(path, [MetricRow(e, s, name, 0.5) for e, s in ((0, 4), (1, 8)) for name in ("a", "b")])
    before, written = path.read_bytes(), path.stat().st_ino
    trainer = SimpleNamespace(is_global_zero=True, current_epoch=epoch, global_step=step)
    MetricsFile(path).on_train_start(trainer, None)
    assert [(r.epoch, r.step, r.name) for r in read_rows(path)] == [(*at, name) for at in kept for name in ("a", "b")]
    if len(kept) == 2:
        assert (path.read_bytes(), path.stat().st_ino) == (before, written)  # not written again
