"""Which posts a study is about: hashes of its corpus and of the split, that workers on all machines agree in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from redsm5.children import ChildDied, Tell, in_child
from redsm5.datamodules.split import split_sha256
from redsm5.errors import UserError


@dataclass(frozen=True)
class StudyCorpus:
    """What a study is about.

    Attributes:
        training_posts: Posts of the training part.
        corpus_sha256: Of posts, annotations and criteria.
        split_sha256: Of the ids of each part.
    """

    training_posts: int
    corpus_sha256: str
    split_sha256: str


def study_corpus(args: Sequence[str]) -> StudyCorpus:
    """Read the corpus that a config names, and split it.

    Args:
        args: Options of ``redsm5 fit``.

    Raises:
        UserError: It cannot be read or split.
    """
    try:
        found = in_child(partial(_read, list(args)))
    except ChildDied as error:
        raise UserError(f"the corpus could not be read: {error}; redsm5 data check says more") from error
    if isinstance(found, UserError):
        raise found
    return found


def _read(args: list[str], tell: Tell) -> StudyCorpus | UserError:
    from redsm5.cli import build_cli
    from redsm5.pretraining.chain import corpus_and_split

    tell("reading the corpus")
    try:
        corpus, split = corpus_and_split(build_cli(args, parse_only=True).config)
    except UserError as error:
        return error
    return StudyCorpus(len(split.train), corpus.sha256, split_sha256(split))
