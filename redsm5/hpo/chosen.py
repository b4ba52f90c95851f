"""The config of a trial for whoever goes on with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from redsm5.atomic import write_text_atomically
from redsm5.errors import UserError
from redsm5.hpo.records import read_records
from redsm5.hpo.results import CONFIG_FILE
from redsm5.hpo.retention import trial_folder
from redsm5.hpo.storage import patiently
from redsm5.hpo.study import PATIENCE, Study
from redsm5.report.study_models import TrialReport

BEST_FILE = "best.yaml"
"""In the folder of a study."""


def write_best(study: Study, config: str, best: TrialReport, tell: Callable[[str], None]) -> None:
    """Write the config of the best trial where its user looks for it: into the folder of the study, and beside others.

    Args:
        study: The study.
        config: Of the trial, as it ran.
        best: Its report.
        tell: Says where it is not written.
    """
    paths = [study.folder / BEST_FILE]
    if named := study.settings.best_config:
        if (path := Path(named)).parent.is_dir():
            paths.append(path)
        else:
            tell(f"hpo.best_config: there is no folder {path.parent} here; the best config is {paths[0]} alone")
    for path in paths:
        write_text_atomically(path, _config(study, config, best, path))


def choose(study: Study, trial: int, path: Path) -> None:
    """Write the config of a trial: of the best one for purposes that one number does not say.

    Raises:
        UserError: It was not trained to its end, or its config is not here, or the file cannot be written.
    """
    records = patiently(lambda: read_records(study.optuna), PATIENCE)
    report = next((report for report in records.of("COMPLETE") if report.trial == trial), None)
    config = trial_folder(study.folder, trial) / CONFIG_FILE
    if report is None:
        raise UserError(f"the study has no trial {trial} that was trained to its end; redsm5 hpo status lists the best")
    if not config.exists():
        raise UserError(f"there is no {config}; the trial ran on {report.host}: choose it there")
    write_text_atomically(path, _config(study, config.read_text(encoding="utf-8"), report, path))


def _config(study: Study, config: str, trial: TrialReport, path: Path) -> str:
    """The config of a trial, headed by how to run it and where it is from."""
    resolved = yaml.safe_load(config)
    resolved["run_dir"] = f"runs/{path.stem}"
    source = f"Trial {trial.trial} of the study {study.settings.label}"
    found = f"{trial.objective} {trial.value:.4f} on the validation part"
    return f"# redsm5 fit --config {path}\n# {source}: {found}.\n" + yaml.safe_dump(resolved, sort_keys=False)
