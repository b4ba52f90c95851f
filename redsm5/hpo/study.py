"""A study: what all of its trials share, kept in its database, so that every worker does the same."""

from __future__ import annotations

import hashlib
import json
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from redsm5.batch_search.calibration import default_file
from redsm5.callbacks.early_stopping import EarlyStopping
from redsm5.errors import UserError
from redsm5.hpo.base_config import BASE, base_config, base_file, gpus, with_places, written
from redsm5.hpo.objectives import Objective, objectives_of
from redsm5.hpo.sampling import Sampling, make_pruner, pruner_options, sampler_options, try_to_draw
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.slots import STUDY, Slots
from redsm5.hpo.space.bounds import Bounds
from redsm5.hpo.space.check import check_space
from redsm5.hpo.space.draw import draw
from redsm5.hpo.space.forms import available, from_json, to_json
from redsm5.hpo.space.read import read_space
from redsm5.hpo.space.resolve import met
from redsm5.hpo.space.space import Space
from redsm5.hpo.storage import open_storage, open_storage_patiently, open_to_look, patiently
from redsm5.hpo.study_corpus import StudyCorpus, study_corpus
from redsm5.hpo.study_folder import bind, refuse_another, refuse_trials
from redsm5.hpo.tiny_encoders import prepare
from redsm5.run.folder import RESUME_KEYS, differing_keys, is_one_of

PLAN = "redsm5:plan"
"""System attribute of the study in the database, written once."""
PATIENCE = 60.0
"""Seconds that the database may be away at the start."""
WORKER_PATIENCE = 3600.0
"""The same of a worker that a launcher has started: the search goes on without it meanwhile."""
LOOK_PATIENCE = 10.0
"""The same where somebody waits for an answer."""
VERSION: Literal[3] = 3
BUDGET = "redsm5:budget"
"""Attribute of the study in the database: trials in total, as last asked for."""
SAME = (
    "objective", "objectives", "seed", "sampler", "sampler_options", "pruner", "pruner_options", "pruned_by",
    "lease_seconds",
)  # fmt: skip
"""Settings that cannot change within a study."""


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
        sampler_options: All that its constructor is given, ours included: another version may have others.
        pruner: Class name.
        pruner_options: As for the sampler.
        training_posts: Posts of the training part.
        pruned_by: The metric that the pruner compares.
        lease_seconds: A worker of which nothing is heard for so long counts as gone.
        corpus_sha256: Hash of the corpus; None in a study of an earlier version.
        split_sha256: Hash of the split; likewise.
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
    corpus_sha256: str | None = None
    split_sha256: str | None = None

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether the objective is minimised or maximised."""
        return EarlyStopping(monitor=self.objective).mode  # type: ignore[arg-type]

    @property
    def on_cpu(self) -> bool:
        """Whether trials run on the CPU, whatever GPUs there are."""
        return bool(self.config["trainer"]["accelerator"] == "cpu")

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
        return directions_of(self.searched)


def directions_of(objectives: Sequence[Objective]) -> list[StudyDirection]:
    """Those of several objectives, in Optuna's words."""
    modes = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
    return [modes[one.mode] for one in objectives]


@dataclass(frozen=True)
class Study:
    """An open study.

    Attributes:
        settings: How it is searched by this worker.
        plan: What all trials share.
        space: The search space.
        optuna: The study in the database.
        storage: The database.
        base: File of the config that trials start from here; None where there are none to run.
    """

    settings: HpoSettings
    plan: Plan
    space: Space
    optuna: optuna.Study
    storage: RDBStorage
    base: Path | None = None

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
        return self.optuna._study_id

    def budget(self) -> int:
        """Trials in total, as last asked for in whatever terminal."""
        return int(self.optuna.user_attrs.get(BUDGET, self.settings.n_trials))

    @property
    def folder(self) -> Path:
        """Of the study."""
        return self.settings.folder

    def bounds(self, tell: Callable[[str], None]) -> Bounds:
        """What fits into the memory of this machine."""
        shared = self.settings.workers if self.plan.on_cpu or not gpus() else 1
        return Bounds.here(default_file(), tell=tell, on_cpu=self.plan.on_cpu, workers=shared)

    def base_args(self) -> list[str]:
        """Options of a fit before anything is drawn."""
        return ["--config", str(self.base or self.folder / BASE)]


def open_study(
    settings: HpoSettings, args: Sequence[str], tell: Callable[[str], None], *, as_worker: bool = False
) -> Study:
    """Open a study, or begin it.

    Args:
        settings: How to search.
        args: Options of ``redsm5 fit`` that all trials share.
        tell: Says what is done, where it takes long.
        as_worker: For a worker that a launcher has started: it waits for a database that is away, and leaves the
            budget alone, which a later command may have changed.

    Raises:
        UserError: Config, corpus, space or database cannot be used, or the study was begun with others.
    """
    asked = read_space(settings.space_file)
    config = base_config(settings, args, asked)
    _make_folder(settings.folder)
    patience = WORKER_PATIENCE if as_worker else PATIENCE
    storage = open_storage_patiently(settings.url, patience, tell) if as_worker else open_storage(settings.url)
    stored = partial(patiently, lambda: _stored_plan(storage, settings.name), patience)
    corpus, plan = None, stored()
    if plan is None:
        try:
            refuse_trials(settings.folder)
        except UserError:  # another command may have begun this study meanwhile
            if (plan := stored()) is None:
                raise
    if plan is None:
        corpus, new = _new_plan(settings, config, asked, tell)
        plan = patiently(partial(_begin, storage, settings, new), patience)
    begun, plan = plan.config, replace(plan, config=with_places(plan.config, config))
    _refuse_another(plan, settings, asked, config)
    _refuse_another_corpus(plan, settings, corpus or _corpus(plan.config, tell), tell)
    study = patiently(lambda: _create(storage, settings.name, plan), patience)
    bind(settings.folder, patiently(lambda: Slots(storage.engine, study._study_id).study, patience))
    if not as_worker:
        patiently(lambda: study.set_user_attr(BUDGET, settings.n_trials), patience)
    base = base_file(settings.folder, begun, plan.config)
    space = prepare(from_json(plan.space), ["--config", str(base)], tell)
    return Study(settings, plan, space, study, storage, base)


