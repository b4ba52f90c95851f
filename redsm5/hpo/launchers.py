"""Where workers are placed: on this machine, on a Ray cluster, by Slurm."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec

from redsm5.errors import UserError
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.workers import Start

PACKAGES = {"ray": "ray", "slurm": "submitit"}
"""What a launcher needs, each an extra of the launcher's name."""
OWN = {"address": "ray", "slurm": "slurm"}
"""Settings that only one launcher has a use for."""


def check_launcher(settings: HpoSettings) -> None:
    """See that the launcher can be used, before anything is begun.

    Raises:
        UserError: A setting means nothing to it, its package is missing, or the database serves one machine only.
    """
    launcher = settings.launcher
    for name, of in OWN.items():
        if getattr(settings, name) and launcher != of:
            raise UserError(
                f"hpo.{name} means nothing to the launcher {launcher}; leave it out, or give --launcher {of}"
            )
    package = PACKAGES.get(launcher)
    if package is not None and find_spec(package) is None:
        raise UserError(f"--launcher {launcher} needs the package {package}; pip install 'redsm5[{launcher}]'")
    if launcher == "slurm":
        from redsm5.hpo.on_slurm import check_parameters

        if settings.in_a_file:
            raise UserError("jobs run on other machines, and a database in a file serves one; give a server with "
                            "--storage postgresql://USER@HOST/NAME")  # fmt: skip
        check_parameters(settings)


def launch(
    settings: HpoSettings, args: Sequence[str], gpus: int, on_cpu: bool = False
) -> AbstractContextManager[Start]:
    """The launcher that the settings name.

    Args:
        settings: Of the search, checked.
        args: Of ``worker_args``.
        gpus: Of this machine.
        on_cpu: Whether trials run on the CPU, whatever GPUs there are.

    Raises:
        UserError: There are fewer GPUs than workers on this machine.
    """
    if on_cpu:
        gpus = 0
    if settings.launcher == "ray":
        from redsm5.hpo.on_ray import on_ray

        return on_ray(settings, args, on_cpu)
    if settings.launcher == "slurm":
        from redsm5.hpo.on_slurm import on_slurm

        return on_slurm(settings, args)
    from redsm5.hpo.on_this_machine import on_this_machine

    if 0 < gpus < settings.workers:
        there = "is 1 GPU" if gpus == 1 else f"are {gpus} GPUs"
        raise UserError(
            f"--workers is {settings.workers} and there {there}: a trial takes the whole memory of one; give at most "
            f"--workers {gpus}"
        )

    return on_this_machine(settings.folder, args, gpus, settings.workers)
