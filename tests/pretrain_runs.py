"""The command line of a small pretraining, and its texts."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from tiny import FILLERS, tiny_posts

TEST_WORD, VAL_WORD = "brother", "lamp"
"""Words of the tiny vocabulary that stand in no training post of ``write_marked_corpus``."""


def pretrain_options(corpus: Path, encoder: Path, cache: Path, *more: str, command: str = "pretrain") -> list[str]:
    """Options of a TAPT that takes a second."""
    return [
        command, f"--data.path={corpus}", f"--model.encoder.id={encoder}", f"--data.cache_dir={cache}",
        "--pretraining.use_tapt=true", "--pretraining.max_length=32", "--pretraining.batch_tokens=256",
        "--pretraining.lr=0.003", "--pretraining.head_lr=0.003", "--pretraining.attention_dropout=0",
        "--trainer.accelerator=cpu", "--runtime.threads=1", "--data.workers=0", *more,
    ]  # fmt: skip


def write_texts(folder: Path, *, count: int = 60) -> Path:
    """Plain texts of the domain, which differ from the posts."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    texts = [" ".join(rng.choice(FILLERS) for _ in range(rng.randint(2, 6))) for _ in range(count)]
    (folder / "texts.txt").write_text("\n\n".join(texts), encoding="utf-8")
    return folder


def write_marked_corpus(folder: Path, *, outside: str = "") -> Path:
    """The tiny corpus with a split file; only posts of validation and test hold the marks, and ``outside``."""
    folder.mkdir(parents=True, exist_ok=True)
    posts = tiny_posts()
    parts = {post.id: ("train", "train", "train", "val", "test")[int(post.id.split("_")[1]) % 5] for post in posts}
    marks = {"train": "", "val": f" {VAL_WORD}. {outside}", "test": f" {TEST_WORD}. {outside}"}

    def clean(text: str) -> str:
        return text.replace(TEST_WORD, "sister").replace(VAL_WORD, "film")

    with (folder / "redsm5_posts.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[post.id, clean(post.text) + marks[parts[post.id]]] for post in posts]
        csv.writer(file).writerows([["post_id", "text"], *rows])
    with (folder / "redsm5_annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["post_id", "sentence_id", "sentence_text", "DSM5_symptom", "status"])
        for post in posts:
            for k, sentence in enumerate(post.sentences):
                if post.evidence[k] is not None:
                    writer.writerow([post.id, f"{post.id}_{k}", clean(sentence), post.evidence[k], 1])
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["post_id", "split"], *parts.items()])
    return folder
