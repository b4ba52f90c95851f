from collections import Counter
from functools import cache

import numpy as np
import pytest

from redsm5.datamodules.synth.corpus import SynthCorpus, generate
from redsm5.datamodules.synth.phrases import CRITERIA

REAL = dict(zip(CRITERIA, (328, 124, 44, 102, 35, 124, 311, 59, 165), strict=True))


@cache
def _corpus(posts: int, seed: int, profile: str) -> SynthCorpus:
    return generate(posts, seed, profile)


def _positive(corpus: SynthCorpus) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {code: set() for code in CRITERIA}
    for row in corpus.annotations:
        if row.status == 1 and row.DSM5_symptom in found:
            found[row.DSM5_symptom].add(row.post_id)
    return found


def _authors(post_ids):
    return {post_id.rsplit("_", 1)[0] for post_id in post_ids}


@pytest.mark.parametrize("seed", [0, 1])
def test_default_has_the_real_lengths(seed):
    words = np.array([len(post.text.split()) for post in _corpus(1484, seed, "default").posts])
    assert words.mean() == pytest.approx(295, rel=0.05)
    assert words.min() == 2
    assert words.max() == pytest.approx(6990, abs=20)
    # A heavy tail: some posts of thousands of words, the mean far above the median.
    assert (words > 2000).sum() >= 5
    assert words.mean() > 1.4 * np.median(words)


@pytest.mark.parametrize("seed", [0, 1])
def test_default_has_the_real_labels_and_rows(seed):
    corpus = _corpus(1484, seed, "default")
    positive = _positive(corpus)
    assert {code: len(posts) for code, posts in positive.items()} == REAL
    assert 1484 - len(set.union(*positive.values())) == 392
    distinct = {row for row in corpus.annotations if row.status == 1 and row.DSM5_symptom in REAL}
    assert len(distinct) / sum(REAL.values()) == pytest.approx(1.13, abs=0.01)
    assert len(corpus.annotations) == pytest.approx(2058, abs=5)
    assert sum(row.status == 0 for row in corpus.annotations) == pytest.approx(427, abs=3)
    assert len({row for row in corpus.annotations if row.DSM5_symptom == "SPECIAL_CASE"}) == 92
    assert len(corpus.annotations) - len(set(corpus.annotations)) == pytest.approx(84, abs=2)


def test_default_has_conflicting_rows():
    statuses: dict[tuple[str, str, str], set[int]] = {}
    for row in _corpus(1484, 0, "default").annotations:
        statuses.setdefault((row.sentence_id, row.sentence_text, row.DSM5_symptom), set()).add(row.status)
    assert sum(len(found) == 2 for found in statuses.values()) == 12


def test_authors_recur_and_none_dominates():
    posts = _corpus(1484, 0, "default").posts
    counts = Counter(post.post_id.rsplit("_", 1)[0] for post in posts)
    assert 0.3 < len(counts) / len(posts) < 0.6
    assert max(counts.values()) / len(posts) < 0.03


@pytest.mark.parametrize("posts", [200, 300, 700])
def test_rarest_criterion_has_enough_posts_and_authors(posts):
    for found in _positive(_corpus(posts, 3, "default")).values():
        assert len(found) >= 6
        assert len(_authors(found)) >= 6


@pytest.mark.parametrize("posts", [1, 2, 7, 30])
@pytest.mark.parametrize("profile", ["default", "demo", "short"])
def test_few_posts_work(posts, profile):
    corpus = _corpus(posts, 0, profile)
    assert len({post.post_id for post in corpus.posts}) == posts
    assert all(post.text.strip() for post in corpus.posts)


def test_demo_is_short_and_balanced():
    corpus = _corpus(1200, 0, "demo")
    words = np.array([len(post.text.split()) for post in corpus.posts])
    assert 45 < words.mean() < 75
    assert words.max() < 200
    positive = _positive(corpus)
    assert all(0.14 <= len(found) / 1200 <= 0.2 for found in positive.values())
    assert 0.15 < 1 - len(set.union(*positive.values())) / 1200 < 0.3
    assert len(_authors(post.post_id for post in corpus.posts)) > 400


def test_short_is_two_sentences_and_balanced():
    corpus = _corpus(600, 0, "short")
    words = np.array([len(post.text.split()) for post in corpus.posts])
    assert 8 < words.mean() < 12
    assert words.max() < 70
    positive = _positive(corpus)
    assert all(0.11 <= len(found) / 600 <= 0.14 for found in positive.values())
    assert 0.1 < 1 - len(set.union(*positive.values())) / 600 < 0.2


def test_demo_puts_hard_negatives_beside_evidence():
    rows = _corpus(1200, 0, "demo").annotations
    positive = {(row.post_id, row.DSM5_symptom) for row in rows if row.status == 1}
    negative = {(row.post_id, row.DSM5_symptom) for row in rows if row.status == 0}
    assert 0.2 < len(positive & negative) / len(positive) < 0.6


def test_sentences_rarely_repeat_across_posts():
    rows = {row for row in _corpus(1484, 0, "default").annotations if row.status == 1 and row.DSM5_symptom in REAL}
    assert len({row.sentence_text for row in rows}) / len(rows) > 0.95
