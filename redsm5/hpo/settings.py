"""What a search is: the section ``hpo`` of its config files and the options of the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from redsm5.callbacks.early_stopping import EarlyStopping, Monitor
from redsm5.errors import UserError
from redsm5.hpo.objectives import ONE_OBJECTIVE, Objective, objectives_of
from redsm5.run.given import given_configs
from redsm5.run.sentences import config_sentence
from redsm5.shipped import shipped

SECTION = "hpo"
SHIPPED = ("space", "quick", "peft", "cpu")
"""Search spaces in configs/hpo/."""

DECISIONS = ("val_f1_macro", "val_f1_micro", "val_f1_weighted", "val_exact_match")
"""Objectives that count decisions at a threshold."""


LONGEST_HOURS = 24 * 7
IN_A_FILE = "study"
"""Name of a study in a database of its own: its folder may be renamed."""


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
    objectives: list[str] = field(default_factory=list)
    """Several at once, in place of the objective: it is the first of them; the others are validation metrics,
    peak_memory or train_time: [val_f1_macro, peak_memory]"""
    seed: int = 0
    """Seed of the study: the same seed, space and one worker give the same trials"""
    sampler: str = "TPESampler"
    """Class of optuna.samplers"""
    sampler_options: dict[str, Any] = field(default_factory=dict)
    """Options of its constructor, over ours: {n_startup_trials: 20}"""
    pruner: str = "MedianPruner"
    """Class of optuna.pruners"""
    pruner_options: dict[str, Any] = field(default_factory=dict)
    """Options of its constructor, over ours"""
    prune_by: Monitor | None = None
    """Validation metric that the pruner compares, in the direction of the objective. By default the objective, but
    val_auprc_macro where that counts decisions on criteria: those are all wrong until a model is sure of something, and
    the best ranking is told from the first epochs on"""
    workers: int = 1
    """Processes, one per GPU"""
    launcher: Literal["local", "ray", "slurm"] = "local"
    """What places them: on this machine, on a Ray cluster, as Slurm jobs"""
    address: str | None = None
    """Of the head of the Ray cluster, HOST:PORT; by default RAY_ADDRESS, the cluster of this machine, or a new one"""
    slurm: dict[str, Any] = field(default_factory=dict)
    """Parameters of the Slurm jobs as submitit takes them: {timeout_min: 1440, gpus_per_node: 1, partition: gpu}"""
    keep: int = 5
    """Best trials whose weights stay on the disk"""
    best_config: str | None = "configs/best.yaml"
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
        try:
            found = objectives_of(self.objectives)
        except ValueError as error:
            raise ValueError(f"objectives: {error}") from error
        if found and found[0].name != self.objective:
            raise ValueError(f"objective is {self.objective}, and the first of objectives {found[0].name}; give one")
        if len(found) > 1 and self.sampler in ONE_OBJECTIVE:
            raise ValueError(f"sampler is {self.sampler}, which searches for one objective only; choose another")
        if not 0 < self.max_failed <= 1:
            raise ValueError(f"max_failed is {self.max_failed}; it is a share, above 0 and at most 1")
        if not 0 < self.stuck_minutes <= 60 * LONGEST_HOURS:
            raise ValueError(f"stuck_minutes is {self.stuck_minutes}; it must be above 0, and at most a week")
        if not 1 <= self.lease_seconds <= 3600 * LONGEST_HOURS:
            raise ValueError(f"lease_seconds is {self.lease_seconds}; it must be at least 1, and at most a week")
        if self.storage is None and "?" in self.study_dir:
            raise ValueError(f"study_dir is {self.study_dir}; the path of a database cannot have a question mark")

    @property
    def space_file(self) -> Path:
        """File of the space: as it is named, or one that is shipped."""
        named = Path(self.space).expanduser()
        if named.exists():
            return named
        return shipped(f"configs/hpo/{self.space}.yaml" if self.space in SHIPPED else self.space)

    @property
    def pruned_by(self) -> Monitor:
        """The metric that the pruner compares."""
        return self.prune_by or ("val_auprc_macro" if self.objective in DECISIONS else self.objective)

    @property
    def searched(self) -> tuple[Objective, ...]:
        """What is optimised, the main objective first."""
        return objectives_of(self.objectives or [self.objective])

    @property
    def folder(self) -> Path:
        """Folder of the study, absolute."""
        return Path(self.study_dir).expanduser().absolute()

    @property
    def url(self) -> str:
        """URL of the database."""
        return self.storage or f"sqlite:///{self.folder / 'study.db'}"

    @property
    def in_a_file(self) -> bool:
        """Whether the database is a file, which serves one machine."""
        return self.url.startswith("sqlite")

    @property
    def name(self) -> str:
        """Name of the study in its database."""
        return self.study or (IN_A_FILE if self.storage is None else self.folder.name)

    @property
    def label(self) -> str:
        """Name of the study for people."""
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
    found |= _parsed(dict(given), "the command line")
    try:
        settings = HpoSettings(**found)
    except ValueError as error:  # of two places together
        raise UserError(f"hpo.{error}") from error
    mode = EarlyStopping(monitor=settings.pruned_by).mode
    if mode != EarlyStopping(monitor=settings.objective).mode:
        raise UserError(
            f"hpo.prune_by is {settings.prune_by}, whose {mode} is best, unlike that of {settings.objective}; "
            "choose another, or leave it out"
        )
    return settings, rest


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
    unknown = sorted(map(str, section.keys() - set(names)))
    if unknown:
        raise UserError(f"{source}: {SECTION} has no {unknown[0]}; it takes {', '.join(names)}")
    kinds = get_type_hints(HpoSettings)
    for name, value in section.items():
        if value is None and NoneType not in get_args(kinds[name]):
            raise UserError(f"{source}: {SECTION}.{name} is empty; give it a value, or leave it out")
    several = section.get("objectives")
    if isinstance(several, list) and several and "objective" not in section:
        section = {**section, "objective": several[0]}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{SECTION}", type=HpoSettings, default=HpoSettings())
    try:
        parsed = parser.instantiate(parser.parse_object({SECTION: section}))[SECTION]
    except (ArgumentError, ValueError, TypeError) as error:
        raise UserError(f"{source}: {config_sentence(str(error), {}, {})}") from error
    return {name: getattr(parsed, name) for name in section}
