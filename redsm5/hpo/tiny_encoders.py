"""Tiny encoders of every family, for a search on a CPU, made of the training posts alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
TINY_VERSION = 2
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
    """How large they are, and how they are pretrained.

    Attributes:
        layers: Transformer layers.
        hidden: Width.
        heads: Attention heads.
        ffn: Width of the feed-forward blocks.
        context: Tokens that are read.
        epochs: Of the pretraining.
        repeats: How often an epoch passes each post, with other masks every time.
        lr: Of the pretraining.
        batch_tokens: Of a step of it.
    """

    layers: int = 2
    hidden: int = 32
    heads: int = 2
    ffn: int = 64
    context: int = 160
    epochs: int = 2
    repeats: int = 5
    lr: float = 3e-3
    batch_tokens: int = 2048


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
        UserError: The corpus cannot be read, a family is not known, or a stage fails.
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
    from redsm5.run.lock import FolderHeld, run_lock

    recipe = {
        "version": TINY_VERSION,
        "size": asdict(size),
        "posts": posts_sha256(posts),
        "criteria": [[criterion.title, criterion.text] for criterion in criteria],
        "family": family,
    }
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder(cache_dir) / "tiny-encoders" / f"{family}-{key}"
    work = folder.with_name(f".{folder.name}.work")
    while not folder.is_dir():
        try:
            with run_lock(work):
                if folder.is_dir():
                    break
                pretrained = _pretrained(family, posts, criteria, work, size)
                with aside(folder) as new:
                    shutil.copytree(pretrained, new, dirs_exist_ok=True)
        except FolderHeld:
            _wait()
            continue
        shutil.rmtree(work, ignore_errors=True)
        return folder, True
    return folder, False


def _wait() -> None:
    import time

    time.sleep(1.0)


def _pretrained(family: str, posts: Sequence[Post], criteria: Sequence[Criterion], work: Path, size: Size) -> Path:
    """The encoder after our own stage of masked-language modelling, from random weights."""
    from redsm5.modules.encoder import Encoder
    from redsm5.pretraining.cache import StageFolder
    from redsm5.pretraining.options import Pretraining
    from redsm5.pretraining.recipe import Recipe, base_identity, tokenizer_identity
    from redsm5.pretraining.stage import Work, make_stage
    from redsm5.pretraining.texts import posts_sha256
    from redsm5.run.lightning_cli import LIGHTNING_PRECISION
    from redsm5.run.trainer_options import TrainerOptions

    start = work / "start"
    save_start(family, posts, criteria, start, size)
    encoder = Encoder(str(start), hidden_dropout=0.0, attention_dropout=0.0, random_weights=True)
    option = Pretraining(
        use_tapt=True,
        max_length=size.context,
        batch_tokens=size.batch_tokens,
        lr=size.lr,
        head_lr=size.lr,
        hidden_dropout=0.0,
        attention_dropout=0.0,
    )
    recipe = Recipe.of(
        option,
        "tapt",
        base=base_identity(encoder),
        tokenizer=tokenizer_identity(encoder.id, None),
        texts=posts_sha256(posts),
        seed=list(KINDS).index(family),  # architectures that are the same, such as BERT and ELECTRA, are to differ
        precision="none",
        random_weights=True,
    )
    stage = StageFolder(work / "stages" / recipe.key)
    stage.path.mkdir(parents=True, exist_ok=True)
    texts = partial(_repeated, posts, size.repeats)
    trainer = TrainerOptions(accelerator="cpu")
    make_stage(
        stage, recipe, size.epochs, Work(encoder, texts, trainer, LIGHTNING_PRECISION["none"], 0, None, max_gb=1.0)
    )
    return stage.epoch(size.epochs)


def _repeated(posts: Sequence[Post], repeats: int) -> Any:
    from redsm5.pretraining.texts import texts_of

    return (text for _ in range(repeats) for text in texts_of(posts))


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
        config.attention_window = [size.context // 4] * size.layers
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
