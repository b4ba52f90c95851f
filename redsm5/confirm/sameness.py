"""What a refit is of: what is kept of an earlier call is used only where that is the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from redsm5 import __version__
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.split import GroupBy, Split
from redsm5.metrics.evaluation import Frozen
from redsm5.run.folder import RESUME_KEYS, by_identity, is_one_of
from redsm5.run.given import flat

FORM = 2
"""Of what a refit leaves; raised when that changes. 2: predictions have the candidates below null too."""


class Of(Frozen):
    """What decides a refit, its seed and fold aside, which its folder is called after."""

    form: int = Field(description="See ``FORM``.")
    redsm5: str = Field(description="Version.")
    config_sha256: str = Field(description="Hash of ``config_sha256``.")
    split_sha256: str = Field(description="Of the file that says which posts are trained on and tested.")

    @classmethod
    def now(cls, config_sha256: str, split: str) -> Of:
        """Of this version.

        Args:
            config_sha256: Of the trial.
            split: Text of the split file.
        """
        return cls(form=FORM, redsm5=__version__, config_sha256=config_sha256, split_sha256=_sha256(split))


def config_sha256(config: Path) -> str:
    """Hash of what a config says, but where its files and its cache lie: a study may be moved.

    Of what is no YAML it is the hash of all.

    Raises:
        OSError: It cannot be read.
    """
    content = config.read_bytes()
    try:
        values: dict[str, Any] = by_identity(flat(yaml.safe_load(content)))
    except yaml.YAMLError:
        return hashlib.sha256(content).hexdigest()
    kept = {key: value for key, value in values.items() if not is_one_of(key, RESUME_KEYS)}
    return _sha256(json.dumps(kept, sort_keys=True, default=str))


def folds_name(corpus: Corpus, split: Split, folds: int, group_by: GroupBy) -> str:
    """Name of the folder of all that is made of the same folds.

    Args:
        corpus: The corpus.
        split: Of the study.
        folds: How many.
        group_by: What they may not tear apart.
    """
    parts = [sorted(part) for part in (split.train, split.val, split.test, split.unused)]
    return f"folds-{folds}-{_sha256(json.dumps([corpus.sha256, parts, folds, group_by]))[:12]}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
