"""Bytes that the checkpoints of a fit take, at the peak and at the end, beside Lightning's with every epoch kept.

Run ``python benchmarks/storage.py``; ``--json FILE`` also writes the figures to a file.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from measure import in_own_process, machine, print_table, write_json
from workload import make_workload

METHODS = {"full": "full fine-tuning", "lora": "LoRA, r 8, query and value"}
ARMS = {"all": "Lightning, save_top_k=-1", "ours": "redsm5 fit"}


def main() -> None:
    args = _arguments()
    rows, results = [], {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        work = make_workload(Path(folder), posts=args.posts, seed=0, layers=args.layers, hidden=args.hidden)
        for method, what in METHODS.items():
            arms = {}
            for arm in ARMS:
                given = {"arm": arm, "method": method, "work": work.folder, "epochs": args.epochs}
                arms[arm] = in_own_process("storage_arms.py", given, threads=1)
                shutil.rmtree(work.folder / "run")
            results[method] = arms
            for arm, name in ARMS.items():
                found, every = arms[arm], arms["all"]
                less = [f"{1 - found[key] / every[key]:.1%}" if arm != "all" else "" for key in ("peak", "end")]
                sizes = [f"{found[key] / 1e6:,.1f}" for key in ("peak", "end")]
                seconds = f"{1000 * found['seconds'] / found['saves']:,.0f}"
                rows.append([f"{what}: {name}", sizes[0], less[0], sizes[1], less[1], f"{found['saves']}", seconds])
    print_table(
        f"Checkpoints of {args.epochs} epochs",
        ["", "peak MB", "less", "end MB", "less", "saves", "ms per save"],
        rows,
    )
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        write_json(args.json, {"machine": facts, "settings": settings, "methods": results})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=40, help="training posts (default: 40)")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of a run (default: 30)")
    parser.add_argument("--layers", type=int, default=6, help="layers of the encoder (default: 6)")
    parser.add_argument("--hidden", type=int, default=384, help="its width (default: 384)")
    parser.add_argument("--folder", help="where the checkpoints are written (default: the folder for temporary files)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
