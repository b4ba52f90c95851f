"""``redsm5 ensemble``: the best trials of a search as one model that predicts like any other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from redsm5.commands.places import add_places, places

if TYPE_CHECKING:
    from rich.table import Table

    from redsm5.ensemble.models import Compared, Ensemble


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("study_dir", metavar="STUDY", help="folder of the study")
    parser.add_argument("--top", metavar="K", type=int, default=5, help="best trials to combine (5)")
    parser.add_argument(
        "--combine", choices=("mean", "rank"), default="mean", help="average their probabilities, or their ranks (mean)"
    )
    parser.add_argument(
        "--weights", choices=("equal", "fitted", "greedy"), default="equal",
        help="of the trials: equal, the likeliest mixture, or greedy selection (equal)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FOLDER", help="the exported ensemble (ensemble in the folder of the study)")
    parser.add_argument("--overwrite", action="store_true", help="replace an ensemble that is there")
    parser.add_argument("--storage", metavar="URL", help="its database, where that is not in its folder")
    parser.add_argument("--study", metavar="NAME", help="its name in a database of several (that of the folder)")
    add_places(parser, training=False)


def run(args: argparse.Namespace) -> int:
    """Make the ensemble; returns the exit code."""
    from redsm5.run.quiet import quiet_libraries

    quiet_libraries()
    import optuna
    from rich.console import Console

    from redsm5.ensemble.build import Asked, make_ensemble
    from redsm5.ensemble.models import FOLDER
    from redsm5.hpo.settings import HpoSettings
    from redsm5.hpo.study import load_study

    out = None if args.out is None else Path(args.out).expanduser().absolute()
    asked = Asked(args.top, args.combine, args.weights, out, args.overwrite, places(vars(args)))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = load_study(HpoSettings(study_dir=args.study_dir, storage=args.storage, study=args.study))
    made = make_ensemble(study, asked, lambda line: print(line, flush=True))
    Console().print(table(made))
    print("\n".join(sentences(made)))
    print(args.out or study.folder / FOLDER)
    return 0


def table(made: Ensemble) -> Table:
    """What was compared, a row each; the chosen one is marked."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from redsm5.ensemble.models import METRICS

    grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("", *METRICS.values(), "gain", "interval"):
        grid.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    for one in made.compared:
        cells = [number(one.scores[key]) if key in one.scores else "" for key in METRICS]
        apart = [] if one is made.compared[0] else gain(one)
        grid.add_row(*map(Text, (one.name + (" *" if one.name == made.chosen else ""), *cells, *apart)))
    return grid


def gain(one: Compared) -> list[str]:
    """What an arm gains over the best single trial, and its interval; nothing where it is undefined."""
    from redsm5.ensemble.models import MAIN

    ends = one.gain_intervals.get(MAIN)
    if MAIN not in one.gains or ends is None:
        return []
    return [signed(one.gains[MAIN]), f"{signed(ends.low)} to {signed(ends.high)}"]


def number(value: float) -> str:
    """As in the other tables: three decimals, no zero before the point."""
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.3f}"


def signed(value: float) -> str:
    """The same with a sign."""
    return f"{value:+.3f}".replace("0.", ".", 1)


def sentences(made: Ensemble) -> list[str]:
    """What it comes to."""
    from redsm5.ensemble.models import MAIN

    percent = f"{100 * made.level:.0f} %"
    said = [
        f"{made.posts} validation posts by {made.authors} authors. Macro F1 is at tuned thresholds, character F1 "
        f"(chars) end to end, AUPRC within folds; what is learned of posts (for a trial thresholds and the margin of "
        f"spans) is learned of the other {made.folds - 1} of {made.folds} folds. "
        f"Gains in macro F1, with {percent} intervals of a paired bootstrap over authors. The trials were chosen on "
        "these posts, and their own figures flatter."
    ]
    found = {one.name: one for one in made.compared}
    best, chosen = made.compared[0], found[made.chosen]
    if apart := gain(chosen):
        better = "better than" if chosen.gains[MAIN] > 0 else "as good as" if chosen.gains[MAIN] == 0 else "worse than"
        said.append(f"The ensemble (*) is {better} {best.name}: {apart[0]} ({apart[1]}).")
        ends = chosen.gain_intervals[MAIN]
        if ends.low <= 0 <= ends.high:
            said.append(f"{made.posts} posts are too few to tell them apart.")
    members = ", ".join(f"{member.trial} ({member.weight:.2f})" for member in made.members)
    return [*said, f"Its members and their weights: {members}."]
