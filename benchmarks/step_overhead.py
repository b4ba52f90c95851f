"""Milliseconds that a step of ``redsm5 fit`` takes beyond a plain PyTorch loop of the same model on the same batches.

Run ``python benchmarks/step_overhead.py``; ``--json FILE`` also writes the figures to a file.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from measure import device_type, in_own_process, machine, print_table, write_json
from workload import make_workload

ARMS = {
    "plain": "plain loop, batches ready",
    "loader": "plain loop, batches from our loader",
    "fit": "redsm5 fit",
}


def main() -> None:
    args = _arguments()
    clock = "wall" if device_type() == "cuda" else "processor"
    rounds: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        work = make_workload(Path(folder), posts=args.posts, seed=args.seed, layers=args.layers, hidden=args.hidden)
        for _ in range(args.rounds):
            for arm in ARMS:
                given = {"arm": arm, "work": work.folder, "epochs": args.epochs, "threads": args.threads}
                measured = in_own_process("step_overhead_arms.py", given, threads=args.threads)
                rounds[arm].append({**measured, "ms_per_step": 1000 * measured[clock] / measured["steps"]})
    medians = {arm: {key: median(r[key] for r in rows) for key in rows[0]} for arm, rows in rounds.items()}
    above = {arm: medians[arm]["ms_per_step"] - medians["plain"]["ms_per_step"] for arm in ARMS}
    print_table(
        f"A training step, medians of {args.rounds} rounds; {clock} time",
        ["arm", "steps", "useful tokens", "ms per step", "above plain"],
        [
            [what, f"{m['steps']:.0f}", f"{m['useful_tokens']:,.0f}", f"{m['ms_per_step']:.2f}", f"{above[arm]:.2f}"]
            for arm, what in ARMS.items()
            for m in [medians[arm]]
        ],
    )
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        arms = {arm: {"what": ARMS[arm], "median": medians[arm], "rounds": rounds[arm]} for arm in ARMS}
        report = {"machine": facts, "settings": settings, "clock": clock, "arms": arms, "ms_above_plain": above}
        write_json(args.json, report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=400, help="training posts (default: 400)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each arm, in turn (default: 3)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a run, the last of which counts (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: 1)")
    parser.add_argument("--layers", type=int, default=2, help="layers of the encoder (default: 2)")
    parser.add_argument("--hidden", type=int, default=32, help="its width, a multiple of 32 (default: 32)")
    parser.add_argument("--seed", type=int, default=0, help="of corpus and weights (default: 0)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
