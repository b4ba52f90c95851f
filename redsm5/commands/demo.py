"""``redsm5 demo``: everything once, on a corpus of our own, without a hub or a GPU."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from redsm5.errors import UserError
from redsm5.shipped import shipped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--search", action="store_true", help="a search of 30 trials instead of one fit")
    parser.add_argument("--out", help="folder for the corpus and what is made of it (runs/demo, runs/hpo-demo)")
    parser.add_argument("--config", help="config of the fit or search (configs/demo.yaml, configs/hpo-demo.yaml)")
    parser.add_argument("--posts", type=int, help="size of the corpus (1500, 120)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus")


def run(args: argparse.Namespace) -> int:
    """Run the steps as a user would type them; returns the exit code."""
    name = "hpo-demo" if args.search else "demo"
    out, config = Path(args.out or f"runs/{name}"), args.config or str(shipped(f"configs/{name}.yaml"))
    if not Path(config).is_file():
        raise UserError(f"there is no config {config}; run in a checkout of redsm5, or add --config FILE")
    started = time.monotonic()
    code = _search(out, config, args) if args.search else _fit(out, config, args)
    if code == 0:
        print(f"\nDone in {time.monotonic() - started:.0f} s.")
    return code


def _fit(out: Path, config: str, args: argparse.Namespace) -> int:
    corpus, fitted, predictions = out / "corpus", out / "fit", out / "predictions.jsonl"
    code = _run(
        _synth(corpus, "demo", args.posts or 1500, args.seed),
        ["data", "check", str(corpus)],
        ["fit", "--config", config, "--data.path", str(corpus), "--run_dir", str(fitted), *_again(fitted)],
        ["test", str(fitted)],
        ["baseline", str(fitted)],
        ["predict", str(fitted), "--posts", str(corpus / "redsm5_posts.csv"), "--out", str(predictions), "--overwrite"],
    )
    if code == 0:
        print(
            f"\nThe results are in {fitted.absolute()}:\n"
            "  report.json           every figure\n"
            "  view-test.html        the test posts with their evidence, figures and curves: open it in a browser\n"
            "  metrics.csv           one row per epoch and metric\n"
            "  config.yaml           the resolved config\n"
            f"and predictions for all posts in {predictions.absolute()}"
        )
    return code


def _search(out: Path, config: str, args: argparse.Namespace) -> int:
    corpus, study, default = out / "corpus", out / "study", out / "default"
    code = _run(
        _synth(corpus, "short", args.posts or 120, args.seed),
        ["hpo", "--config", config, "--data.path", str(corpus), "--study-dir", str(study)],
    )
    if code:
        return code
    found = json.loads((study / "study.json").read_text(encoding="utf-8"))
    best, objective = found["best"][0], found["objective"]
    encoder = best["config"]["model"]["encoder"]["id"]
    print("\nFor comparison: the config that every trial started from, with the encoder of the best one.")
    command = [
        "fit",
        "--config",
        str(study / "base.yaml"),
        "--data.path",
        str(corpus),
        "--model.encoder.id",
        encoder,
        "--run_dir",
        str(default),
    ]
    code = _run([*command, *_again(default)])
    if code == 0:
        without = json.loads((default / "training.json").read_text(encoding="utf-8"))["best_value"]
        print(
            f"\n{objective} on the validation part: {best['value']:.4f} of trial {best['trial']}, "
            f"{without:.4f} of the default config\n"
            f"The results are in {study.absolute()}:\n"
            "  study.json            every figure of the search\n"
            "  best.yaml             the config of the best trial, for redsm5 fit\n"
            "  trials/               one folder per trial: config, report, metrics"
        )
    return code


def _synth(corpus: Path, profile: str, posts: int, seed: int) -> list[str]:
    options = ["--profile", profile, "--posts", str(posts), "--seed", str(seed), "--out", str(corpus)]
    return ["data", "synth", *options]


def _again(run_dir: Path) -> list[str]:
    """A finished run is made anew; one that was interrupted goes on."""
    from redsm5.run.folder import RunFolder

    return ["--fresh"] if RunFolder(run_dir).is_finished else []


def _run(*steps: Sequence[str]) -> int:
    """Run commands until one fails; returns its exit code."""
    from redsm5.cli import main

    for step in steps:
        print(f"\n$ redsm5 {shlex.join(step)}", flush=True)
        if code := main(list(step)):
            return code
    return 0
