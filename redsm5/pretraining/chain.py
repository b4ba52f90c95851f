"""From a config to its chain of stages: base -> DAPT -> TAPT, each by its key, and to the encoder at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redsm5.datamodules.corpus import Corpus, Post
from redsm5.datamodules.reading import corpus_of
from redsm5.datamodules.split import Split
from redsm5.datamodules.split_choice import SplitChoice
from redsm5.datamodules.token_cache import cache_folder
from redsm5.modules.encoder import Encoder
from redsm5.pretraining.cache import StageFolder, evict
from redsm5.pretraining.options import Kind, Pretraining
from redsm5.pretraining.recipe import Recipe, base_identity, stage_identity, tokenizer_identity
from redsm5.pretraining.texts import Text, TextSource, posts_sha256, texts_of


@dataclass(frozen=True)
class Stage:
    """A stage of a chain.

    Attributes:
        recipe: What decides its weights.
        epochs: How many are wanted.
        folder: Where it lies in the cache.
        texts: Gives its texts.
    """

    recipe: Recipe
    epochs: int
    folder: StageFolder
    texts: Callable[[], Iterable[Text]]

    @property
    def encoder(self) -> Path:
        """The encoder that it leaves."""
        return self.folder.epoch(self.epochs)


@dataclass(frozen=True)
class Chain:
    """The stages of a config, in their order.

    Attributes:
        root: The cache.
        stages: One or two.
        posts: Those that TAPT trains on; none without it.
        cache_gb: Limit on the cache.
    """

    root: Path
    stages: tuple[Stage, ...]
    posts: tuple[Post, ...]
    cache_gb: float

    @property
    def encoder(self) -> Path:
        """The encoder at its end."""
        return self.stages[-1].encoder

    @property
    def is_made(self) -> bool:
        """Whether that is there."""
        return self.stages[-1].folder.has(self.stages[-1].epochs)

    def used_by(self, run_dir: Path | None = None) -> None:
        """Note the use of its stages, by which run, and remove others beyond the limit of the cache."""
        for stage in self.stages:
            stage.folder.used_by(run_dir)
        evict(self.root, self.cache_gb, [stage.folder.path for stage in self.stages])


def chain_of(config: Any) -> Chain:
    """The chain of a parsed config; no weight is read, nothing is trained.

    Args:
        config: With a section ``pretraining`` that asks for a stage.

    Raises:
        UserError: The encoder, the texts or the corpus cannot be read.
    """
    option = Pretraining(**config.pretraining.as_dict())
    encoder = Encoder(**config.model.encoder.as_dict())
    root = cache_folder(config.data.cache_dir) / "pretraining"
    posts = training_posts(config) if "tapt" in option.kinds else ()
    tokenizer = tokenizer_identity(encoder.id, encoder.revision)
    base, random_weights = base_identity(encoder), encoder.random_weights
    stages: list[Stage] = []
    for kind in option.kinds:
        texts, digest = _texts(option, kind, posts, root)
        recipe = Recipe.of(
            option,
            kind,
            base=base,
            tokenizer=tokenizer,
            texts=digest,
            seed=config.seed_everything,
            precision=config.runtime.precision,
            random_weights=random_weights,
        )
        stages.append(Stage(recipe, option.epochs(kind), StageFolder(root / f"{kind}-{recipe.key}"), texts))
        base, random_weights = stage_identity(recipe.key, option.epochs(kind)), False
    return Chain(root, tuple(stages), tuple(posts), option.cache_gb)


def corpus_and_split(config: Any) -> tuple[Corpus, Split]:
    """The corpus, and the split of it that a fit with this config makes.

    Args:
        config: The parsed config.

    Raises:
        UserError: The corpus cannot be read or split.
    """
    data = config.data
    corpus = corpus_of(data)
    first, second, third = data.fractions
    choice = SplitChoice(data.split_file, (first, second, third), data.split_seed, data.group_by, data.folds, data.fold)
    return corpus, choice.of(corpus, None)


def training_posts(config: Any) -> tuple[Post, ...]:
    """The posts of the training part, by the split that a fit with this config makes; of no other part.

    Args:
        config: The parsed config.

    Raises:
        UserError: The corpus cannot be read or split.
    """
    corpus, split = corpus_and_split(config)
    train = set(split.train)
    return tuple(post for post in corpus.posts if post.id in train)


def _texts(
    option: Pretraining, kind: Kind, posts: Sequence[Post], root: Path
) -> tuple[Callable[[], Iterable[Text]], str]:
    if kind == "tapt":
        return (lambda: texts_of(posts)), posts_sha256(posts)
    assert option.texts is not None
    source = TextSource(option.texts, option.text_column, option.texts_revision)
    return (lambda: source), source.sha256(root)
