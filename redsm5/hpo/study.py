"""A study: what all of its trials share, kept in its database, so that every worker does the same."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import optuna
import torch
import yaml
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from redsm5.atomic import write_text_atomically
from redsm5.batch_search.calibration import default_file
from redsm5.callbacks.early_stopping import EarlyStopping
from redsm5.children import ChildDied, Tell, driver_asked, in_child
from redsm5.cli import build_cli
from redsm5.errors import UserError
from redsm5.hpo.objectives import Objective, objectives_of
from redsm5.hpo.sampling import Sampling, make_pruner, make_sampler
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.slots import Slots
from redsm5.hpo.space.bounds import Bounds
from redsm5.hpo.space.check import check_space
from redsm5.hpo.space.forms import available, from_json, to_json
from redsm5.hpo.space.read import read_space
from redsm5.hpo.space.resolve import met
from redsm5.hpo.space.space import Choices, Fixed, Parameter, Space
from redsm5.hpo.storage import open_storage, patiently
from redsm5.hpo.study_folder import bind, refuse_trials
from redsm5.hpo.tiny_encoders import prepare
from redsm5.run.folder import RESUME_KEYS, differing_keys, is_one_of
from redsm5.run.given import given_sources, merged
from redsm5.run.lightning_cli import resolved_yaml

PLAN = "redsm5:plan"
"""System attribute of the study in the database, written once."""
PATIENCE = 60.0
"""Seconds that the database may be away at the start."""
VERSION: Literal[3] = 3
ENCODER = "model.encoder.id"
THREADS = "runtime.threads"
BUDGET = "redsm5:budget"
"""Attribute of the study in the database: trials in total, as last asked for."""
SAME = (
    "objective", "objectives", "seed", "sampler", "sampler_options", "pruner", "pruner_options", "pruned_by",
    "lease_seconds",
)  # fmt: skip
"""Settings that cannot change within a study."""
BASE = "base.yaml"
"""In the folder of a study: the config that all trials start from."""


@dataclass(frozen=True)
class Plan:
    """What all trials of a study share.

    Attributes:
        version: Of this form.
        asked: Hash of the search space as its file has it.
        space: What of it there is on the machine where the study was begun, as JSON.
        config: The resolved config that the drawn settings are put over.
        objective: The metric; of several objectives the first.
        objectives: All of them, by name.
        seed: Of the study.
        sampler: As in the settings; and so are the next ones.
        sampler_options: Of its constructor.
        pruner: Class name.
        pruner_options: Of its constructor.
        training_posts: Posts of the training part.
        pruned_by: The metric that the pruner compares.
        lease_seconds: A worker of which nothing is heard for so long counts as gone.
    """

    version: int
    asked: str
    space: dict[str, Any]
    config: dict[str, Any]
    objective: str
    objectives: list[str]
    seed: int
    sampler: str
    sampler_options: dict[str, Any]
    pruner: str
    pruner_options: dict[str, Any]
    training_posts: int
    pruned_by: str
    lease_seconds: float

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether the objective is minimised or maximised."""
        return EarlyStopping(monitor=self.objective).mode  # type: ignore[arg-type]

    @property
    def searched(self) -> tuple[Objective, ...]:
        """What is optimised, the main objective first."""
        return objectives_of(self.objectives)

    @property
    def direction(self) -> StudyDirection:
        """That of the main objective, in Optuna's words."""
        return StudyDirection.MINIMIZE if self.mode == "min" else StudyDirection.MAXIMIZE

    @property
    def directions(self) -> list[StudyDirection]:
        """Those of all objectives."""
        modes = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
        return [modes[one.mode] for one in self.searched]


