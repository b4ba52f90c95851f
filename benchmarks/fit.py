"""Useful tokens per second of a training epoch: redsm5 beside a notebook loop and the Trainer of transformers.

Run ``python benchmarks/fit.py``; ``--json FILE`` also writes the figures to a file.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from measure import device_type, in_own_process, machine, print_table, write_json
from workload import make_workload

ARMS = {
    "A": "notebook: all padded to 512",
    "B": "HF Trainer, dynamic padding",
    "C": "HF Trainer, grouped by length",
    "D": "redsm5 fit, both tasks",
    "D criteria": "redsm5 fit, criteria only",
}
PEERS = ("A", "B", "C")


def main() -> None:
    args = _arguments()
    device = device_type()
    # A GPU's first steps load kernels; on a CPU an epoch is long and its first step like any other.
    epochs = args.epochs or (3 if device == "cuda" else 1)
    readings: dict[str, list[dict[str, Any]]] = {arm: [] for arm in args.arms}
    with tempfile.TemporaryDirectory() as folder:
        work = make_workload(Path(folder), posts=args.posts, seed=args.seed, layers=args.layers, hidden=args.hidden)
        for done in range(args.rounds):
            for arm in args.arms:
                given = {"arm": arm, "work": work.folder, "epochs": epochs, "seed": args.seed, "threads": args.threads}
                measured = in_own_process("fit_arms.py", given, threads=args.threads)
                readings[arm].append(figures(measured, device))
                print(f"round {done + 1} of {args.rounds}, {arm}: {readings[arm][-1]['seconds']:.1f} s", flush=True)
    report = {
        "machine": machine(),
        "settings": {k: v for k, v in vars(args).items() if k not in ("json", "arms")} | {"epochs": epochs},
        "seconds": "wall" if device == "cuda" else "processor",
        "arms": {arm: summary(arm, rounds) for arm, rounds in readings.items()},
        "ratios": ratios(readings),
    }
    show(report)
    if args.json:
        write_json(args.json, report)


def figures(measured: dict[str, Any], device: str) -> dict[str, Any]:
    """What is reported of a run: wall time counts on a GPU, processor time elsewhere, since machines are shared."""
    seconds = measured["wall" if device == "cuda" else "processor"]
    return {
        "seconds": seconds,
        "processor_seconds": measured["processor"],
        "wall_seconds": measured["wall"],
        "tokens_per_second": measured["useful_tokens"] / seconds,
        "useful_tokens": measured["useful_tokens"],
        "padding": 1 - measured["useful_tokens"] / measured["padded_tokens"],
        "steps": measured["steps"],
    }


def summary(arm: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and the rounds."""
    return {"what": ARMS[arm], "median": {key: median(r[key] for r in rounds) for key in rounds[0]}, "rounds": rounds}


def ratios(readings: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """How many times as many useful tokens per second ours handle: of the medians, and the extremes of the rounds."""
    found = {}
    for own in [arm for arm in readings if arm not in PEERS]:
        for peer in [arm for arm in readings if arm in PEERS]:
            rounds = zip(readings[own], readings[peer], strict=True)
            pairs = [(o["tokens_per_second"], p["tokens_per_second"]) for o, p in rounds]
            each = [o / p for o, p in pairs]
            of_medians = median(o for o, _ in pairs) / median(p for _, p in pairs)
            found[f"{own} / {peer}"] = {"of_medians": of_medians, "least": min(each), "greatest": max(each)}
    return found


def show(report: dict[str, Any]) -> None:
    """Print the tables."""
    rows = []
    for arm, values in report["arms"].items():
        m = values["median"]
        tokens = [f"{m['tokens_per_second']:,.0f}", f"{m['useful_tokens']:,}", f"{m['padding']:.1%}"]
        seconds = [f"{m['processor_seconds']:.1f}", f"{m['wall_seconds']:.1f}"]
        rows.append([f"{arm}: {values['what']}", *tokens, str(m["steps"]), *seconds])
    columns = ["arm", "useful tokens/s", "useful tokens", "padding", "steps", "processor s", "wall s"]
    title = (
        f"One training epoch, medians of {report['settings']['rounds']} rounds; per second of {report['seconds']} time"
    )
    print_table(title, columns, rows)
    ranges = [
        [name, f"{r['of_medians']:.2f}", f"{r['least']:.2f}", f"{r['greatest']:.2f}"]
        for name, r in report["ratios"].items()
    ]
    if ranges:
        print_table("Ratios of useful tokens per second", ["ratio", "of medians", "least", "greatest"], ranges)
    print(", ".join(f"{name} {value}" for name, value in report["machine"].items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=200, help="training posts (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each arm, in turn (default: 3)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="arms to run (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: 1)")
    parser.add_argument("--epochs", type=int, help="epochs, the last of which counts (default: 1; on a GPU 3)")
    parser.add_argument("--layers", type=int, default=6, help="layers of the encoder (default: 6)")
    parser.add_argument("--hidden", type=int, default=384, help="its width, a multiple of 32 (default: 384)")
    parser.add_argument("--seed", type=int, default=0, help="of corpus, weights and batches (default: 0)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
