"""One arm of ``step_overhead.py`` in a process of its own. Not run by hand."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch
from epoch import Epoch, fit_on_the_clock
from measure import write_json
from workload import Workload

from redsm5.datamodules.batch import Batch
from redsm5.datamodules.batching import BatchSize
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.modules.aggregation import LogSumExp
from redsm5.modules.criteria_head import LinearHead
from redsm5.modules.criteria_loss import BCE
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import StartEnd
from redsm5.modules.network import Network
from redsm5.modules.pooling import Mean
from redsm5.optim.groups import parameter_groups
from redsm5.optim.optimizers import AdamW
from redsm5.optim.schedules import Linear

MAX_LENGTH, STRIDE, BATCH = 64, 16, 8
LAMBDA_SPAN = 0.3


def fit(work: Workload, epochs: int, measured: Epoch) -> None:
    """The command's own training."""
    options = {
        "run_dir": work.folder / "run",
        "model.encoder.id": work.encoder,
        "model.task_weighting.lambda_span": LAMBDA_SPAN,
        "data.path": work.corpus,
        "data.split_file": work.split,
        "data.max_length": MAX_LENGTH,
        "data.stride": STRIDE,
        "data.batching": "BatchSize",
        "data.batching.train": BATCH,
        "data.cache_dir": work.folder / "cache",
        "runtime.threads": torch.get_num_threads(),
        "trainer.max_epochs": epochs,
    }
    fit_on_the_clock(options, measured)


def plain(work: Workload, epochs: int, measured: Epoch, *, ready: bool) -> None:
    """The same model, losses, optimizer and batches in a loop of a dozen lines."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = ReDSM5DataModule(
        str(work.encoder),
        path=str(work.corpus),
        split_file=str(work.split),
        max_length=MAX_LENGTH,
        stride=STRIDE,
        batching=BatchSize(train=BATCH),
        cache_dir=str(work.folder / "cache"),
    )
    data.setup()
    torch.manual_seed(0)
    network = Network(
        encoder=Encoder(str(work.encoder)),
        pooling=Mean(),
        aggregation=LogSumExp(),
        criteria_head=LinearHead(),
        evidence_head=StartEnd(),
        n_outputs=data.n_outputs,
    ).to(device)
    criteria_loss = BCE().build(data.positive_rates()).to(device)
    option = AdamW()
    optimizer = option.build(parameter_groups(network, option))
    steps = data.steps_per_epoch()
    schedule = Linear().build(optimizer, epochs * steps, steps, mode="max")
    assert schedule is not None
    loader = data.train_dataloader()
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        batches: Iterable[Batch] = [batch.to(device) for batch in loader] if ready else loader
        measured.begin()
        for on_cpu in batches:
            measured.count(on_cpu.attention_mask)
            batch = on_cpu.to(device)
            output = network(batch)
            criteria = criteria_loss(output.criteria_logits, batch.labels, batch.criterion).mean()
            evidence = network.evidence_head.loss(output.evidence, batch)
            optimizer.zero_grad()
            (criteria + LAMBDA_SPAN * evidence.total).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        measured.end()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--arm", choices=("plain", "loader", "fit"), required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--result", required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    work, measured = Workload(Path(args.work)), Epoch()
    if args.arm == "fit":
        fit(work, args.epochs, measured)
    else:
        plain(work, args.epochs, measured, ready=args.arm == "plain")
    write_json(args.result, measured.figures())


if __name__ == "__main__":
    main()
