import csv

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from redsm5.callbacks.metrics_file import MetricsFile


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
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_metrics_file_has_one_row_per_epoch_with_every_logged_metric(tmp_path):
    trainer = fit(tmp_path, 3)
    written = rows(tmp_path)
    assert [row["epoch"] for row in written] == ["0", "1", "2"]
    assert [row["step"] for row in written] == ["2", "4", "6"]
    assert set(written[0]) == {"epoch", "step", "train_loss", "val_loss"}
    assert float(written[-1]["val_loss"]) == float(f"{float(trainer.callback_metrics['val_loss']):.6g}")


def test_metrics_file_of_a_resumed_run_equals_that_of_an_uninterrupted_one(tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    whole.mkdir()
    resumed.mkdir()
    fit(whole, 4)
    fit(resumed, 2)
    with (resumed / "metrics.csv").open("a") as file:
        file.write("2,6,0.1,9,9\n")  # a row of an epoch whose checkpoint was never written
    fit(resumed, 4, ckpt_path=resumed / "last.ckpt")
    assert rows(resumed) == rows(whole)
