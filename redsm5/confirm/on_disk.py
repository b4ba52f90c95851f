"""``confirm.json`` as others read it: where it is of the trials that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from redsm5.confirm.models import Confirmation
from redsm5.confirm.sameness import config_sha256
from redsm5.datamodules.manifest import manifest_sha256
from redsm5.errors import UserError
from redsm5.hpo.results import CONFIG_FILE
from redsm5.hpo.retention import trial_folder
from redsm5.report.made import read_made
from redsm5.report.study_models import TrialReport
from redsm5.run.folder import RunFolder

CONFIRM_FILE = "confirm.json"
"""In the folder of the study."""


def read_confirmation(
    study: Path, reports: Mapping[int, TrialReport], tell: Callable[[str], None]
) -> Confirmation | None:
    """What it says, where it is of the trials that are there now, and of their corpus and split; else None.

    Args:
        study: Folder of the study.
        reports: Of its trials that have ended, by number.
        tell: Says why it is left out.
    """
    path = study / CONFIRM_FILE
    found = read_made(path, Confirmation, tell)
    if found is None:
        return None
    for one in found.candidates:
        config = trial_folder(study, one.trial) / CONFIG_FILE
        try:
            same = one.trial in reports and config_sha256(config) == one.config_sha256
        except OSError:
            same = False
        if not same:
            tell(f"{path} is of other trials than are there now (trial {one.trial}), and left out")
            return None
        if not _same_posts(RunFolder(study / reports[one.trial].run), found):
            tell(f"{path} is of another corpus or split than trial {one.trial}, and left out")
            return None
    return found


def _same_posts(run: RunFolder, found: Confirmation) -> bool:
    """Whether a trial was trained on posts that the folds are of; the config does not say what its files held."""
    if not run.path.is_dir():  # it is on another machine
        return True
    try:
        return manifest_sha256(run.split) == (found.corpus_sha256, found.split_sha256)
    except UserError:
        return False
