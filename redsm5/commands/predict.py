"""``redsm5 predict``: probability, decision and evidence spans per post and criterion, as JSONL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.datamodules.corpus import Post
    from redsm5.run.folder import RunFolder
    from redsm5.run.lightning_cli import ReDSM5CLI


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", nargs="?", help="folder of a finished run")
    parser.add_argument("--config", help="instead of RUN: its config.yaml")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--posts", help="posts as CSV, Parquet or JSONL with post_id and text; - reads JSONL from stdin"
    )
    source.add_argument("--text", help="the text of one post")
    parser.add_argument("--out", default="-", help="JSONL file to write (default: stdout)")


def run(args: argparse.Namespace) -> int:
    """Predict; returns the exit code."""
    if (args.run is None) == (args.config is None):
        raise UserError("name the run once: redsm5 predict RUN_DIR, or --config RUN_DIR/config.yaml")
    if args.out != "-" and not Path(args.out).absolute().parent.is_dir():
        raise UserError(f"--out {args.out}: there is no folder {Path(args.out).absolute().parent}")

    from redsm5.atomic import write_text_atomically
    from redsm5.datamodules.corpus import Post
    from redsm5.datamodules.reading import read_posts
    from redsm5.run.evaluation import open_run, read_thresholds
    from redsm5.run.predictions import prediction_lines

    posts = read_posts(args.posts) if args.text is None else (Post(id="text", text=args.text, author="text"),)
    cli, folder = open_run([args.run] if args.run else ["--config", args.config], command="predict")
    predicted = _predict(cli, folder, posts)
    codes = cli.datamodule.codes
    lines = prediction_lines(predicted, codes, read_thresholds(folder, codes))
    if args.out == "-":
        sys.stdout.write(lines)
    else:
        write_text_atomically(Path(args.out), lines, mode=0o600)
        print(f"predictions: {args.out}")
    return 0


def _predict(cli: ReDSM5CLI, folder: RunFolder, posts: tuple[Post, ...]) -> list:  # type: ignore[type-arg]
    from redsm5.callbacks.checkpoint_io import AtomicCheckpointIO

    cli.datamodule.set_predict_posts(posts)
    trainer = cli.make_trainer(plugins=[AtomicCheckpointIO()], default_root_dir=str(folder.path))
    trainer.predict(
        cli.model, datamodule=cli.datamodule, ckpt_path=folder.best, weights_only=True, return_predictions=False
    )
    return cli.model.predicted["predict"]
