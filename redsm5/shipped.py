"""The files of ``configs/``: a checkout has them beside the package, a wheel has none."""

from __future__ import annotations

from pathlib import Path

FOLDER = "configs"


def shipped(name: str) -> Path:
    """A file of ours: in the current folder, or else in the checkout that this code is of.

    Args:
        name: As it is called in a checkout: ``configs/hpo.yaml``.

    Returns:
        Its path; as it was named where it is in neither.
    """
    here, beside = Path(name), Path(__file__).parents[1] / name
    return beside if here.parts[0] == FOLDER and not here.exists() and beside.is_file() else here
