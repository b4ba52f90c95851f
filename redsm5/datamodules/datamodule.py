"""The DataModule: from the files of a corpus to the batches of each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader

from redsm5.catalog import facts
from redsm5.datamodules.augmentation import Augmentation, NoAugmentation
from redsm5.datamodules.augmented_posts import AugmentedPosts
from redsm5.datamodules.batch import Batch
from redsm5.datamodules.batching import Batching, BatchSize
from redsm5.datamodules.checks import (
    at_least,
    check_fuzzy,
    check_source,
    check_split,
    check_token_dropout,
    check_windows,
)
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.dataset import PostDataset, WindowSettings
from redsm5.datamodules.formats import Example, Format, MultiLabel
from redsm5.datamodules.frames import Layout
from redsm5.datamodules.gold import gold_post
from redsm5.datamodules.loading import batch_loader
from redsm5.datamodules.reading import read_corpus
from redsm5.datamodules.sampler import PlanSampler
from redsm5.datamodules.sentence_tokens import IntArray, sentence_tokens
from redsm5.datamodules.split import GroupBy, Part, Split
from redsm5.datamodules.split_choice import SplitChoice
from redsm5.datamodules.targets import Targets, targets_of
from redsm5.datamodules.token_cache import cached_tokens
from redsm5.datamodules.tokenization import TokenTable
from redsm5.datamodules.tokenizer import load_tokenizer
from redsm5.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from redsm5.datamodules.audit import CorpusAudit
    from redsm5.metrics.records import GoldPost

LEAST_ROOM = 16
"""Tokens of a post that a window must have room for: below it, hardly a sentence fits."""
RATE_EPOCHS = 10
"""Epochs over which the share of positives among drawn pairs is counted."""

T = TypeVar("T")


class ReDSM5DataModule(pl.LightningDataModule):
    """Posts, their criteria and their evidence, as batches of windows.

    Args:
        encoder_id: Encoder whose tokenizer is used: hub id or local folder.
        encoder_revision: Its branch, tag or commit on the hub.
        path: Folder with the posts and annotations files, or the id of a dataset on the hub.
        posts: Posts file (CSV, Parquet or JSONL), instead of path.
        annotations: Annotations file, instead of path.
        criteria: JSON or YAML file of the criteria; by default the one in the folder, else the nine DSM-5 symptoms.
        dataset_revision: Branch, tag or commit of a dataset on the hub.
        conflicts: Which judgement stands where a sentence has both for the same criterion.
        fuzzy_cutoff: The least score of a fuzzy alignment, 0 to 100.
        fuzzy_margin: By how much its score must exceed that of the best other place in the post.
        format: What an example is.
        batching: How many examples make a batch.
        max_length: Longest window in tokens, special tokens (and the criterion or the titles) included.
        stride: Tokens of the post shared by neighbouring windows.
        max_windows: The most windows of a post in a training step, those that hold evidence first; null for all.
            Evaluation always has all.
        token_dropout: Share of the post's tokens, 0 to below 1, that a training step replaces by the mask token.
        augmentation: How the words of evidence sentences are changed in training.
        split_file: CSV file with the columns post_id and split (train, val, test), instead of a split of our own.
        fractions: Shares of train, val and test.
        split_seed: Seed of the split.
        group_by: What may not be torn apart by the split.
        folds: Number of folds, instead of fractions.
        fold: The fold to test, counted from 0; the next one validates.
        cache_dir: Folder of the token cache; by default REDSM5_CACHE from the environment, else ~/.cache/redsm5.
        workers: Processes that build batches; by default as many as there are cores (12 at most) with a GPU, else none,
            since they would compete with the training for the cores.
        seed: Seed of the batches and of what is sampled for them.

    Attributes:
        split_manifest: File that holds the split: read if it is there, else written. A run sets its own before
            ``setup``.
        corpus: The corpus, after ``setup``.
        audit: What was found in its files.
        split: Post ids of each part.
        tokenizer: The encoder's tokenizer.

    Raises:
        ValueError: Settings cannot work together; names the key.
    """

    corpus: Corpus
    audit: CorpusAudit
    split: Split
    tokenizer: PreTrainedTokenizerFast

    def __init__(
        self,
        encoder_id: str,
        encoder_revision: str | None = None,
        path: str | None = None,
        posts: str | None = None,
        annotations: str | None = None,
        criteria: str | None = None,
        dataset_revision: str | None = None,
        conflicts: Literal["positive", "negative", "drop"] = "positive",
        fuzzy_cutoff: float = 90.0,
        fuzzy_margin: float = 5.0,
        format: Format = MultiLabel(),  # noqa: B008 - frozen dataclasses: sharing one default instance is safe
        batching: Batching = BatchSize(),  # noqa: B008 - likewise
        max_length: int = 256,
        stride: int = 64,
        max_windows: int | None = 8,
        token_dropout: float = 0.0,
        augmentation: Augmentation = NoAugmentation(),  # noqa: B008 - likewise
        split_file: str | None = None,
        fractions: tuple[float, float, float] = SplitChoice.fractions,
        split_seed: int = SplitChoice.seed,
        group_by: GroupBy = SplitChoice.group_by,
        folds: int | None = None,
        fold: int | None = None,
        cache_dir: str | None = None,
        workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_source(path, posts, annotations)
        check_split(split_file, fractions, split_seed, folds, fold)
        check_windows(max_length, stride, max_windows)
        check_fuzzy(fuzzy_cutoff, fuzzy_margin)
        check_token_dropout(token_dropout)
        at_least("seed", seed, 0)
        if workers is not None:
            at_least("workers", workers, 0)
        self.encoder_id = encoder_id
        self.encoder_revision = encoder_revision
        self.path = path
        self.posts = posts
        self.annotations = annotations
        self.criteria = criteria
        self.dataset_revision = dataset_revision
        self.conflicts: Literal["positive", "negative", "drop"] = conflicts
        self.fuzzy_cutoff = fuzzy_cutoff
        self.fuzzy_margin = fuzzy_margin
        self.format = format
        self.batching = batching
        self.max_length = max_length
        self.stride = stride
        self.max_windows = max_windows
        self.token_dropout = token_dropout
        self._changer = augmentation.build()
        self._split_choice = SplitChoice(
            split_file, (fractions[0], fractions[1], fractions[2]), split_seed, group_by, folds, fold
        )
        self.split_manifest: str | None = None
        self.cache_dir = cache_dir
        self.workers = workers
        self.seed = seed
        self._position = (0, 0)
        self._layout: Layout | None = None
        self._tokens: TokenTable | None = None
        self._targets: tuple[Targets, ...] | None = None
        self._sentences: tuple[IntArray, ...] | None = None
        self._gold: dict[str, GoldPost] = {}

    def prepare_data(self) -> None:
        """Do what ``setup`` does, on one rank first, so that the others find the token cache and the manifest."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Read, align, split and tokenise; the second call does nothing.

        Args:
            stage: Not used: all parts are always there.

        Raises:
            UserError: The corpus, the split, the encoder's tokenizer or the lengths are not usable.
        """
        if self._targets is not None:
            return
        self.corpus, self.audit = read_corpus(
            path=self.path,
            posts=self.posts,
            annotations=self.annotations,
            criteria=self.criteria,
            revision=self.dataset_revision,
            conflicts=self.conflicts,
            fuzzy_cutoff=self.fuzzy_cutoff,
            fuzzy_margin=self.fuzzy_margin,
        )
        self.split = self._split_choice.of(self.corpus, self.split_manifest, write=self._rank()[0] == 0)
        # Files before the hub: a missing corpus is said at once, a hub that does not answer takes a while.
        context = facts(self.encoder_id, self.encoder_revision).context
        if self.max_length > context:
            raise UserError(f"data.max_length is {self.max_length}; {self.encoder_id} reads at most {context} tokens")
        self.tokenizer = load_tokenizer(self.encoder_id, self.encoder_revision)
        self._layout = self.format.build(self.corpus.criteria, self.tokenizer)
        self._check_room(self._layout)
        tokens = cached_tokens(
            [post.text for post in self.corpus.posts],
            self.tokenizer,
            corpus_sha256=self.corpus.sha256,
            encoder_id=self.encoder_id,
            revision=self.encoder_revision,
            cache_dir=self.cache_dir,
        )
        self._tokens = tokens
        self._targets = tuple(
            targets_of(self.corpus, post.id, tokens.text(i)[1]) for i, post in enumerate(self.corpus.posts)
        )

    def need_sentences(self) -> None:
        """Let batches say where sentences are, from now on: not every head asks, and splitting posts takes a while."""
        tokens = _ready(self._tokens)
        if self._sentences is None:
            self._sentences = tuple(
                sentence_tokens(post.text, tokens.text(i)[1]) for i, post in enumerate(self.corpus.posts)
            )

    @property
    def codes(self) -> tuple[str, ...]:
        """Criterion codes in the order of the outputs."""
        return self.corpus.codes

    @property
    def n_criteria(self) -> int:
        """Number of criteria."""
        return len(self.corpus.criteria)

    @property
    def n_outputs(self) -> int:
        """Outputs per example: the number of criteria, or 1 for pairs."""
        return _ready(self._layout).n_outputs

    def post_ids(self, part: Part) -> tuple[str, ...]:
        """Ids of the posts of a part, in the order of the corpus."""
        return self.split.part(part)

    def all_post_ids(self) -> tuple[str, ...]:
        """Ids that ``post_index`` of training, validation and test batches points into."""
        return tuple(post.id for post in self.corpus.posts)

    def gold(self, part: Part) -> list[GoldPost]:
        """The truth about the posts of a part, in the order of the corpus."""
        ids = self.post_ids(part)
        for post in ids:
            if post not in self._gold:
                self._gold[post] = gold_post(self.corpus, post)
        return [self._gold[post] for post in ids]

    def example_sizes(self) -> tuple[list[int], int]:
        """Windows of each example of the whole corpus as evaluation has them, and the number of training examples."""
        dataset = self._dataset(_ready(self._tokens), _ready(self._targets), training=False)
        posts = range(len(self.corpus.posts))
        examples = [example for post in posts for example in self.format.examples(post, self.n_criteria)]
        return dataset.sizes(examples)[0].tolist(), len(self._sampler("train", training=True).examples(0))

    def positive_rates(self) -> tuple[float, ...]:
        """Share of positives of each criterion among the training examples: posts, or the pairs that are drawn.

        The negatives of pairs are drawn anew in every epoch: the share is that of the first ``RATE_EPOCHS``.
        """
        targets, train = _ready(self._targets), set(self.split.train)
        positive, seen = np.zeros(self.n_criteria), np.zeros(self.n_criteria)
        for post in (i for i, post in enumerate(self.corpus.posts) if post.id in train):
            for epoch in range(RATE_EPOCHS):
                for example in self.format.training_examples(post, targets[post], self.seed, epoch):
                    chosen = slice(None) if example.criterion < 0 else example.criterion
                    seen[chosen] += 1
                    positive[chosen] += targets[post].labels[chosen]
        return tuple(float(rate) for rate in positive / np.maximum(seen, 1))

    def steps_per_epoch(self) -> int:
        """Training batches of an epoch on each rank: the same in every epoch."""
        return len(self._sampler("train", training=True))

    def _loader(self, sampler: PlanSampler) -> DataLoader[Batch]:
        return batch_loader(sampler, workers=self.workers, seed=self.seed, on_gpu=self._on_gpu())

    def _on_gpu(self) -> bool:
        """Whether the Trainer uses a GPU: a machine that has one may train on its CPU."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training part, mixed anew in every epoch, without those that a checkpoint has behind it."""
        sampler = self._sampler("train", training=True, position=self._position)
        return self._loader(sampler)

    def state_dict(self) -> dict[str, int]:
        """Where in the batch plan the training stands: the next epoch, and how many batches of it are behind."""
        trainer = _ready(self.trainer)
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        whole = batches >= trainer.num_training_batches
        position = {"epoch": trainer.current_epoch + whole, "batches": 0 if whole else batches}
        return {**position, "ranks": trainer.world_size}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from there; Lightning calls this before it asks for the training batches.

        Raises:
            UserError: There are more or fewer ranks now: the batches are shared out otherwise.
        """
        ranks = self._rank()[1]
        if state_dict["batches"] and state_dict["ranks"] != ranks:
            raise UserError(
                f"the run was stopped in the middle of an epoch on {state_dict['ranks']} devices, and now there are "
                f"{ranks}; go on with --trainer.devices {state_dict['ranks']}"
            )
        self._position = (state_dict["epoch"], state_dict["batches"])

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation part."""
        return self._loader(self._sampler("val", training=False))

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test part."""
        return self._loader(self._sampler("test", training=False))

    def _check_room(self, layout: Layout) -> None:
        frame = layout.longest_frame
        room, least = self.max_length - frame, max(LEAST_ROOM, self.stride + 1)
        if room < least:
            raise UserError(
                f"data.max_length is {self.max_length}, which leaves {max(room, 0)} tokens for a post: {frame} go to "
                f"what the format adds; with data.stride {self.stride}, accepted are {frame + least} or more"
            )

    def _dataset(self, tokens: TokenTable, targets: tuple[Targets, ...], *, training: bool) -> PostDataset:
        layout = _ready(self._layout)
        settings = WindowSettings(
            self.max_length - layout.longest_frame,
            self.stride,
            self.max_windows,
            self.seed,
            self.token_dropout,
            self._mask_id() if self.token_dropout else 0,
        )
        augmented = None
        if training and self._changer is not None:
            augmented = AugmentedPosts(self.corpus, self.tokenizer, self._changer, tokens.lengths, targets, self.seed)
        return PostDataset(
            tokens, targets, layout, settings, training=training, sentences=self._sentences, augmented=augmented
        )

    def _mask_id(self) -> int:
        tokenizer = self.tokenizer
        for found in (tokenizer.mask_token_id, tokenizer.unk_token_id):
            if found is not None:
                return int(found)
        raise UserError(
            f"data.token_dropout is {self.token_dropout}, but the tokenizer of {self.encoder_id} has neither a mask "
            "nor an unknown token; set it to 0"
        )

    def _sampler(self, part: Part, *, training: bool, position: tuple[int, int] = (0, 0)) -> PlanSampler:
        dataset = self._dataset(_ready(self._tokens), _ready(self._targets), training=training)
        chosen = set(self.split.part(part))
        posts = [i for i, post in enumerate(self.corpus.posts) if post.id in chosen]

        def examples(epoch: int) -> list[Example]:
            if not dataset.training:
                return [example for post in posts for example in self.format.examples(post, self.n_criteria)]
            return [
                example
                for post in posts
                for example in self.format.training_examples(post, dataset.targets[post], self.seed, epoch)
            ]

        rank, world_size = self._rank()
        return PlanSampler(
            dataset, examples, self.batching, seed=self.seed, rank=rank, world_size=world_size, position=position
        )

    def _rank(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


def _ready(value: T | None) -> T:
    if value is None:
        raise RuntimeError("call setup() first")
    return value
