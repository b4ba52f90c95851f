"""``redsm5 plot-schedule``: the learning rate of every group over the optimizer steps, before any training."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.modules.module import MultiTaskModule
    from redsm5.report.schedule_plot import RateCurves

TAKES_CONFIG = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command beside those of the config."""
    parser.usage = f"{parser.prog} --config FILE [--config FILE ...] [options of redsm5 fit] --out PICTURE"
    parser.add_argument("--out", required=True, type=Path, help="the picture: .png, .svg or .pdf")


def run(args: argparse.Namespace) -> int:
    """Read the corpus, count the steps, draw; no weights are loaded.

    Raises:
        UserError: The config or the corpus is not usable, or the picture cannot be drawn.
    """
    from redsm5.report.schedule_plot import check_picture, draw

    check_picture(args.out)
    from redsm5.cli import build_cli

    cli = build_cli(args.config, command="plot-schedule")
    trainer = cli.make_trainer(enable_checkpointing=False)
    trainer.datamodule = cli.datamodule  # type: ignore[attr-defined]  # as the Trainer does when it fits
    cli.datamodule.trainer = cli.model.trainer = trainer
    cli.datamodule.setup()
    curves = rate_curves(cli.model)
    try:
        draw(curves, args.out)
    except OSError as error:
        raise UserError(f"cannot write {args.out}: {error.strerror}; give another file") from error
    print(f"{args.out}: {len(curves.rates)} rates over {curves.total_steps} optimizer steps")
    return 0


def rate_curves(model: MultiTaskModule) -> RateCurves:
    """The rates of a module whose Trainer has read the corpus."""
    import torch

    from redsm5.callbacks.learning_rates import named_rates
    from redsm5.optim.adafactor import Adafactor
    from redsm5.optim.groups import parameter_groups
    from redsm5.optim.reduce_on_plateau import ReduceOnPlateau
    from redsm5.report.schedule_plot import RateCurves

    optimizer, schedule = model.optimizer_option, model.schedule_option
    total, per_epoch = model.total_steps(), model.steps_per_epoch()
    with torch.device("meta"):  # shapes without values: groups need no more
        network = model.make_network(replace(model.encoder_option, random_weights=True))
        losses = (model.criteria_loss_option.build(model.datamodule.positive_rates()), model.task_weights)
        groups = parameter_groups(network, optimizer, lora_b_ratio=model.peft_option.lora_b_ratio, losses=losses)
    steps = range(total + 1)
    if isinstance(optimizer, Adafactor) and optimizer.relative_step:
        own = optimizer.own_rate()
        rates = {"lr of every group": [own(step) for step in steps]}
    else:
        curve = schedule.curve(total, per_epoch)
        rates = {name: [lr * curve(step) for step in steps] for name, lr in named_rates(groups).items()}
    title = f"{type(optimizer).__name__}, {type(schedule).__name__}"
    if isinstance(schedule, ReduceOnPlateau):
        title += ", as if the metric were best after the first epoch that counts"
    return RateCurves(title, total, per_epoch, rates)
