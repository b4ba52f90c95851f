"""A corpus and an encoder small enough for tests: both are made here, nothing is downloaded."""

from __future__ import annotations

import csv
import hashlib
import random
import re
from dataclasses import dataclass
from pathlib import Path

from redsm5.datamodules.corpus import Annotation, Corpus, Criterion, Post, Span

KEYWORDS = {
    "DEPRESSED_MOOD": "gloomy",
    "ANHEDONIA": "joyless",
    "APPETITE_CHANGE": "starving",
    "SLEEP_ISSUES": "sleepless",
    "PSYCHOMOTOR": "restless",
    "FATIGUE": "exhausted",
    "WORTHLESSNESS": "worthless",
    "COGNITIVE_ISSUES": "foggy",
    "SUICIDAL_THOUGHTS": "vanishing",
}
"""One word per criterion: it stands in every evidence sentence of that criterion and nowhere else."""

FILLERS = (
    "The bus was late again today.",
    "My sister came over with her dog.",
    "We watched a film about the sea.",
    "It rained for most of the week.",
    "Work was busy but fine.",
    "I bought a green lamp for the desk.",
)
EVIDENCE = ("I have been {} for weeks now.", "Honestly I feel {} all the time.", "Every morning I wake up {} again.")
HARD_NEGATIVE = "My brother says his old car looks tired of the road."


@dataclass(frozen=True)
class TinyPost:
    """A post as sentences, with the criterion that each is evidence or a hard negative of."""

    id: str
    sentences: tuple[str, ...]
    evidence: tuple[str | None, ...]
    hard: tuple[str | None, ...]

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


def tiny_posts(*, posts: int = 60, authors: int = 30, seed: int = 0, sentences: int = 5) -> list[TinyPost]:
    """Posts whose labels are decided by one keyword each; a third has no symptom; every sixth is four times as long."""
    rng = random.Random(seed)
    codes = list(KEYWORDS)
    made = []
    for i in range(posts):
        n = sentences * 4 if i % 6 == 5 else rng.randint(2, sentences)
        # Every criterion in turn, so that none is rare by chance; half of the posts have a second one.
        chosen = [] if i % 3 == 2 else [codes[(i - i // 3) % len(codes)], rng.choice(codes)][: rng.randint(1, 2)]
        rows: list[tuple[str, str | None, str | None]] = [(rng.choice(FILLERS), None, None) for _ in range(n)]
        rows += [(rng.choice(EVIDENCE).format(KEYWORDS[c]), c, None) for c in dict.fromkeys(chosen)]
        if i % 4 == 0:
            rows.append((HARD_NEGATIVE, None, "FATIGUE"))
        rng.shuffle(rows)
        texts, evidence, hard = zip(*rows, strict=True)
        made.append(TinyPost(f"s_{i % authors}_{i}", texts, evidence, hard))
    return made


def tiny_corpus(*, posts: int = 60, authors: int = 30, seed: int = 0, sentences: int = 5) -> Corpus:
    """The same posts as a validated, exactly aligned corpus, with no file in between."""
    made = tiny_posts(posts=posts, authors=authors, seed=seed, sentences=sentences)
    annotations = []
    for post in made:
        start = 0
        for k, sentence in enumerate(post.sentences):
            for status, code in ((1, post.evidence[k]), (0, post.hard[k])):
                if code is not None:
                    span = Span(start, start + len(sentence))
                    annotations.append(Annotation(post.id, f"{post.id}_{k}", code, status, span, "exact", 100.0))
            start += len(sentence) + 1
    return corpus_of([Post(p.id, p.text, p.id.split("_")[1]) for p in made], annotations)


def corpus_of(posts: list[Post], annotations: list[Annotation], codes: tuple[str, ...] = tuple(KEYWORDS)) -> Corpus:
    """A corpus of these posts and annotations, hashed by its content."""
    criteria = tuple(
        Criterion(c, c.lower().replace("_", " "), f"The person feels {KEYWORDS.get(c, c)}.") for c in codes
    )
    digest = hashlib.sha256(repr((posts, annotations, criteria)).encode()).hexdigest()
    return Corpus(tuple(posts), tuple(annotations), criteria, digest, "tiny")


def write_tiny_corpus(folder: Path, *, posts: int = 60, authors: int = 30, seed: int = 0, sentences: int = 5) -> Path:
    """Write ``redsm5_posts.csv`` and ``redsm5_annotations.csv`` in the columns of ReDSM5; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tiny_posts(posts=posts, authors=authors, seed=seed, sentences=sentences)
    with (folder / "redsm5_posts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["post_id", "text"])
        writer.writerows([p.id, p.text] for p in made)
    with (folder / "redsm5_annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["post_id", "sentence_id", "sentence_text", "DSM5_symptom", "status", "explanation"])
        for post in made:
            for k, sentence in enumerate(post.sentences):
                for status, code in ((1, post.evidence[k]), (0, post.hard[k])):
                    if code is not None:
                        writer.writerow([post.id, f"{post.id}_{k}", sentence, code, status, "why"])
    return folder


def tiny_vocabulary() -> dict[str, int]:
    """WordPieces of the tiny posts: their words, and characters for all others. Training would not be repeatable."""
    texts = [*FILLERS, *EVIDENCE, HARD_NEGATIVE, *KEYWORDS.values(), *(code.replace("_", " ") for code in KEYWORDS)]
    words = sorted({word for text in texts for word in re.findall(r"[a-z]+", text.lower())})
    characters = sorted(set("abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()-/"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    return {piece: i for i, piece in enumerate(dict.fromkeys([*pieces, *words]))}


def write_tiny_encoder(folder: Path, *, hidden: int = 32, layers: int = 2, max_positions: int = 512) -> Path:
    """Write a BERT of random weights with a trained WordPiece tokenizer as a local encoder folder; returns it."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    vocab = tiny_vocabulary()
    BertTokenizer(vocab=vocab, do_lower_case=True, model_max_length=max_positions).save_pretrained(str(folder))
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=max_positions,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
        pad_token_id=vocab["[PAD]"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(str(folder))
    return folder
