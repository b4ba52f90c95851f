"""The files of ``configs/``: a checkout has them beside the package, a wheel has none."""

from __future__ import annotations

from pathlib import Path

from redsm5.errors import UserError

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


def config_or(name: str, args: list[str], *, needed: bool = True) -> list[str]:
    """The options of a config; where they name no config file, one of ours before them.

    Args:
        name: Of ours, as for ``shipped``.
        args: As on the command line.
        needed: Whether they cannot do without; else they stay as they are where ours is not here.

    Raises:
        UserError: It is needed and not here.
    """
    if any(arg.split("=")[0] == "--config" for arg in args):
        return args
    if (ours := shipped(name)).is_file():
        return ["--config", str(ours), *args]
    if needed:
        raise UserError(f"there is no {name} here; run in a checkout of redsm5, or give a config with --config FILE")
    return args
