"""``redsm5 predict``: probability, decision and evidence spans per post and criterion, as JSONL or Parquet."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.datamodules.corpus import Post
    from redsm5.inference.predictor import Predictor

OUTPUT_SUFFIXES = (".jsonl", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", nargs="?", help="folder of a finished run, or an exported model")
    parser.add_argument("--config", help="instead of MODEL: the config.yaml of a run")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--posts", help="posts as CSV, Parquet or JSONL with post_id and text; - reads JSONL from stdin"
    )
    source.add_argument("--text", help="the text of one post")
    parser.add_argument("--out", default="-", help="JSONL or Parquet file to write (default: JSONL on stdout)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file at --out where it is there")
    parser.add_argument("--device", default="auto", help="auto (CUDA where there is a GPU), cpu, cuda, cuda:1 ...")
    parser.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--batch-tokens", type=int, help="padded tokens per batch (default: 8192): what memory allows")


def run(args: argparse.Namespace) -> int:
    """Predict; returns the exit code."""
    if (args.model is None) == (args.config is None):
        raise UserError("name the model once: redsm5 predict FOLDER, or --config RUN/config.yaml")
    for name, value in (("--threads", args.threads), ("--batch-tokens", args.batch_tokens)):
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}; it must be at least 1")
    if args.text is not None and not args.text.strip():
        raise UserError("--text is empty; give the text of a post")
    _check_out(args.out, args.posts, overwrite=args.overwrite)

    from redsm5.run.quiet import quiet_libraries

    quiet_libraries()
    import torch

    from redsm5.datamodules.corpus import Post
    from redsm5.datamodules.post_stream import PostStream
    from redsm5.inference.load import load
    from redsm5.inference.predictor import BATCH_TOKENS
    from redsm5.run.folder import RunFolder

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    folder = args.model or RunFolder.of_config(Path(args.config)).path
    predictor = load(folder, device=args.device, batch_tokens=args.batch_tokens or BATCH_TOKENS)
    if args.text is not None:
        _write(predictor, [Post("text", args.text, "text")], args.out, overwrite=args.overwrite)
        return 0
    stream = PostStream(args.posts)
    _write(predictor, stream, args.out, overwrite=args.overwrite)
    if stream.without_text:
        print(
            f"left out: {stream.without_text:,} rows without text (the first: {stream.first_without_text})",
            file=sys.stderr,
        )
    if stream.repeated:
        print(
            f"note: {stream.repeated:,} rows repeat an id (the first: {stream.first_repeated}); their predictions "
            "cannot be told apart by post_id",
            file=sys.stderr,
        )
    return 0


def _check_out(out: str, posts: str | None, *, overwrite: bool) -> None:
    path = Path(out).absolute()
    if out == "-":
        if overwrite:
            raise UserError("--overwrite belongs to --out FILE; leave it out")
        return
    if not path.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {path.parent}; make it, or choose another")
    if path.is_dir():
        raise UserError(f"--out {out} is a directory; give a file")
    if path.suffix not in OUTPUT_SUFFIXES:
        raise UserError(f"--out {out}: the extension must be one of {', '.join(OUTPUT_SUFFIXES)}")
    if not path.exists():
        return
    from redsm5.datamodules.post_stream import holds
    from redsm5.inference.partial import already_there, partial_folder

    if posts is not None and holds(posts, path):
        raise UserError(f"--out {out} is the file of the posts; choose another")
    if not overwrite and not partial_folder(path).is_dir():
        raise already_there(path)


def _write(predictor: Predictor, posts: Iterable[Post], out: str, *, overwrite: bool) -> None:
    from redsm5.inference.output import chunk_lines, predict_to_file
    from redsm5.inference.predictor import chunks
    from redsm5.inference.progress import PredictionProgress

    with PredictionProgress() as progress:
        if out != "-":
            predict_to_file(predictor, posts, Path(out).absolute(), progress, overwrite=overwrite)
        else:
            for chunk in chunks(posts):
                sys.stdout.write(chunk_lines(predictor, chunk, progress))
                sys.stdout.flush()
    if out != "-":
        reused = f", {progress.reused:,} of them by an earlier run" if progress.reused else ""
        print(f"predictions: {out} ({progress.posts:,} posts{reused})")
