"""What a search is: the section ``hpo`` of its config files and the options of the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from redsm5.callbacks.early_stopping import Monitor
from redsm5.errors import UserError
from redsm5.run.given import given_configs
from redsm5.run.sentences import config_sentence

SECTION = "hpo"
SHIPPED = ("space", "quick", "peft", "cpu")
"""Search spaces in configs/hpo/."""


@dataclass(frozen=True)
class HpoSettings:
    """How to search."""

    space: str = "configs/hpo/space.yaml"
    """File of the search space, or the name of one that is shipped: space, quick, peft, cpu"""
    n_trials: int = 1000
    """Trials of the study in total, over all runs of this command and all workers"""
    study_dir: str = "runs/hpo"
    """Folder of the study"""
    storage: str | None = None
    """URL of the database, such as postgresql://USER@HOST/NAME; by default a file in the folder of the study"""
    study: str | None = None
    """Name of the study in the database; by default that of its folder"""
    objective: Monitor = "val_f1_macro"
    """Validation metric that the search optimises; each trial keeps its best epoch by it"""
    seed: int = 0
    """Seed of the study: the same seed, space and one worker give the same trials"""
    sampler: str = "TPESampler"
    """Class of optuna.samplers"""
    sampler_options: dict[str, Any] = field(default_factory=dict)
    """Options of its constructor, over ours: {n_startup_trials: 50}"""
    pruner: str = "MedianPruner"
    """Class of optuna.pruners"""
    pruner_options: dict[str, Any] = field(default_factory=dict)
    """Options of its constructor, over ours"""
    workers: int = 1
    """Processes on this machine, one per GPU"""
    keep: int = 5
    """Best trials whose weights stay on the disk"""
    best_config: str = "configs/best.yaml"
    """Where the config of the best trial goes, beside the folder of the study; its folder must exist"""
    max_failed: float = 0.2
    """Share of failed trials above which the search stops"""
    stuck_minutes: float = 120.0
    """A trial that ends no epoch for so long has failed"""
    lease_seconds: float = 60.0
    """A worker of which nothing is heard for so long counts as gone, and its trial is taken up by another"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name, least in (("n_trials", 1), ("workers", 1), ("keep", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} is {value}; it must be a whole number of at least {least}")
        if not 0 < self.max_failed <= 1:
            raise ValueError(f"max_failed is {self.max_failed}; it is a share, above 0 and at most 1")
        if not self.stuck_minutes > 0:
            raise ValueError(f"stuck_minutes is {self.stuck_minutes}; it must be above 0")
        if not self.lease_seconds >= 1:
            raise ValueError(f"lease_seconds is {self.lease_seconds}; it must be at least 1")

    @property
    def space_file(self) -> Path:
        """File of the space: as it is named, or one that is shipped."""
        named = Path(self.space).expanduser()
        if named.exists() or self.space not in SHIPPED:
            return named
        below = Path("configs", "hpo", f"{self.space}.yaml")
        return below if below.exists() else Path(__file__).parents[2] / below

    @property
    def folder(self) -> Path:
        """Folder of the study, absolute."""
        return Path(self.study_dir).expanduser().absolute()

    @property
    def url(self) -> str:
        """URL of the database."""
        return self.storage or f"sqlite:///{self.folder / 'study.db'}"

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.study or self.folder.name


def read_settings(args: list[str], given: Mapping[str, Any], scratch: Path) -> tuple[HpoSettings, list[str]]:
    """Take the sections ``hpo`` out of the config files.

    Args:
        args: Config options, as on the command line.
        given: Options of the command that were set; they win over the files.
        scratch: Folder for the files without their section.

    Returns:
        The settings, and the options of ``redsm5 fit`` that are left, with absolute paths to config files.

    Raises:
        UserError: A file or a value cannot be used.
    """
    found: dict[str, Any] = {}
    rest = list(args)
    for number, name in enumerate(given_configs(args)):
        config = _read(Path(name))
        if config is None or SECTION not in config:
            continue
        section = config.pop(SECTION)
        found |= _parsed(section, name)
        left = scratch / f"config-{number}.yaml"
        left.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        rest = [{name: str(left), f"--config={name}": f"--config={left}"}.get(arg, arg) for arg in rest]
    return HpoSettings(**{**found, **_parsed(dict(given), "the command line")}), rest


def _read(path: Path) -> dict[str, Any] | None:
    """A config file; None where it is not usable, which the parser of the config says in words."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return config if isinstance(config, dict) else None


def _parsed(section: object, source: str) -> dict[str, Any]:
    """The keys of a section, with values of their types."""
    names = [one.name for one in fields(HpoSettings)]
    if not isinstance(section, dict):
        raise UserError(f"{source}: {SECTION} must hold keys and values; it takes {', '.join(names)}")
    unknown = sorted(section.keys() - set(names))
    if unknown:
        raise UserError(f"{source}: {SECTION} has no {unknown[0]}; it takes {', '.join(names)}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{SECTION}", type=HpoSettings, default=HpoSettings())
    try:
        parsed = parser.instantiate(parser.parse_object({SECTION: section}))[SECTION]
    except (ArgumentError, ValueError) as error:
        raise UserError(f"{source}: {config_sentence(str(error), {}, {})}") from error
    return {name: getattr(parsed, name) for name in section}
