"""From a draw to the options of ``redsm5 fit``: settings over the base config, and a batch that fits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from redsm5.errors import UserError
from redsm5.hpo.batches import ACCUMULATE
from redsm5.hpo.space.bounds import Bounds, Key, Known
from redsm5.hpo.space.draw import settings
from redsm5.hpo.space.space import Space, Value

SHARE = 4
"""A step takes at most this part of the training examples: with fewer than four steps an epoch learns little."""
PASSES = 2
"""What adversarial training holds beside the plain pass: two graphs."""
OF_KEY = ("model.encoder.", "model.peft", "data.max_length", "runtime.precision")
"""Settings that a prediction needs to be about the same key."""
LONG_POST = 32
"""Windows of a long post, where training posts have no limit, and in evaluation."""


def trial_args(
    space: Space, params: Mapping[str, Value], args: Sequence[str], bounds: Bounds | None, training_posts: int
) -> tuple[list[str], dict[str, Any]]:
    """The options of ``redsm5 fit`` for a draw.

    Args:
        space: The space.
        params: Values by name.
        args: Options of the base config, as on the command line.
        bounds: What fits; None for the batch that was drawn, whatever fits.
        training_posts: Posts of the training part.

    Returns:
        The options, base config first, and notes: what the batch became, and why, where it is not what was drawn.

    Raises:
        UserError: The base config is wrong, or the draw does not go with the space.
    """
    base = base_settings(tuple(args))
    chosen = settings(space, params)
    resolved = laid_over(base, chosen)
    chosen |= {key: value for key, value in resolved.items() if key.startswith("pretraining.") and value != base[key]}
    notes: dict[str, Any] = {}
    if "data.batching.train" in resolved and resolved["data.batching"] == "BatchSize":
        chosen |= _batch(space, args, chosen, resolved, bounds, training_posts, notes)
    elif resolved["data.batching"] == "TokenBudget":
        chosen |= _budget(space, args, chosen, resolved, bounds, notes)
    ordered = dict(sorted(chosen.items(), key=lambda item: item[0].count(".")))
    return [*args, *(option(key, value) for key, value in ordered.items())], notes


def option(key: str, value: Value) -> str:
    """A setting as on the command line.

    Args:
        key: Dotted key.
        value: Its value.
    """
    return f"--{key}={value}" if isinstance(value, str) else f"--{key}={json.dumps(value)}"


def within_examples(batch: int, accumulation: int, examples: int) -> tuple[int, int]:
    """A batch and its accumulation whose product is at most a quarter of the examples: accumulation is halved first.

    Args:
        batch: Examples of a batch.
        accumulation: Batches of a step.
        examples: Of the training part.
    """
    most = max(1, examples // SHARE)
    while batch * accumulation > most:
        if accumulation > 1:
            accumulation //= 2
        else:
            batch = max(1, batch // 2) if batch > 1 else 1
            if batch == 1:
                break
    return batch, accumulation


def within_memory(batch: int, accumulation: int, fits: int) -> tuple[int, int]:
    """The same step in batches that fit: the largest divisor of the product.

    Args:
        batch: Examples of a batch.
        accumulation: Batches of a step.
        fits: Examples that fit.
    """
    step = batch * accumulation
    most = max(1, min(batch, fits))
    train = max(size for size in range(1, most + 1) if step % size == 0)
    return train, step // train


def _batch(
    space: Space,
    args: Sequence[str],
    chosen: Mapping[str, Value],
    resolved: Mapping[str, Value],
    bounds: Bounds | None,
    training_posts: int,
    notes: dict[str, Any],
) -> dict[str, Value]:
    drawn = (_whole(resolved, "data.batching.train"), _whole(resolved, ACCUMULATE))
    examples = _least_examples(resolved, training_posts)
    batch, accumulation = within_examples(*drawn, examples)
    if (batch, accumulation) != drawn:
        notes["step"] = f"{drawn[0]} x {drawn[1]} examples are above a quarter of the {examples} for training"
    per_post = _windows_per_post(resolved)
    known = _known(args, chosen, resolved, bounds, batch * per_post)
    evaluation = _whole(resolved, "data.batching.eval")
    if known is not None:
        fits = known.windows // (per_post * _passes(resolved))
        if fits < batch:
            notes["memory"] = f"{fits} posts of {per_post} windows fit a batch"
        batch, accumulation = within_memory(batch, accumulation, fits)
        least = max(1, known.eval_windows // LONG_POST)
        if known.eval_windows < _most_eval_windows(resolved) and evaluation > least:
            notes["evaluation"] = f"{known.eval_windows} windows fit an evaluation batch"
            evaluation = least
    found: dict[str, Value] = {
        "data.batching.train": batch,
        "data.batching.eval": evaluation,
        ACCUMULATE: accumulation,
    }
    notes["batch"], notes["accumulation"] = batch, accumulation
    return _changed(found, resolved)


def _budget(
    space: Space,
    args: Sequence[str],
    chosen: Mapping[str, Value],
    resolved: Mapping[str, Value],
    bounds: Bounds | None,
    notes: dict[str, Any],
) -> dict[str, Value]:
    tokens, accumulation = _whole(resolved, "data.batching.train_tokens"), _whole(resolved, ACCUMULATE)
    length = _whole(resolved, "data.max_length")
    known = _known(args, chosen, resolved, bounds, -(-tokens // length))
    if known is not None:
        fits = max(known.windows // _passes(resolved), 1) * length
        if fits < tokens:
            notes["memory"] = f"{fits} tokens fit a batch"
        while tokens > fits and tokens > length:
            tokens, accumulation = tokens // 2, accumulation * 2
    notes["tokens"], notes["accumulation"] = tokens, accumulation
    return _changed({"data.batching.train_tokens": tokens, ACCUMULATE: accumulation}, resolved)


def _changed(found: dict[str, Value], resolved: Mapping[str, Value]) -> dict[str, Value]:
    """What differs from what is set: an option that is as the base config has it needs no place."""
    return {key: value for key, value in found.items() if value != resolved[key]}


def _known(
    args: Sequence[str], chosen: Mapping[str, Value], resolved: Mapping[str, Value], bounds: Bounds | None, wanted: int
) -> Known | None:
    if bounds is None:
        return None
    key = Key(
        encoder=str(resolved["model.encoder.id"]),
        max_length=_whole(resolved, "data.max_length"),
        precision=str(resolved["runtime.precision"]),
        checkpointing=bool(resolved["model.encoder.gradient_checkpointing"]),
        peft=str(resolved["model.peft"]),
    )
    own = [option(name, value) for name, value in chosen.items() if name.startswith(OF_KEY)]
    reference = [*args, *own, "--data.stride=0", "--model.adversarial=NoAdversarial", "--model.optimizer.layer_decay=1"]
    return bounds.windows(key, wanted * _passes(resolved), reference)


def _passes(resolved: Mapping[str, Value]) -> int:
    return 1 if resolved["model.adversarial"] == "NoAdversarial" else PASSES


def _least_examples(resolved: Mapping[str, Value], training_posts: int) -> int:
    """A post is one example, or as many pairs as a post without criteria makes: others make more."""
    negatives = resolved.get("data.format.negatives_per_positive")
    if resolved["data.format"] != "BinaryPairs" or not isinstance(negatives, int | float):
        return training_posts
    return training_posts * math.ceil(negatives)


def _windows_per_post(resolved: Mapping[str, Value]) -> int:
    most = resolved["data.max_windows"]
    return most if isinstance(most, int) else LONG_POST


def _most_eval_windows(resolved: Mapping[str, Value]) -> int:
    """What a calibration tries at most; where it fits, more does too, since windows pass in chunks."""
    from redsm5.batch_search.units import EVAL_CHUNKS
    from redsm5.modules.network import TOKENS_PER_FORWARD

    return max(LONG_POST, EVAL_CHUNKS * TOKENS_PER_FORWARD // _whole(resolved, "data.max_length"))


def _whole(resolved: Mapping[str, Value], key: str) -> int:
    value = resolved[key]
    if not isinstance(value, int):
        raise UserError(f"{key} is {value}; it must be a whole number")
    return value


def laid_over(base: Mapping[str, Value], chosen: Mapping[str, Value]) -> dict[str, Value]:
    """All settings of a config with those of a draw over it.

    A class that is switched starts from its own defaults, and what pretraining alone reads goes with it.

    Args:
        base: All settings of the base config.
        chosen: Those of the draw.
    """
    switched = [key for key, value in chosen.items() if base.get(key) != value and _is_class(key)]
    values = {key: value for key, value in base.items() if not key.startswith(tuple(f"{name}." for name in switched))}
    for key in switched:
        values |= _sizes(key, chosen[key])
    return {**values, **_unread_pretraining({**base, **chosen}), **chosen}


@cache
def _is_class(key: str) -> bool:
    """Whether a key holds the class of an option with variants."""
    from redsm5.hpo.space.built import types_of
    from redsm5.run.sentences import variants

    return any(variants(hint) for hint in types_of(key))


def _sizes(key: str, kind: Value) -> dict[str, Value]:
    """The defaults of a kind of batching that the draw switches to: they are bounded too."""
    from dataclasses import asdict

    from redsm5.datamodules.batching import BatchSize, TokenBudget

    kinds: dict[str, type[BatchSize] | type[TokenBudget]] = {"BatchSize": BatchSize, "TokenBudget": TokenBudget}
    if key != "data.batching":
        return {}
    return {f"{key}.{name}": value for name, value in asdict(kinds[str(kind)]()).items()}


def _unread_pretraining(values: Mapping[str, Value]) -> dict[str, Value]:
    """The defaults of what nothing reads where a stage is off, which a config must not set."""
    from redsm5.pretraining.options import DAPT_ALONE, TAPT_ALONE, Pretraining

    dapt, tapt = values["pretraining.use_dapt"], values["pretraining.use_tapt"]
    own = Pretraining()
    unread = {*(() if dapt else DAPT_ALONE), *(() if tapt else TAPT_ALONE)}
    if not (dapt or tapt):
        unread = {name.removeprefix("pretraining.") for name in values if name.startswith("pretraining.")} - {
            "use_dapt",
            "use_tapt",
            "cache_gb",
        }
    return {f"pretraining.{name}": getattr(own, name) for name in unread}


def met(args: Sequence[str], *, cuda: bool) -> set[str]:
    """Which requirements of a space are met.

    Args:
        args: Options of the base config.
        cuda: Whether trials have a CUDA device.

    Raises:
        UserError: The config is wrong.
    """
    texts = base_settings(tuple(args))["pretraining.texts"] is not None
    return {name for name, there in (("cuda", cuda), ("texts", texts)) if there}


@lru_cache(maxsize=8)
def base_settings(args: tuple[str, ...]) -> Mapping[str, Value]:
    """All settings of the base config, defaults included, by dotted key; of an option with variants its class name.

    Args:
        args: Its options.

    Raises:
        UserError: The config is wrong.
    """
    from redsm5.cli import build_cli

    config = build_cli(list(args), parse_only=True).config
    found: dict[str, Value] = {}
    _flatten(config.as_dict(), "", found)
    return found


def _flatten(node: Mapping[str, Any], prefix: str, found: dict[str, Value]) -> None:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if not isinstance(value, dict):
            found[key] = list(value) if isinstance(value, tuple) else value
        elif "class_path" in value:
            found[key] = str(value["class_path"]).rpartition(".")[2]
            _flatten(value.get("init_args") or {}, f"{key}.", found)
        else:
            _flatten(value, f"{key}.", found)