@dataclass(frozen=True)
class Study:
    """An open study.

    Attributes:
        settings: How it is searched by this worker.
        plan: What all trials share.
        space: The search space.
        optuna: The study in the database.
        storage: The database.
    """

    settings: HpoSettings
    plan: Plan
    space: Space
    optuna: optuna.Study
    storage: RDBStorage

    def sampling(self) -> Sampling:
        """Sampler and pruner, as one worker has them."""
        plan = self.plan
        return Sampling(
            self.storage,
            self.id,
            seed=plan.seed,
            sampler=plan.sampler,
            sampler_options=plan.sampler_options,
            pruner=plan.pruner,
            pruner_options=plan.pruner_options,
        )

    @property
    def id(self) -> int:
        """Of the study in the database."""
        return self.storage.get_study_id_from_name(self.settings.name)

    @property
    def folder(self) -> Path:
        """Of the study."""
        return self.settings.folder

    def bounds(self, tell: Callable[[str], None]) -> Bounds:
        """What fits into the memory of this machine."""
        settings, accelerator = self.settings, self.plan.config["trainer"]["accelerator"]
        shared = 1 if gpus() else settings.workers
        return Bounds.here(default_file(), tell=tell, on_cpu=accelerator == "cpu", workers=shared)

    def base_args(self) -> list[str]:
        """Options of a fit before anything is drawn."""
        return ["--config", str(self.folder / BASE)]


def open_study(settings: HpoSettings, args: Sequence[str], tell: Callable[[str], None]) -> Study:
    """Open a study, or begin it.

    Args:
        settings: How to search.
        args: Options of ``redsm5 fit`` that all trials share.
        tell: Says what is done, where it takes long.

    Raises:
        UserError: Config, corpus, space or database cannot be used, or the study was begun with others.
    """
    asked = read_space(settings.space_file)
    config = _base_config(settings, args, asked)
    _make_folder(settings.folder)
    storage = open_storage(settings.url)
    plan = patiently(lambda: _stored_plan(storage, settings.name), PATIENCE)
    if plan is None:
        refuse_trials(settings.folder)
        plan = patiently(partial(_begin, storage, settings, _new_plan(settings, config, asked, tell)), PATIENCE)
    plan = replace(plan, config=_with_places(plan.config, config))
    _refuse_another(plan, settings, asked, config)
    study = patiently(lambda: _create(storage, settings.name, plan), PATIENCE)
    bind(settings.folder, Slots(storage.engine, study._study_id).study)
    patiently(lambda: study.set_user_attr(BUDGET, settings.n_trials), PATIENCE)
    base = ["--config", str(_written(settings.folder, plan.config))]
    return Study(settings, plan, prepare(from_json(plan.space), base, tell), study, storage)


def _new_plan(settings: HpoSettings, config: dict[str, Any], asked: Space, tell: Callable[[str], None]) -> Plan:
    """What a study begins with, checked."""
    with tempfile.TemporaryDirectory(prefix="redsm5-hpo-") as scratch:
        base = ["--config", str(_written(Path(scratch), config))]
        there, lines = available(asked, met(base, cuda=gpus() > 0))
        for line in lines:
            tell(line)
        make_sampler(settings.sampler, settings.sampler_options, settings.seed)
        make_pruner(settings.pruner, settings.pruner_options)
        tell("reading the corpus")
        posts = _training_posts(base)
        check_space(prepare(there, base, tell), base)
    return Plan(
        version=VERSION,
        asked=_hash(asked),
        space=to_json(there),
        config=config,
        objective=settings.objective,
        objectives=[one.name for one in settings.searched],
        seed=settings.seed,
        sampler=settings.sampler,
        sampler_options=dict(settings.sampler_options),
        pruner=settings.pruner,
        pruner_options=dict(settings.pruner_options),
        training_posts=posts,
        pruned_by=settings.pruned_by,
        lease_seconds=settings.lease_seconds,
    )


def _begin(storage: RDBStorage, settings: HpoSettings, plan: Plan) -> Plan:
    """Store the plan; where another command has begun the study meanwhile, that one's."""
    study = _create(storage, settings.name, plan)
    return Plan(**Slots(storage.engine, study._study_id).once(study._study_id, PLAN, asdict(plan)))


def load_study(settings: HpoSettings) -> Study:
    """Open a study that was begun, to look at it.

    Raises:
        UserError: There is none.
    """
    if settings.storage is None and not (settings.folder / "study.db").exists():
        raise UserError(f"there is no study in {settings.folder}; begin one with redsm5 hpo --study-dir, or name it")
    storage = open_storage(settings.url)
    plan = _stored_plan(storage, settings.name)
    if plan is None:
        raise UserError(f"the database has no study {settings.name}; name it with --study, as it was begun")
    study = _create(storage, settings.name, plan)
    begun = replace(settings, n_trials=study.user_attrs.get(BUDGET, settings.n_trials))
    return Study(begun, plan, from_json(plan.space), study, storage)


