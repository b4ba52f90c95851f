"""The folder of a run: its files, whether it may be started, and safe writing."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redsm5.atomic import write_text_atomically
from redsm5.checkpoints.folder import CheckpointFolder, Entry
from redsm5.checkpoints.store import ASIDE
from redsm5.errors import UserError
from redsm5.logs import is_further_rank
from redsm5.run.given import flat

RESUME_KEYS = (
    "run_dir", "fresh", "checkpoint", "trackers", "data.workers", "data.cache_dir", "data.path", "data.posts",
    "data.annotations", "data.criteria", "data.split_file", "runtime.threads",
)  # fmt: skip
"""What may differ from the config of a run that goes on: where its files lie now, and what decides no figure but its
last bits. Another corpus is refused by its hash."""


ENCODER = "model.encoder.id"
MADE_HERE = re.compile(r".*/(tiny-encoders/[^/]+|pretraining/[^/]+/epoch-\d+)")
"""An encoder in a cache: the end of its path holds the hash of all that decides it, wherever the cache lies."""


class AnotherConfig(UserError):
    """A folder holds an unfinished run with another config."""


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def split(self) -> Path:
        """The split manifest."""
        return self.path / "split.json"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def kept(self) -> CheckpointFolder:
        """The checkpoints."""
        return CheckpointFolder(self.checkpoints)

    def best_checkpoint(self) -> Entry:
        """The weights of the best epoch.

        Raises:
            UserError: There are none.
        """
        best = self.kept.best()
        if best is None:
            raise UserError(
                f"{self.checkpoints} holds no weights; a run keeps them with --checkpoint.keep_best 1, fit it again"
            )
        return best

    @property
    def criteria(self) -> Path:
        """The criteria in the order of the outputs: with them a run predicts without its corpus."""
        return self.path / "criteria.json"

    @property
    def thresholds(self) -> Path:
        """Thresholds per criterion, tuned on the validation part."""
        return self.path / "thresholds.json"

    @property
    def training(self) -> Path:
        """Facts about the training, written when it has ended."""
        return self.path / "training.json"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.json"

    @property
    def seals(self) -> Path:
        """Hashes of the other files."""
        return self.path / "seals.json"

    @property
    def pretraining(self) -> Path:
        """What the encoder was pretrained on, where it was."""
        return self.path / "pretraining.json"

    @property
    def is_finished(self) -> bool:
        """Whether a fit has come to its end: the page is the last thing that it writes."""
        return self.report.exists() and self.view("val").exists()

    def predictions(self, part: str) -> Path:
        """Predictions of a part."""
        return self.path / f"predictions-{part}.jsonl"

    def view(self, part: str) -> Path:
        """The page that shows posts, spans and figures."""
        return self.path / f"view-{part}.html"

    @classmethod
    def named(cls, run_dir: str) -> RunFolder:
        """The folder that a config names.

        Raises:
            UserError: It names none, or a file.
        """
        if not run_dir.strip():
            raise UserError("run_dir is empty; give a folder for the run")
        path = Path(run_dir).expanduser().absolute()
        try:
            if path.exists() and not path.is_dir():
                raise UserError(f"run_dir {path} is a file; choose another --run_dir")
        except OSError as error:
            raise UserError(f"run_dir {path} cannot be used: {error.strerror}; choose another --run_dir") from error
        return cls(path)

    @classmethod
    def of_config(cls, config_file: Path) -> RunFolder:
        """The run folder that a resolved config lies in."""
        return cls(config_file.absolute().parent)

    def prepare(self, config_yaml: str, *, fresh: bool) -> None:
        """Make the folder ready for a fit with this config: a new one, or one that was interrupted.

        Args:
            config_yaml: The resolved config.
            fresh: Whether to start over where there is a run.

        Raises:
            UserError: It holds a finished run, or an unfinished one with another config.
        """
        if is_further_rank():  # the first one has done it
            return
        if fresh and self.config.exists():
            self._clear()
        if self.is_finished:
            raise UserError(f"{self.path} holds a finished run; choose another --run_dir, or add --fresh to start over")
        if self.config.exists():
            differing = self._differing(config_yaml)
            if differing and not self.kept.is_empty():
                raise AnotherConfig(
                    f"{self.path} holds an unfinished run whose config differs in {', '.join(differing[:6])}; "
                    "use the same config to go on, another --run_dir, or --fresh to start over"
                )
            if differing:
                self._clear()
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_text_atomically(self.config, config_yaml)
        except OSError as error:
            raise UserError(
                f"cannot write into run_dir {self.path}: {error.strerror}; choose another --run_dir"
            ) from error
        self.kept.sweep()
        for path in self.path.glob(f".*{ASIDE}"):
            path.unlink()

    def resume_from(self) -> Path | None:
        """The checkpoint to go on from, or None for a start; damaged ones are set aside and said.

        Raises:
            UserError: All that there were are damaged.
        """
        last, sentences = self.kept.take_last()
        for sentence in sentences:
            print(sentence, file=sys.stderr, flush=True)
        if last is None and self.kept.damaged():
            raise UserError(
                f"no checkpoint in {self.checkpoints} can be read any more; add --fresh to start the training over"
            )
        return None if last is None else last.path

    def _differing(self, config_yaml: str) -> list[str]:
        try:
            differing = differing_keys(self.config.read_text(encoding="utf-8"), config_yaml)
            return [key for key in differing if not is_one_of(key, RESUME_KEYS)]
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(
                f"{self.config} is damaged, so that what the run was begun with is not known; add --fresh to start over"
            ) from error

    def _clear(self) -> None:
        own = [self.config, self.split, self.criteria, self.metrics, self.training, self.thresholds, self.report]
        own += [self.seals, self.path / "trackers.json", self.pretraining]
        for part in ("val", "test"):
            own += [self.predictions(part), self.view(part)]
        for path in own:
            path.unlink(missing_ok=True)
        self.kept.clear()
        for tracker in ("tensorboard", "wandb"):
            shutil.rmtree(self.path / tracker, ignore_errors=True)


def is_one_of(key: str, keys: tuple[str, ...]) -> bool:
    """Whether a dotted key is one of these, or part of one."""
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def refuse_inputs(folder: RunFolder, config: Any) -> None:
    """See that a run does not write where its corpus lies: both may hold a ``criteria.json``.

    Args:
        folder: Of the run.
        config: The parsed config.

    Raises:
        UserError: The folder of the run holds an input.
    """
    for key in ("path", "posts", "annotations", "criteria", "split_file"):
        value = config.data[key]
        if value and folder.path.resolve() in (Path(value).resolve(), Path(value).resolve().parent):
            raise UserError(f"run_dir {folder.path} holds data.{key}; choose another --run_dir")


def differing_keys(old_yaml: str, new_yaml: str) -> list[str]:
    """Dotted keys in which two configs differ; the same encoder in another cache is no difference."""
    old, new = (by_identity(flat(yaml.safe_load(text))) for text in (old_yaml, new_yaml))
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def by_identity(config: dict[str, Any]) -> dict[str, Any]:
    """A config by dotted key, in which an encoder that was made in a cache goes by what it is, not by where it lies."""
    made = MADE_HERE.fullmatch(str(config.get(ENCODER)))
    return config if made is None else {**config, ENCODER: made[1]}
