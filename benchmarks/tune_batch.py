"""The search for a batch size beside Lightning's own: size, probes, seconds, and whether the longest posts fit.

Run ``python benchmarks/tune_batch.py``; ``--json FILE`` also writes the figures to a file. Each arm runs in a process
of its own that has ``--memory-gb``: on a CPU its data segment is limited, on a GPU the allocator.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from measure import in_own_process, machine, print_table, write_json
from workload import make_workload

ARMS = {
    "predicted": "redsm5 tune-batch",
    "power": "redsm5 tune-batch --mode power",
    "binsearch": "redsm5 tune-batch --mode binsearch",
    "lightning power": "Lightning's Tuner, power",
    "lightning binsearch": "Lightning's Tuner, binsearch",
}


def main() -> None:
    args = _arguments()
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        work = make_workload(Path(folder), posts=args.posts, seed=0, layers=args.layers, hidden=args.hidden)
        for done in range(args.rounds):
            for arm in ARMS:
                given = {"arm": arm, "work": work.folder, "length": args.length, "memory-gb": args.memory_gb}
                found[arm].append(in_own_process("tune_batch_arms.py", given, threads=1))
                print(f"round {done + 1} of {args.rounds}, {arm}: {found[arm][-1]['seconds']:.1f} s", flush=True)
    medians = {
        arm: {key: median(one[key] for one in rounds) for key in ("examples", "probes", "seconds")}
        for arm, rounds in found.items()
    }
    ours = medians["predicted"]
    rows = []
    for arm, what in ARMS.items():
        holds = sum(one["holds"] for one in found[arm])
        figures = medians[arm]
        rows.append(
            [
                what,
                f"{figures['examples']:.0f}",
                f"{holds} of {args.rounds}",
                f"{figures['probes']:.0f}",
                f"{figures['seconds']:.1f}",
                f"{figures['seconds'] / ours['seconds']:.2f}",
            ]
        )
    title = f"Largest training batch in {args.memory_gb:g} GB, posts of up to 8 windows of {args.length} tokens"
    print_table(title, ["arm", "posts", "longest posts fit", "probes", "wall s", "times ours"], rows)
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        write_json(args.json, {"machine": facts, "settings": settings, "arms": found, "medians": medians})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=400, help="training posts (default: 400)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each arm, in turn (default: 1)")
    parser.add_argument("--length", type=int, default=128, help="tokens of a window (default: 128)")
    parser.add_argument("--layers", type=int, default=6, help="layers of the encoder (default: 6)")
    parser.add_argument("--hidden", type=int, default=384, help="its width, a multiple of 32 (default: 384)")
    parser.add_argument("--memory-gb", type=float, default=3.0, help="memory of each arm (default: 3)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
