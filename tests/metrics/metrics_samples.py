"""Posts and predictions made from numbers, for the tests of metrics and reports."""

from __future__ import annotations

import random

import numpy as np

from redsm5.datamodules.corpus import Span
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan

CODES = ("ALPHA", "BETA", "GAMMA", "DELTA")
"""Criteria of the samples; ``DELTA`` never has support."""


def sample_posts(posts: int, seed: int, *, posts_per_author: int = 3) -> tuple[list[GoldPost], list[PredictedPost]]:
    """Random posts with evidence, hard negatives, unaligned pairs, ties, overlaps and misses; the same for a seed."""
    rng = random.Random(seed)
    made = [_pair(rng, f"s_{n // posts_per_author}_{n}", f"author{n // posts_per_author}") for n in range(posts)]
    return [g for g, _ in made], [p for _, p in made]


def _pair(rng: random.Random, post_id: str, author: str) -> tuple[GoldPost, PredictedPost]:
    words, sentences = _text(rng)
    labels = tuple(int(rng.random() < rate) for rate in (0.5, 0.3, 0.1, 0.0))
    evidence = tuple(_sentences(rng, sentences, rng.randint(1, 2)) if label else () for label in labels)
    unaligned = tuple(bool(label) and rng.random() < 0.1 for label in labels)
    hard = tuple(_sentences(rng, sentences, 1) if rng.random() < 0.3 else () for _ in labels)
    gold = GoldPost(post_id, author, labels, evidence, unaligned, hard, sentences, words)
    probabilities = tuple(round(1 / (1 + np.exp(-(rng.gauss(-1, 1) + 2 * label))), 2) for label in labels)
    candidates = tuple(_candidates(rng, gold, k) for k in range(len(labels)))
    return gold, PredictedPost(post_id, tuple(map(float, probabilities)), candidates)


def _text(rng: random.Random) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    words: list[Span] = []
    sentences: list[Span] = []
    at = 0
    for _ in range(rng.randint(2, 6)):
        first = at
        for _ in range(rng.randint(1, 8)):
            words.append(Span(at, at + rng.randint(1, 7)))
            at = words[-1].end + 1
        sentences.append(Span(first, at))
        at += 1
    return tuple(words), tuple(sentences)


def _sentences(rng: random.Random, sentences: tuple[Span, ...], count: int) -> tuple[Span, ...]:
    return tuple(sorted(rng.sample(sentences, min(count, len(sentences))), key=lambda s: s.start))


def _candidates(rng: random.Random, gold: GoldPost, k: int) -> tuple[ScoredSpan, ...]:
    spans = []
    for _ in range(rng.randint(1, 4)):
        near = rng.choice([*gold.evidence[k], *gold.hard_negatives[k], rng.choice(gold.sentences)])
        start = max(0, near.start + rng.choice([0, 0, 0, -3, 2, 6]))
        spans.append(ScoredSpan(start, max(start + 1, near.end + rng.choice([0, 0, 0, -4, 5])), rng.gauss(0.5, 1.5)))
    return tuple(sorted(spans, key=lambda s: -s.score))


def perfect(gold: list[GoldPost]) -> list[PredictedPost]:
    """Predictions that are the truth itself."""
    return [
        PredictedPost(
            g.post_id,
            tuple(0.99 if label else 0.01 for label in g.labels),
            tuple(
                tuple(ScoredSpan(s.start, s.end, 5.0) for s in spans) or (ScoredSpan(0, 1, -5.0),)
                for spans in g.evidence
            ),
        )
        for g in gold
    ]