def _create(storage: RDBStorage, name: str, plan: Plan) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name=name, directions=plan.directions, load_if_exists=True)


def _stored_plan(storage: RDBStorage, name: str) -> Plan | None:
    try:
        study = storage.get_study_id_from_name(name)
    except KeyError:
        return None
    plan = storage.get_study_system_attrs(study).get(PLAN)
    if plan is not None and plan.get("version") != VERSION:
        raise UserError(f"the study {name} was begun by another version of redsm5; begin a new one: --study-dir NEW")
    return None if plan is None else Plan(**plan)


def _asked(settings: HpoSettings, name: str) -> Any:
    return [one.name for one in settings.searched] if name == "objectives" else getattr(settings, name)


def _refuse_another(plan: Plan, settings: HpoSettings, space: Space, config: dict[str, Any]) -> None:
    where = f"the study in {settings.folder} was begun with"
    for name in SAME:
        if getattr(plan, name) != _asked(settings, name):
            raise UserError(f"{where} {name} {getattr(plan, name)}; keep it, or begin a new one: --study-dir NEW")
    if plan.asked != _hash(space):
        raise UserError(f"{where} another space than {settings.space}; keep it, or begin a new one: --study-dir NEW")
    differing = differing_keys(yaml.safe_dump(plan.config), yaml.safe_dump(config))
    differing = [key for key in differing if not is_one_of(key, RESUME_KEYS)]
    if differing:
        raise UserError(f"{where} another {differing[0]}; keep it, or begin a new one: --study-dir NEW")


def _with_places(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Where files lie now, on this machine."""
    data = {**old["data"], **{key: new["data"][key] for key in new["data"] if is_one_of(f"data.{key}", RESUME_KEYS)}}
    return {**old, "data": data}


def _base_config(settings: HpoSettings, args: Sequence[str], space: Space) -> dict[str, Any]:
    """The resolved config of all trials; its encoder is the first one that can be drawn."""
    encoders = [choice for p in space.by_path.get(ENCODER, ()) for choice in _values(p)]
    first = [f"--{ENCODER}={encoders[0]}"] if encoders else []
    cli = build_cli([*first, *args, f"--early_stopping.monitor={settings.objective}"], parse_only=True)
    if cli.config.data.path is None and cli.config.data.posts is None:
        raise UserError("a search needs a corpus; name it with --data.path FOLDER")
    config: dict[str, Any] = yaml.safe_load(resolved_yaml(cli))
    config["checkpoint"] |= {"keep_last": 1, "keep_best": 1}
    if THREADS not in merged(given_sources(list(args))):
        config["runtime"]["threads"] = None  # each worker has its share of its machine
    return config


def gpus() -> int:
    """How many there are, without beginning to use one."""
    with driver_asked():
        return torch.cuda.device_count()


def _hash(space: Space) -> str:
    return hashlib.sha256(json.dumps(to_json(space), sort_keys=True).encode()).hexdigest()


def _values(parameter: Parameter) -> tuple[Any, ...]:
    found = parameter.distribution
    return found.values if isinstance(found, Choices) else (found.value,) if isinstance(found, Fixed) else ()


def _written(folder: Path, config: dict[str, Any]) -> Path:
    """The config of all trials as a file."""
    text = yaml.safe_dump(config, sort_keys=False)
    path = folder / BASE
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder of the study {folder}: {error.strerror}; --study-dir names another"
        ) from error


def _training_posts(args: list[str]) -> int:
    try:
        found = in_child(partial(_count_posts, args))
    except ChildDied as error:
        raise UserError(f"the corpus could not be read: {error}; redsm5 data check says more") from error
    if isinstance(found, UserError):
        raise found
    return found


def _count_posts(args: list[str], tell: Tell) -> int | UserError:
    from redsm5.pretraining.chain import training_posts

    tell("reading the corpus")
    try:
        return len(training_posts(build_cli(args, parse_only=True).config))
    except UserError as error:
        return error
