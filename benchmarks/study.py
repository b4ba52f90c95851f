"""Seconds per trial that sampler, pruner and storage take late in a study, beside plain Optuna with the same sampler.

The trial itself is left out: what is timed is claiming, drawing, ten reports with the question whether to prune, and
telling. Run ``python benchmarks/study.py``; ``--json FILE`` also writes the figures to a file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile

from measure import in_own_process, machine, print_table, write_json

ARMS = {
    "ours": "redsm5 hpo: one transaction for a trial's parameters, WAL",
    "optuna": "Optuna: ask, report, should_prune, tell; SQLite as it comes",
}
PARTS = ("claim", "draw", "reports", "tell", "all")


def main() -> None:
    args = _arguments()
    rounds: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        given = {"work": folder, "at": args.at, "trials": args.trials}
        made = in_own_process("study_arms.py", {**given, "arm": "make"}, threads=1)
        for _ in range(args.rounds):
            for arm in ARMS:
                rounds[arm].append(in_own_process("study_arms.py", {**given, "arm": arm}, threads=1))
    results = {
        arm: {key: statistics.median(found[key] for found in all_found) for key in all_found[0]}
        for arm, all_found in rounds.items()
    }
    ratio = {key: results["optuna"][key] / results["ours"][key] for key in ("all", "processor")}
    rows = [
        [name, *(f"{1000 * results[arm][part]:,.0f}" for part in PARTS), f"{1000 * results[arm]['processor']:,.0f}"]
        for arm, name in ARMS.items()
    ]
    rows.append(["Optuna / ours", "", "", "", "", f"{ratio['all']:.2f}", f"{ratio['processor']:.2f}"])
    space = f"{made['dimensions']} dimensions, {made['active']} of them active"
    print_table(
        f"Milliseconds per trial after {args.at} trials, {space}",
        ["", *PARTS, "processor"],
        rows,
    )
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        figures = {"space": made, "rounds": rounds, "medians": results, "ratio": ratio}
        write_json(args.json, {"machine": facts, "settings": settings, **figures})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", type=int, default=1000, help="trials that the study has (default: 1000)")
    parser.add_argument("--trials", type=int, default=15, help="trials that are timed, in each round (default: 15)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--folder", help="where the databases are (default: the folder for temporary files)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