def _corpus(config: dict[str, Any], tell: Callable[[str], None]) -> StudyCorpus:
    tell("reading the corpus")
    with tempfile.TemporaryDirectory(prefix="redsm5-hpo-") as scratch:
        return study_corpus(["--config", str(written(Path(scratch), config))])


def _new_plan(
    settings: HpoSettings, config: dict[str, Any], asked: Space, tell: Callable[[str], None]
) -> tuple[StudyCorpus, Plan]:
    """What a study begins with, checked."""
    with tempfile.TemporaryDirectory(prefix="redsm5-hpo-") as scratch:
        base = ["--config", str(written(Path(scratch), config))]
        on_cpu = config["trainer"]["accelerator"] == "cpu"
        there, lines = available(asked, met(base, cuda=not on_cpu and gpus() > 0))
        for line in lines:
            tell(line)
        try_to_draw(partial(draw, there), settings.sampler, settings.sampler_options, directions_of(settings.searched))
        make_pruner(settings.pruner, settings.pruner_options)
        tell("reading the corpus")
        corpus = study_corpus(base)
        check_space(prepare(there, base, tell), base)
    return corpus, Plan(
        version=VERSION,
        asked=_hash(asked),
        space=to_json(there),
        config=config,
        objective=settings.objective,
        objectives=[one.name for one in settings.searched],
        seed=settings.seed,
        sampler=settings.sampler,
        sampler_options=sampler_options(settings.sampler, settings.sampler_options),
        pruner=settings.pruner,
        pruner_options=pruner_options(settings.pruner, settings.pruner_options),
        training_posts=corpus.training_posts,
        pruned_by=settings.pruned_by,
        lease_seconds=settings.lease_seconds,
        corpus_sha256=corpus.corpus_sha256,
        split_sha256=corpus.split_sha256,
    )


def _begin(storage: RDBStorage, settings: HpoSettings, plan: Plan) -> Plan:
    """Store the plan; where another command has begun the study meanwhile, that one's."""
    study = _create(storage, settings.name, plan)
    return Plan(**Slots(storage.engine, study._study_id).once(study._study_id, PLAN, asdict(plan)))


def load_study(settings: HpoSettings) -> Study:
    """Open a study that was begun, to look at it: also while a worker that is stopped holds its database.

    Raises:
        UserError: There is none, its database is away, or the folder is that of another.
    """
    if settings.storage is None and not (settings.folder / "study.db").exists():
        raise UserError(f"there is no study in {settings.folder}; begin one with redsm5 hpo --study-dir, or name it")
    storage = open_to_look(settings.url)
    plan = patiently(lambda: _stored_plan(storage, settings.name), LOOK_PATIENCE)
    if plan is None:
        raise UserError(
            f"the database has no study of the name {settings.name}; give the one it was begun with (--study), or, "
            "where a search was interrupted before its first trial, run it again"
        )

    def opened() -> Study:
        study = optuna.load_study(storage=storage, study_name=settings.name)
        refuse_another(settings.folder, storage.get_study_system_attrs(study._study_id).get(STUDY))
        begun = replace(settings, n_trials=study.user_attrs.get(BUDGET, settings.n_trials))
        return Study(begun, plan, from_json(plan.space), study, storage)

    return patiently(opened, LOOK_PATIENCE)


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
    match name:
        case "objectives":
            return [one.name for one in settings.searched]
        case "sampler_options":
            return sampler_options(settings.sampler, settings.sampler_options)
        case "pruner_options":
            return pruner_options(settings.pruner, settings.pruner_options)
    return getattr(settings, name)


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


def _refuse_another_corpus(plan: Plan, settings: HpoSettings, corpus: StudyCorpus, tell: Callable[[str], None]) -> None:
    """See that the files of this machine are those that the study is about: its trials would not compare."""
    data, here = plan.config["data"], socket.gethostname()
    named = data["path"] or data["posts"]
    other = None
    if plan.corpus_sha256 not in (None, corpus.corpus_sha256):
        other = f"another corpus than {named} (data.criteria included)"
    elif plan.split_sha256 not in (None, corpus.split_sha256) or plan.training_posts != corpus.training_posts:
        other = f"another split than that of {data['split_file'] or named}"
    if other is not None:
        raise UserError(
            f"the study in {settings.folder} was begun with {other} on {here}; give the same one, or begin a new one: "
            "--study-dir NEW"
        )
    if plan.corpus_sha256 is None:
        tell(
            f"the study in {settings.folder} was begun by an earlier version, which did not note its corpus: see that "
            f"{named} is the same"
        )


def _hash(space: Space) -> str:
    return hashlib.sha256(json.dumps(to_json(space), sort_keys=True).encode()).hexdigest()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder of the study {folder}: {error.strerror}; --study-dir names another"
        ) from error
