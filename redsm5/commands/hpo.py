"""``redsm5 hpo``: the search over hyperparameters."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redsm5.errors import UserError
from redsm5.interrupts import sigterm_as_ctrl_c
from redsm5.shipped import config_or

if TYPE_CHECKING:
    from redsm5.hpo.board import Board
    from redsm5.hpo.records import Records
    from redsm5.hpo.settings import HpoSettings
    from redsm5.hpo.study import Study
    from redsm5.hpo.workers import Start

TAKES_CONFIG = True
UNTESTED = ("val_loss",)
"""Objectives that an evaluation of a part has no figure of."""
ACTIONS = ("status", "choose", "dashboard")
DEFAULT_CONFIG = "configs/hpo.yaml"
DASHBOARD = (
    "import os, sys; from optuna_dashboard._cli import main; "
    "sys.argv.append(os.environ.pop('REDSM5_DASHBOARD')); main()"
)
"""What its own command runs, whatever PATH is; the URL may hold a password, which others can read in a command line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command beside those of the config."""
    parser.usage = f"{parser.prog} [{'|'.join(ACTIONS)}] [--config FILE ...] [options below] [options of redsm5 fit]"
    add = parser.add_argument
    add("--n-trials", metavar="N", type=int, help="trials of the study in total (1000)")
    add("--space", metavar="FILE", help="the search space: a file, or space, quick, peft, cpu (space)")
    add("--study-dir", metavar="DIR", help="folder of the study (runs/hpo)")
    add("--storage", metavar="URL", help="its database, for workers on several machines: postgresql://USER@HOST/NAME, "
        "mysql://...; by default a file in the folder of the study")  # fmt: skip
    add("--study", metavar="NAME", help="its name in the database (that of the folder)")
    add("--workers", metavar="N", type=int, help="processes, one per GPU (1)")
    add("--launcher", metavar="NAME", help="what places them: local, ray (a Ray cluster), slurm (local)")
    add(
        "--address", metavar="HOST:PORT", help="head of the Ray cluster; by default RAY_ADDRESS, or Ray on this machine"
    )
    add("--slurm", metavar="JSON", type=_mapping, help="parameters of the Slurm jobs: '{\"timeout_min\": 1440}'")
    add("--objective", metavar="METRIC", help="validation metric to optimise (val_f1_macro)")
    add("--objectives", metavar="LIST", type=_names, help="several at once, the main one first: metrics, peak_memory, "
        "train_time: val_f1_macro,peak_memory")  # fmt: skip
    add("--seed", metavar="N", type=int, help="of the study (0)")
    add("--sampler", metavar="CLASS", help="of optuna.samplers (TPESampler)")
    add("--sampler-options", metavar="JSON", type=_mapping, help="of its constructor, over ours")
    add("--pruner", metavar="CLASS", help="of optuna.pruners (MedianPruner)")
    add("--pruner-options", metavar="JSON", type=_mapping, help="of its constructor, over ours")
    add("--prune-by", metavar="METRIC", help="validation metric that it compares (val_auprc_macro for decisions)")
    add("--keep", metavar="N", type=int, help="best trials whose weights stay on the disk (5)")
    add("--trial", metavar="N", type=int, help="with choose: the trial whose config is written")
    add("--out", metavar="FILE", help="with choose: where to (best.yaml in the folder of the study)")
    add("--show-space", action="store_true", help="print the search space and end")
    add("--as-worker", nargs=2, help=argparse.SUPPRESS)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _mapping(text: str) -> dict[str, Any]:
    with suppress(json.JSONDecodeError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    raise argparse.ArgumentTypeError(f"{text} is no JSON object, as in '{{\"name\": 1}}'")


SETTINGS = ("n_trials", "space", "study_dir", "storage", "study", "workers", "launcher", "address", "slurm",
            "objective", "objectives", "seed", "sampler", "sampler_options", "pruner", "pruner_options",
            "prune_by", "keep")  # fmt: skip


OF_CHOOSE = ("trial", "out")
"""Options of that action alone."""


def run(args: argparse.Namespace) -> int:
    """Search, or show how far a search is; returns the exit code.

    Raises:
        UserError: The options are not usable, or the search cannot go on.
    """
    for name in OF_CHOOSE:
        if getattr(args, name) is not None and args.action != "choose":
            raise UserError(f"--{name} goes with redsm5 hpo choose; take it out, or say redsm5 hpo choose")
    given = {name: value for name in SETTINGS if (value := getattr(args, name)) is not None}
    config = config_or(DEFAULT_CONFIG, list(args.config), needed=args.action is None)
    import optuna

    from redsm5.hpo.settings import read_settings
    from redsm5.hpo.storage import Away, DatabaseAway, reaching
    from redsm5.hpo.worker_process import handed_on

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if args.as_worker is not None:
        given |= handed_on()
    with tempfile.TemporaryDirectory(prefix="redsm5-hpo-") as scratch:
        settings, rest = read_settings(config, given, Path(scratch))
        if args.show_space:
            return _show_space(settings)
        try:
            with reaching():
                return _act(settings, rest, args)
        except Away as away:
            raise DatabaseAway(f"the database does not answer: {away}; the same command goes on") from away


def _act(settings: HpoSettings, config: list[str], args: argparse.Namespace) -> int:
    match args.action:
        case "choose":
            return _choose(settings, args.trial, args.out)
        case "status":
            return _status(settings)
        case "dashboard":
            return _dashboard(settings)
    return _search(settings, config, args)


def _search(settings: HpoSettings, config: list[str], args: argparse.Namespace) -> int:
    from redsm5.hpo.launchers import check_launcher, launch
    from redsm5.hpo.worker_process import end_when_told, refuse_foreign, worker_args

    if args.as_worker is None:
        check_launcher(settings)
    else:
        refuse_foreign(settings, *args.as_worker)
        end_when_told()

    if args.as_worker is not None:
        return _work(settings, config)
    from redsm5.hpo.base_config import gpus, on_cpu
    from redsm5.hpo.board import Board
    from redsm5.hpo.finish import finish
    from redsm5.hpo.records import read_records
    from redsm5.hpo.storage import patiently
    from redsm5.hpo.study import PATIENCE, open_study
    from redsm5.hpo.worker import Worker

    alone = settings.launcher == "local" and settings.workers == 1
    with (
        sigterm_as_ctrl_c(),
        nullcontext() if alone else launch(settings, worker_args(args.given), gpus(), on_cpu(config)) as start,
    ):
        study = open_study(settings, config, _say)
        if study.plan.objective in UNTESTED:
            _say(f"{study.plan.objective} has no figure on the test part: the best trial is evaluated there by the "
                 "other metrics, and the optimism of the search is not known")  # fmt: skip
        known = patiently(lambda: read_records(study.optuna), PATIENCE)
        if known.ended:
            _say(f"going on with {settings.folder}: {len(known.ended)} of {settings.n_trials} trials have ended")
        with Board(study, known, works=start is None) as board:
            if start is None:
                worker = Worker(study, board.note)
                worker.work(board.update)
            else:
                _run_workers(study, start, board, known)
    budget = patiently(study.budget, PATIENCE)  # another terminal may have changed it
    study = replace(study, settings=replace(settings, n_trials=budget))
    report = finish(study, _say)
    _show(study, report)
    return 0


def _work(settings: HpoSettings, config: list[str]) -> int:
    """Be a worker of a launcher; returns the exit code."""
    from redsm5.hpo.storage import Away, DatabaseAway, reaching
    from redsm5.hpo.study import open_study
    from redsm5.hpo.worker import Worker
    from redsm5.hpo.worker_process import TRY_AGAIN

    try:
        with reaching():
            # What share of the trials has failed is judged by the command, which knows those of all workers.
            Worker(open_study(settings, config, _say, as_worker=True), _say, alone=False).work()
    except (DatabaseAway, Away) as away:
        _say(f"redsm5: error: {away}")
        return TRY_AGAIN
    return 0


def _run_workers(study: Study, start: Start, board: Board, before: Records) -> None:
    from redsm5.hpo.failures import refuse_failing
    from redsm5.hpo.records import read_records
    from redsm5.hpo.storage import Away, reaching
    from redsm5.hpo.workers import Progress, Workers
    from redsm5.report.study_models import TrialReport

    settings, reports = study.settings, dict[int, TrialReport]()
    progress = Progress(len(before.ended), before.below(settings.n_trials), settings.n_trials)

    def look() -> Progress:
        nonlocal progress
        records = before
        with suppress(Away), reaching():  # the workers have patience, and so has this
            budget = study.budget()
            records = read_records(study.optuna, reports)
            board.update(records)
            progress = Progress(len(records.ended), records.below(budget), budget)
        refuse_failing(records, before, settings.max_failed, study.folder)
        return progress

    Workers(start, settings.workers, board.note).run(look)


def _show(study: Study, report: Any) -> None:
    from redsm5.hpo.chosen import BEST_FILE
    from redsm5.hpo.results import STUDY_FILE
    from redsm5.hpo.status import lines, values_words

    best = report.best[0]
    print(*_status_lines(study, lines), sep="\n")
    print(f"best: trial {best.trial}, {report.objective} {best.value:.4f} on the validation part")
    for other in report.front:
        print(f"on the front: trial {other.trial}, {values_words(other.objectives)}")
    if len(report.best) > 1:
        print(f"as good: trial {', '.join(str(other.trial) for other in report.best[1:])} (the lower val_loss decided)")
    if report.test is not None and report.test.value is not None:
        print(f"on the test part: {report.test.value:.4f}; optimism {report.test.optimism:+.4f}")
    print(f"{study.folder / STUDY_FILE}\nredsm5 fit --config {study.folder / BEST_FILE}")


def _choose(settings: HpoSettings, trial: int | None, out: str | None) -> int:
    from redsm5.hpo.chosen import BEST_FILE, choose
    from redsm5.hpo.study import load_study

    if trial is None:
        raise UserError("redsm5 hpo choose needs the number of a trial: --trial 17")
    path = Path(out) if out else settings.folder / BEST_FILE
    choose(load_study(settings), trial, path)
    print(f"redsm5 fit --config {path}")
    return 0


def _status(settings: HpoSettings) -> int:
    from redsm5.hpo.status import lines
    from redsm5.hpo.study import load_study

    print(*_status_lines(load_study(settings), lines), sep="\n")
    return 0


def _status_lines(study: Study, lines: Any) -> list[str]:
    from collections import Counter

    from redsm5.hpo.records import read_records
    from redsm5.hpo.retention import disk_bytes
    from redsm5.hpo.storage import patiently
    from redsm5.hpo.study import LOOK_PATIENCE

    records: Records = patiently(lambda: read_records(study.optuna), LOOK_PATIENCE)
    reasons = Counter(report.reason for report in records.of("FAIL"))
    direction = study.plan.direction.name.lower()
    found: list[str] = lines(records, study.settings.n_trials, direction, disk_bytes(study.folder), dict(reasons))
    return found


def _dashboard(settings: HpoSettings) -> int:
    from importlib.util import find_spec

    from redsm5.hpo.study import load_study

    if find_spec("optuna_dashboard") is None:
        raise UserError("the dashboard needs optuna-dashboard; install it with pip install 'redsm5[dashboard]'")
    url = load_study(settings).storage.url
    os.environ["REDSM5_DASHBOARD"] = str(url)
    os.execvp(sys.executable, [sys.executable, "-c", DASHBOARD])


def _show_space(settings: HpoSettings) -> int:
    from rich.console import Console

    from redsm5.hpo.space.read import read_space
    from redsm5.hpo.space.show import show

    Console().print(show(read_space(settings.space_file)))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
