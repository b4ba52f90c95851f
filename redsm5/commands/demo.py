"""``redsm5 demo``: everything once, on a corpus of our own, without a hub or a GPU."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path

from redsm5.errors import UserError

POSTS = 1500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", default="runs/demo", help="folder for the corpus and the run")
    parser.add_argument("--config", default="configs/demo.yaml", help="config of the fit")
    parser.add_argument("--posts", type=int, default=POSTS, help="size of the corpus")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus")


def run(args: argparse.Namespace) -> int:
    """Run the steps as a user would type them; returns the exit code."""
    from redsm5.cli import main
    from redsm5.run.folder import RunFolder

    out = Path(args.out)
    if not Path(args.config).is_file():
        raise UserError(f"there is no config {args.config}; run in a checkout of redsm5, or add --config FILE")
    corpus, fitted, predictions = out / "corpus", out / "fit", out / "predictions.jsonl"
    # A finished run is made anew; one that was interrupted goes on.
    again = ["--fresh"] if RunFolder(fitted).is_finished else []
    started = time.monotonic()
    steps = [
        [
            "data",
            "synth",
            "--profile",
            "demo",
            "--posts",
            str(args.posts),
            "--seed",
            str(args.seed),
            "--out",
            str(corpus),
        ],
        ["data", "check", str(corpus)],
        ["fit", "--config", args.config, "--data.path", str(corpus), "--run_dir", str(fitted), *again],
        ["test", str(fitted)],
        ["baseline", str(fitted)],
        ["predict", str(fitted), "--posts", str(corpus / "redsm5_posts.csv"), "--out", str(predictions), "--overwrite"],
    ]
    for step in steps:
        print(f"\n$ redsm5 {shlex.join(step)}", flush=True)
        if code := main(step):
            return code
    print(
        f"\nDone in {time.monotonic() - started:.0f} s. The results are in {fitted.absolute()}:\n"
        "  report.json           every figure\n"
        "  view-test.html        the test posts with their evidence, figures and curves: open it in a browser\n"
        "  metrics.csv           one row per epoch and metric\n"
        "  config.yaml           the resolved config\n"
        f"and predictions for all posts in {predictions.absolute()}"
    )
    return 0
