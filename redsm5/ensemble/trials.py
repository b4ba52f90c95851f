"""From a study to what is combined: the runs that hold the weights of its best trials, and their corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from redsm5.cli import build_cli
from redsm5.confirm.trained import train_again, weights_run
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.reading import corpus_of
from redsm5.errors import UserError
from redsm5.hpo.results import CONFIG_FILE
from redsm5.hpo.retention import trial_folder
from redsm5.hpo.study import Study
from redsm5.report.study_models import TrialReport
from redsm5.run.folder import RunFolder


def weights_of(study: Study, report: TrialReport, top: int) -> RunFolder:
    """The run that holds the weights of a trial: its own, or its config trained again.

    Args:
        study: The study.
        report: Of the trial.
        top: How many of the best were asked for.

    Raises:
        UserError: There is none here.
    """
    found = weights_run(study.folder, report)
    if found is not None:
        return found
    if not (own := study.folder / report.run).is_dir():
        raise UserError(f"there is no {own}; trial {report.trial} ran on {report.host}: copy its folder from there")
    raise UserError(
        f"the weights of trial {report.trial}, one of the best {top}, are not kept; ask for a smaller --top, or train "
        f"it again: {train_again(study.folder, report.trial)}"
    )


def corpus_here(study: Study, report: TrialReport, places: Sequence[str]) -> Corpus:
    """The corpus of a study, which may lie elsewhere now than where the trial ran.

    Args:
        study: The study.
        report: Of any of its trials.
        places: Options of ``redsm5 fit`` that say where it lies here.

    Raises:
        UserError: It is not there, or cannot be read.
    """
    args = ["--config", str(_config(study, report)), *places]
    try:
        return corpus_of(build_cli(args, parse_only=True, elsewhere=True).config.data)
    except UserError as error:
        if places:
            raise
        raise UserError(f"{error}; where the corpus lies elsewhere by now, name its folder with --data.path") from error


def encoder_of(study: Study, report: TrialReport) -> str:
    """The name of a trial's encoder."""
    drawn = report.params.get("encoder")
    config = yaml.safe_load(_config(study, report).read_text(encoding="utf-8"))
    if drawn:
        return str(drawn)
    name = str(config["model"]["encoder"]["id"])
    return Path(name).name if Path(name).is_dir() else name  # a card passes it on: not where it lies here


def _config(study: Study, report: TrialReport) -> Path:
    path = trial_folder(study.folder, report.trial) / CONFIG_FILE
    if not path.exists():
        raise UserError(f"there is no {path}; trial {report.trial} ran on {report.host}: copy its folder from there")
    return path
