"""The run that holds the weights of a trial: its own, or that of its config trained again."""

from __future__ import annotations

from pathlib import Path

from redsm5.confirm.sameness import config_sha256
from redsm5.hpo.results import CONFIG_FILE
from redsm5.hpo.retention import refit_run, trial_folder
from redsm5.report.study_models import TrialReport
from redsm5.run.folder import RunFolder


def weights_run(study: Path, report: TrialReport) -> RunFolder | None:
    """The finished run that holds the weights of a trial: its own, or its config trained again in ``refits``.

    Args:
        study: Folder of the study.
        report: Of the trial.

    Returns:
        None where there is none here.
    """
    own, again = RunFolder(study / report.run), RunFolder(refit_run(study, report.trial))
    if own.kept.best() is not None:
        return own
    finished = again.is_finished and again.kept.best() is not None
    return again if finished and is_trained_again(study, report) else None


def is_trained_again(study: Path, report: TrialReport) -> bool:
    """Whether the run of a trial in ``refits`` is of its config, but for where files lie.

    The config of a run names the encoder that its pretraining has left, that of a trial how to pretrain: where there
    was pretraining, the two runs have the same config.

    Args:
        study: Folder of the study.
        report: Of the trial.
    """
    again = _sha256(RunFolder(refit_run(study, report.trial)).config)
    trial, own = trial_folder(study, report.trial) / CONFIG_FILE, RunFolder(study / report.run).config
    return again is not None and again in (_sha256(trial), _sha256(own))


def train_again(study: Path, trial: int) -> str:
    """The command that trains the config of a trial again, into ``refits``."""
    config = trial_folder(study, trial) / CONFIG_FILE
    return f"redsm5 fit --config {config} --run_dir {refit_run(study, trial)}"


def _sha256(config: Path) -> str | None:
    try:
        return config_sha256(config)
    except OSError:
        return None
