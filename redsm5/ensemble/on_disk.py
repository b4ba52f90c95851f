"""``ensemble.json`` of a study as others read it: where it is of the trials that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from redsm5.ensemble.models import ENSEMBLE_FILE, FOLDER, Ensemble
from redsm5.report.made import read_made
from redsm5.report.study_models import TrialReport


def read_ensemble(study: Path, reports: Mapping[int, TrialReport], tell: Callable[[str], None]) -> Ensemble | None:
    """What it says, where its members are trials that are there now; else None.

    Args:
        study: Folder of the study.
        reports: Of its trials that have ended, by number.
        tell: Says why it is left out.
    """
    path = study / FOLDER / ENSEMBLE_FILE
    found = read_made(path, Ensemble, tell)
    for one in () if found is None else found.members:
        if one.trial not in reports or (reports[one.trial].value or 0.0) != one.value:
            tell(f"{path} is of other trials than are there now (trial {one.trial}), and left out")
            return None
    return found
