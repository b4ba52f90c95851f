"""What the folder of a study takes, by what is stored in it."""

from __future__ import annotations

import os
from pathlib import Path

from redsm5.checkpoints.space import size_words
from redsm5.hpo.retention import AFTER
from redsm5.hpo_report.models import SearchReport, Storage
from redsm5.hpo_report.tables import Table

DATABASE = "study.db"
KINDS = ("weights", "predictions", "database", *dict.fromkeys(AFTER.values()), "rest")


def storage_of(folder: Path, peak: int) -> Storage:
    """Its sizes; of a folder that is not here all but the peak are 0.

    Args:
        folder: Of the study.
        peak: The most bytes that the search took in it.
    """
    kinds = dict.fromkeys(KINDS, 0)
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                size = path.lstat().st_size
            except OSError:
                continue  # gone meanwhile
            kinds[_kind(path.relative_to(folder))] += size
    return Storage(peak=peak, now=sum(kinds.values()), kinds=kinds)


def storage_table(report: SearchReport) -> Table:
    """The same in words."""
    found = report.storage
    rows = [("peak of the search", size_words(found.peak)), ("now", size_words(found.now))]
    rows += [(f"now, {kind}", size_words(size)) for kind, size in found.kinds.items()]
    return Table(("what", "size"), tuple(rows))


def _kind(path: Path) -> str:
    """Of a file, by its path from the folder of the study."""
    first = path.parts[0]
    if first in AFTER:
        return AFTER[first]
    if "checkpoints" in path.parts:
        return "weights"
    if path.name.startswith("predictions-"):
        return "predictions"
    return "database" if len(path.parts) == 1 and first.startswith(DATABASE) else "rest"
