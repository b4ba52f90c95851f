"""The split of a run as a file, tied to the corpus that it was made for."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redsm5.atomic import write_text_atomically
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.split import UNUSED, Split, split_sha256
from redsm5.errors import UserError

MANIFEST_VERSION = 1


def save_manifest(path: str | Path, split: Split, corpus: Corpus, settings: dict[str, Any]) -> None:
    """Write the split with the hash of its corpus, atomically.

    Args:
        path: File to write; its folder exists.
        split: The split.
        corpus: The corpus that was split.
        settings: What decided the split, in JSON types.
    """
    content = {
        "version": MANIFEST_VERSION,
        "corpus": {"sha256": corpus.sha256, "source": corpus.source, "posts": len(corpus.posts)},
        "settings": settings,
        "versions": {name: version(name) for name in ("redsm5", "numpy")},
        "parts": {"train": split.train, "val": split.val, "test": split.test, UNUSED: split.unused},
    }
    write_text_atomically(path, json.dumps(content, indent=1) + "\n")


def load_manifest(path: str | Path, corpus: Corpus, settings: dict[str, Any]) -> Split:
    """The split that was saved for this corpus with these settings.

    Args:
        path: A file of ``save_manifest``.
        corpus: The corpus as it is now.
        settings: What the config says now; None of them may differ from what decided the split.

    Raises:
        UserError: The file cannot be read, is for another corpus, or was made with other settings.
    """
    split, saved = _read(path, corpus)
    now = json.loads(json.dumps(settings))
    differing = sorted(key for key in {*now, *saved} if now.get(key) != saved.get(key))
    if differing:
        keys = ", ".join(f"data.{key}" for key in differing)
        raise UserError(f"the split manifest {path} was made with another {keys}: set it back, or use another run_dir")
    return split


def read_manifest(path: str | Path, corpus: Corpus) -> Split:
    """The split that was saved for this corpus, whatever decided it.

    Args:
        path: A file of ``save_manifest``.
        corpus: The corpus as it is now.

    Raises:
        UserError: The file cannot be read, or is for another corpus.
    """
    return _read(path, corpus)[0]


def manifest_sha256(path: str | Path) -> tuple[str, str]:
    """Hashes of the corpus and of the split that a manifest is of.

    Args:
        path: A file of ``save_manifest``.

    Raises:
        UserError: The file cannot be read.
    """
    split, _, known = _parsed(path)
    return known, split_sha256(split)


def _parsed(path: str | Path) -> tuple[Split, dict[str, Any], str]:
    """The split, what decided it, and the hash of its corpus."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        known, saved, parts = str(content["corpus"]["sha256"]), content["settings"], content["parts"]
        split = Split(*(tuple(str(post) for post in parts[name]) for name in ("train", "val", "test")))
        return replace(split, unused=tuple(str(post) for post in parts.get(UNUSED, ()))), saved, known
    except OSError as error:
        raise UserError(f"the split manifest {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is not a split manifest, or is damaged; remove it to split again") from None


def _read(path: str | Path, corpus: Corpus) -> tuple[Split, dict[str, Any]]:
    split, saved, known = _parsed(path)
    if known != corpus.sha256:
        raise UserError(
            f"the split manifest {path} belongs to another corpus (hash {known[:12]}, now {corpus.sha256[:12]}): "
            "use the corpus it was made for, or another run_dir to split the changed one"
        )
    if sorted((*split.train, *split.val, *split.test, *split.unused)) != sorted(post.id for post in corpus.posts):
        raise UserError(f"the split manifest {path} does not name each post of the corpus once; remove it")
    return split, saved
