"""What becomes of the batches of a fit, or of its pretraining, where memory is not enough. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redsm5.hpo.messages import Ending
from redsm5.pretraining.options import Pretraining
from redsm5.run.given import flat, given_sources, merged

BATCHING = "data.batching."
SIZES = ("train", "eval", "train_tokens", "eval_tokens")
ACCUMULATE = "trainer.accumulate_grad_batches"
PRETRAINING = "pretraining."


@dataclass(frozen=True)
class Halved:
    """What the batches became after a fit, or a stage of its pretraining, ran out of memory.

    Attributes:
        options: Of ``redsm5 fit``, by dotted key.
    """

    options: dict[str, int]


def smaller_after(how: Ending, run_dir: Path, args: Sequence[str]) -> Halved | None:
    """What is to be tried after a fit has ended so.

    Args:
        how: It ended.
        run_dir: Of its run.
        args: Options of ``redsm5 fit``, with what memory has made of them before.

    Returns:
        None where memory was enough, or nothing is left to try.
    """
    if how == "out of memory":
        return half_batches(run_dir)
    return half_pretraining(args) if how == "out of memory in pretraining" else None


def half_batches(run_dir: Path) -> Halved | None:
    """Half of the batches of a run, with as many examples in a step; of the evaluation alone where training has one.

    Returns:
        None where neither can be halved, or they are not known.
    """
    options = batches_of(run_dir)
    if not options:
        return None
    length, halved = _config(run_dir)["data.max_length"], dict(options)
    train, evaluation, train_tokens, evaluation_tokens = (f"{BATCHING}{name}" for name in SIZES)
    if (size := options.get(train, 1)) > 1:
        step = size * options[ACCUMULATE]
        halved[train] = next(part for part in range(size // 2, 0, -1) if step % part == 0)  # 3 x 2 become 1 x 6
        halved[ACCUMULATE] = step // halved[train]
    if (size := options.get(train_tokens, 0)) >= 2 * length:
        halved[train_tokens], halved[ACCUMULATE] = size // 2, 2 * options[ACCUMULATE]
    for key, least in ((evaluation, 1), (evaluation_tokens, length)):
        if (size := options.get(key, 0)) > least:
            halved[key] = max(size // 2, least)
    return None if halved == options else Halved(halved)


def half_pretraining(args: Sequence[str]) -> Halved | None:
    """Half of the batch of pretraining, with as many tokens in a step: that is another stage, with a key of its own.

    Args:
        args: Options of ``redsm5 fit``, with what memory has made of them before.

    Returns:
        None where the batch would be shorter than a row.
    """
    own, given = Pretraining(), merged(given_sources(list(args)))
    tokens, length, accumulate = (
        int(given.get(f"{PRETRAINING}{name}", getattr(own, name)))
        for name in ("batch_tokens", "max_length", "accumulate")
    )
    if tokens < 2 * length:
        return None
    return Halved({f"{PRETRAINING}batch_tokens": tokens // 2, f"{PRETRAINING}accumulate": 2 * accumulate})


def batches_of(run_dir: Path) -> dict[str, int]:
    """The options that say how large the batches of a run are; empty where there is none."""
    config = _config(run_dir)
    prefix = "data.batching.init_args."
    sizes = {f"{BATCHING}{name}": config.get(prefix + name) for name in SIZES}
    found = {key: size for key, size in sizes.items() if size is not None}
    return {**found, ACCUMULATE: config[ACCUMULATE]} if config else {}


def _config(run_dir: Path) -> dict[str, Any]:
    """The config of a run, by dotted key; empty where there is none."""
    try:
        return flat(yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError):
        return {}


def batch_options(batches: Mapping[str, int]) -> list[str]:
    """The options of ``redsm5 fit`` that set them."""
    return [f"--{key}={size}" for key, size in batches.items()]
