"""Options of the commands that read trials: where files lie here, if elsewhere than where the trials ran."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

CORPUS = {"data.path": "folder of the corpus", "data.posts": "its posts", "data.annotations": "its annotations"}
"""Name the corpus together: one that is given does away with what a trial has of the others."""
CRITERIA = {"data.criteria": "its criteria"}
TRAINING = {
    "data.cache_dir": "of the token cache and of pretraining",
    "data.workers": "processes that load data",
}
"""For what trains."""


def add_places(parser: argparse.ArgumentParser, *, training: bool) -> None:
    """Declare the options.

    Args:
        parser: Of the command.
        training: Whether the command trains.
    """
    group = parser.add_argument_group("where files lie here, if elsewhere than where the trials ran")
    for key, says in {**CORPUS, **CRITERIA, **(TRAINING if training else {})}.items():
        group.add_argument(f"--{key}", metavar="N" if key == "data.workers" else "PATH", help=says)


def places(given: Mapping[str, str | None]) -> tuple[str, ...]:
    """Options of ``redsm5 fit`` that say where files lie.

    Args:
        given: Of the command line; None where one was not given.
    """
    named = {key: given[key] for key in (*CORPUS, *CRITERIA, *TRAINING) if given.get(key) is not None}
    if named.keys() & set(CORPUS):
        named = {**dict.fromkeys(CORPUS, "null"), **named}
    return tuple(f"--{key}={value}" for key, value in named.items())
