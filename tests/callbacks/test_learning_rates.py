import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from redsm5.callbacks.learning_rates import LearningRates, named_rates
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.metrics_csv import read_epochs


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (
            {"encoder.layer.0": 1, "encoder.layer.0.no_decay": 1, "encoder.other": 1, "head": 2, "head.no_decay": 2},
            {"lr_encoder": 1, "lr_head": 2},
        ),
        (
            {"encoder.embeddings": 1, "encoder.layer.0": 2, "head.no_decay": 3},
            {"lr_encoder.embeddings": 1, "lr_encoder.layer.0": 2, "lr_head": 3},
        ),
        ({"adapter": 1, "lora_b": 16, "head": 2}, {"lr_adapter": 1, "lr_lora_b": 16, "lr_head": 2}),
        ({"encoder.layer.7.no_decay": 1}, {"lr_encoder": 1}),
    ],
)
def test_named_rates_table(rates, expected):
    assert named_rates([{"name": name, "lr": lr} for name, lr in rates.items()]) == expected


class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.below, self.above = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.above(self.below(batch[0])).square().mean()

    def configure_optimizers(self):
        groups = [
            {"name": "encoder.layer.0", "params": self.below.parameters(), "lr": 0.1},
            {"name": "head", "params": self.above.parameters(), "lr": 0.2},
        ]
        optimizer = torch.optim.SGD(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 4)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def test_rates_of_the_last_step_of_an_epoch_are_in_the_metrics_file(tmp_path):
    trainer = pl.Trainer(
        max_epochs=2,
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        callbacks=[LearningRates(), MetricsFile(tmp_path / "metrics.csv")],
    )
    trainer.fit(Line(), DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2))
    rows = read_epochs(tmp_path / "metrics.csv")
    # Two steps an epoch, at factors 1 and .75, then .5 and .25.
    assert [row["lr_encoder"] for row in rows] == pytest.approx([0.075, 0.025])
    assert [row["lr_head"] for row in rows] == pytest.approx([0.15, 0.05])
