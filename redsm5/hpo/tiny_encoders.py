"""Tiny encoders of every family, for a search on a CPU: a tokenizer of the training posts, and random weights.

Masked-language modelling of some hundred posts makes them worse: LoRA on them reaches a macro-F1 of .1 where it reaches
.4 on the random ones. Low-rank adapters need states that differ, and so little text makes them alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from redsm5.children import ChildDied, in_child
from redsm5.children import Tell as ChildTell
from redsm5.errors import UserError
from redsm5.hpo.space.space import Choices, Space
from redsm5.hpo.tiny_tokenizers import Kind

if TYPE_CHECKING:
    from redsm5.datamodules.corpus import Criterion, Post

Tell = Callable[[str], None]

PREFIX = "tiny:"
"""Begins the name of such an encoder in a space; the rest is its family."""
TINY_VERSION = 4
"""Raised whenever the same posts give other encoders."""
KINDS: dict[str, Kind] = {
    "bert": "WordPiece",
    "electra": "WordPiece",
    "distilbert": "WordPiece",
    "roberta": "BPE",
    "longformer": "BPE",
    "xlm-roberta": "Unigram",
    "deberta-v2": "Unigram",
    "big_bird": "Unigram",
}
"""The families of the catalog, with the kind of their tokenizers."""
OF_CRITERIA = 20
"""How often the tokenizer reads titles and descriptions of the criteria."""
TOKEN_TYPES = {"bert": 2, "electra": 2, "big_bird": 2, "distilbert": 0, "deberta-v2": 0}


@dataclass(frozen=True)
class Size:
    """How large they are.

    Attributes:
        layers: Transformer layers.
        hidden: Width.
        heads: Attention heads.
        ffn: Width of the feed-forward blocks.
        context: Tokens that are read.
    """

    layers: int = 2
    hidden: int = 32
    heads: int = 2
    ffn: int = 64
    context: int = 160


SIZE = Size()


def prepare(space: Space, args: Sequence[str], tell: Tell) -> Space:
    """Make the tiny encoders that a space names, unless they are there, and let the space know where they are.

    To be called whenever a search starts or goes on, also for a space that a study has kept. Without such names it
    does nothing. What is made depends on the training posts alone, and lies in the cache.

    Args:
        space: The space.
        args: Options of the base config, as on the command line.
        tell: Is told what is made.

    Raises:
        UserError: The corpus cannot be read, a family is not known, or the cache cannot be written.
    """
    names = [
        str(value)
        for parameter in space.by_path.get("model.encoder.id", ())
        for value in (parameter.distribution.values if isinstance(parameter.distribution, Choices) else ())
        if str(value).startswith(PREFIX)
    ]
    if not names:
        return space
    unknown = [name for name in names if name.removeprefix(PREFIX) not in KINDS]
    if unknown:
        families = ", ".join(f"{PREFIX}{family}" for family in KINDS)
        raise UserError(f"{space.source}: there is no encoder {unknown[0]}; there are {families}")
    try:
        folders = in_child(partial(_in_child, tuple(args), tuple(name.removeprefix(PREFIX) for name in names), SIZE))
    except ChildDied as error:
        raise UserError(f"the tiny encoders could not be made: {error}; try again") from error
    if isinstance(folders, UserError):
        raise folders
    made, where = folders
    if made:
        tell(f"made {len(made)} tiny encoders ({', '.join(made)}) of the training posts, in {where[0].parent}")
    return replace(space, aliases=dict(zip(names, map(str, where), strict=True)))


def _in_child(
    args: tuple[str, ...], families: tuple[str, ...], size: Size, tell: ChildTell
) -> tuple[list[str], list[Path]] | UserError:
    import contextlib
    import os

    import torch

    from redsm5.batch_search.settings import criteria_file
    from redsm5.cli import build_cli
    from redsm5.datamodules.criteria import load_criteria
    from redsm5.pretraining.chain import training_posts

    torch.set_num_threads(1)
    try:
        config = build_cli(list(args), parse_only=True).config
        tell("reading the corpus")
        posts, criteria = training_posts(config), load_criteria(criteria_file(config))
        made, folders = [], []
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            for family in families:
                tell(f"making {family}")
                folder, new = tiny_encoder(family, posts, criteria, config.data.cache_dir, size)
                folders.append(folder)
                made += [family] if new else []
    except UserError as error:
        return error
    return made, folders


def tiny_encoder(
    family: str,
    posts: Sequence[Post],
    criteria: Sequence[Criterion],
    cache_dir: str | None,
    size: Size = SIZE,
) -> tuple[Path, bool]:
    """The folder of the tiny encoder of a family, made now unless it is there.

    Args:
        family: Of ``KINDS``.
        posts: It is made of their texts.
        criteria: The tokenizer reads their texts too.
        cache_dir: As ``data.cache_dir``.
        size: How large.

    Returns:
        The folder, and whether it is new.
    """
    from redsm5.datamodules.token_cache import cache_folder
    from redsm5.pretraining.cache import aside
    from redsm5.pretraining.texts import posts_sha256

    recipe = {
        "version": TINY_VERSION,
        "size": asdict(size),
        "posts": posts_sha256(posts),
        "criteria": [[criterion.title, criterion.text] for criterion in criteria],
        "family": family,
    }
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder(cache_dir) / "tiny-encoders" / f"{family}-{key}"
    if folder.is_dir():
        return folder, False
    with aside(folder) as new:
        save_start(family, posts, criteria, new, size)
        _save_weights(family, new)
    return folder, True


def _save_weights(family: str, folder: Path) -> None:
    """Random weights beside a config, with a head for masked-language modelling, for stages of pretraining."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    from redsm5.modules.encoder_weights import quiet

    with quiet(), torch.random.fork_rng(devices=[]):
        # Architectures that are the same, such as BERT and ELECTRA, are to differ.
        torch.manual_seed(list(KINDS).index(family))
        model = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(folder))  # type: ignore[no-untyped-call]
        model.save_pretrained(folder)


def save_start(family: str, posts: Sequence[Post], criteria: Sequence[Criterion], folder: Path, size: Size) -> None:
    """Tokenizer and config of an encoder whose weights are still random.

    Args:
        family: Of ``KINDS``.
        posts: The tokenizer reads their texts.
        criteria: And theirs.
        folder: To write to.
        size: How large.
    """
    from redsm5.catalog import EncoderFacts
    from redsm5.hpo.tiny_tokenizers import tiny_tokenizer
    from redsm5.modules.encoder_weights import config_of_facts

    # What stands beside the post in a window is to take little of it.
    beside = [text for criterion in criteria for text in (criterion.title, criterion.text)]
    tokenizer = tiny_tokenizer(KINDS[family], [post.text for post in posts] + beside * OF_CRITERIA)
    config = config_of_facts(
        EncoderFacts(
            id=f"{PREFIX}{family}",
            family=family,
            layers=size.layers,
            hidden=size.hidden,
            heads=size.heads,
            ffn=size.ffn,
            vocabulary=len(tokenizer),
            context=size.context,
            token_types=TOKEN_TYPES.get(family, 1),
        )
    )
    config.pad_token_id = tokenizer.pad_token_id
    if family == "longformer":
        config.attention_window = [size.context // 8] * size.layers  # texts are padded to multiples of it
    if family == "deberta-v2":
        config.position_buckets = 32  # two products with twice as many are made in every layer
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
