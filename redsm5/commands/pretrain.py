"""``redsm5 pretrain``: the stages that the section ``pretraining`` of a config asks for, and their encoder."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.pretraining.chain import Chain

TAKES_CONFIG = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", help="folder for a copy of the encoder, which stays whatever becomes of the cache")
    parser.epilog = "All other options are those of redsm5 fit, whose config has the section pretraining."


def run(args: argparse.Namespace) -> int:
    """Make what is missing; returns the exit code."""
    from redsm5.cli import build_cli
    from redsm5.pretraining.chain import chain_of

    out = None if args.out is None else Path(args.out).absolute()
    if out is not None and out.exists():
        raise UserError(f"--out {out} is there already; choose another folder")
    config = build_cli(args.config, command="pretrain", parse_only=True).config
    if not _asks(config):
        raise UserError(
            "nothing is asked for: set pretraining.use_dapt or pretraining.use_tapt (configs/pretrain.yaml sets both)"
        )
    chain = chain_of(config)
    if (code := _make(chain, config)) != 0:
        return code
    chain.used_by()
    _say(chain)
    if out is not None:
        _copy(chain.encoder, out)
    return 0


def _asks(config: Any) -> bool:
    from redsm5.pretraining.options import Pretraining

    return bool(Pretraining(**config.pretraining.as_dict()).kinds)


def _make(chain: Chain, config: Any) -> int:
    """Make the stages that are missing, one after the other; the exit code."""
    import sys
    from dataclasses import replace

    from redsm5.callbacks.stop_signals import RunStopped
    from redsm5.checkpoints.options import Checkpointing
    from redsm5.logs import event, run_logs
    from redsm5.modules.encoder import Encoder
    from redsm5.pretraining.cache import made_once
    from redsm5.pretraining.stage import Work, make_stage
    from redsm5.run.crash import crash_logs_go_to
    from redsm5.run.lightning_cli import LIGHTNING_PRECISION
    from redsm5.run.trainer_options import TrainerOptions

    chosen, option = Encoder(**config.model.encoder.as_dict()), config.pretraining
    encoder = Encoder(
        chosen.id,
        chosen.revision,
        gradient_checkpointing=chosen.gradient_checkpointing,
        hidden_dropout=option.hidden_dropout,
        attention_dropout=option.attention_dropout,
        random_weights=chosen.random_weights,
    )
    for stage in chain.stages:
        work = Work(
            encoder,
            stage.texts,
            TrainerOptions(**config.trainer.as_dict()),
            LIGHTNING_PRECISION[config.runtime.precision],
            config.data.workers,
            Checkpointing(**config.checkpoint.as_dict()),
        )

        def make(stage: Any = stage, work: Work = work) -> None:
            with run_logs(stage.folder.path, "pretrain"):
                crash_logs_go_to(stage.folder.path, lambda: [post.text for post in chain.posts])
                make_stage(stage.folder, stage.recipe, stage.epochs, work)

        try:
            made = made_once(stage.folder, stage.epochs, make)
        except RunStopped as stopped:
            print(stopped, file=sys.stderr, flush=True)
            event("stopped", reason=str(stopped), signal=stopped.number)
            return 128 + stopped.number
        encoder = replace(encoder, id=str(made), revision=None, random_weights=False)
    return 0


def _say(chain: Chain) -> None:
    from redsm5.pretraining.record import read_record

    record = read_record(chain.encoder)
    assert record is not None
    for stage in record.chain:
        first, last = stage.curve[0], stage.curve[-1]
        print(
            f"{stage.kind.upper()}, {stage.epochs} of its epochs: perplexity of the held-out texts "
            f"{first.perplexity:.2f} before, {last.perplexity:.2f} after (loss {first.loss:.3f}, {last.loss:.3f})"
        )
    print(f"encoder: {chain.encoder}")


def _copy(encoder: Path, out: Path) -> None:
    from redsm5.pretraining.cache import aside

    try:
        with aside(out) as made:
            shutil.copytree(encoder, made, dirs_exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write --out {out}: {error.strerror}") from error
    print(f"copy: {out}")
