"""All encoders, one after the other, each in a process of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from redsm5.catalog import EncoderFacts
from redsm5.children import ChildDied, Tell, in_child
from redsm5.datamodules.synth import generate, write
from redsm5.encoder_check.result import CheckResult, tokenizer_kind

POSTS = 40
"""Posts of the synthetic corpus: enough that each part of the split has some."""


def check_all(
    encoders: Iterable[EncoderFacts], *, download: bool, done: Callable[[CheckResult], None] = lambda _: None
) -> list[CheckResult]:
    """Check encoders.

    Args:
        encoders: Which.
        download: Take real weights and tokenizers from the hub's cache or the hub, instead of random and tiny ones.
        done: Is given each result as soon as it is there.
    """
    results = []
    with tempfile.TemporaryDirectory(prefix="redsm5-check-") as name:
        folder = Path(name)
        corpus = folder / "corpus"
        write(generate(posts=POSTS, seed=0, profile="demo"), corpus)
        for facts in encoders:
            own = folder / "encoder"
            own.mkdir()
            results.append(_check(facts, corpus, own, download=download))
            done(results[-1])
            shutil.rmtree(own)
    return results


def _check(facts: EncoderFacts, corpus: Path, folder: Path, *, download: bool) -> CheckResult:
    started = time.monotonic()
    try:
        return in_child(partial(_in_child, facts, corpus, folder, download))
    except ChildDied as error:
        seconds = time.monotonic() - started
        return CheckResult(facts.id, facts.family, tokenizer_kind(facts), seconds=seconds, failure=str(error))


def _in_child(facts: EncoderFacts, corpus: Path, folder: Path, download: bool, tell: Tell) -> CheckResult:
    from redsm5.encoder_check.check import check_encoder

    return check_encoder(facts, corpus, folder, download=download, tell=tell)
