"""``redsm5 confirm``: the best trials of a search, trained again on several seeds and folds."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from redsm5.commands.places import add_places, places

if TYPE_CHECKING:
    from redsm5.confirm.models import Refit
    from redsm5.confirm.refits import Clock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("study_dir", metavar="STUDY", help="folder of the study")
    parser.add_argument("--top", metavar="K", type=int, default=5, help="best trials to confirm (5)")
    parser.add_argument("--seeds", metavar="N", type=int, default=3, help="trainings of each fold (3)")
    parser.add_argument("--folds", metavar="N", type=int, default=5, help="of the training and validation posts (5)")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="trainings at a time, one per GPU (1)")
    parser.add_argument("--storage", metavar="URL", help="its database, where that is not in its folder")
    parser.add_argument("--study", metavar="NAME", help="its name in a database of several (that of the folder)")
    add_places(parser, training=True)


def run(args: argparse.Namespace) -> int:
    """Confirm; returns the exit code."""
    import optuna
    from rich.console import Console

    from redsm5.confirm.confirmation import confirm
    from redsm5.confirm.on_disk import CONFIRM_FILE
    from redsm5.confirm.table import failures, sentences, table
    from redsm5.confirm.tasks import Asked
    from redsm5.hpo.settings import HpoSettings
    from redsm5.hpo.study import load_study

    asked = Asked(args.top, args.seeds, args.folds, args.workers, places(vars(args)))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = load_study(HpoSettings(study_dir=args.study_dir, storage=args.storage, study=args.study))
    with Lines(study.plan.objective) as lines:
        found = confirm(study, asked, lines.begin, lines.note, lines.warn)
    Console().print(table(found))
    print("\n".join([*sentences(found), *failures(found.candidates)]))
    print(study.folder / CONFIRM_FILE)
    return 0 if found.best is not None else 1


class Lines:
    """A line per refit, and how long the rest takes: in a bar on a terminal, else in each line."""

    def __init__(self, objective: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._objective = objective
        self._clock: Clock | None = None
        self._bar = Progress(
            BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
            console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Lines:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        self._bar.stop()

    def begin(self, refits: int) -> None:
        """Say how many there are."""
        from redsm5.confirm.refits import Clock

        self._clock = Clock(refits)
        self._bar.update(self._task, total=refits)

    def warn(self, sentence: str) -> None:
        """Something that the numbers do not show."""
        self._bar.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def note(self, refit: Refit, new: bool) -> None:
        """One has ended."""
        from redsm5.confirm.table import refit_line
        from redsm5.hpo.status import span

        assert self._clock is not None
        self._clock.count(new)
        left = "" if self._clock.left is None else f"{span(self._clock.left)} left"
        self._bar.update(self._task, completed=self._clock.done, description=left)
        if not new:
            return
        line = refit_line(refit, self._objective)
        if self._bar.disable:
            print(f"{line}; {self._clock.done} of {self._clock.total} refits, {left}", flush=True)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
