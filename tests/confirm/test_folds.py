"""Folds for confirming the trials of a search."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redsm5.confirm.folds import confirmation_folds, split_csv
from redsm5.datamodules.corpus import Annotation, Corpus, Criterion, Post, Span
from redsm5.datamodules.split import Split, make_split, read_split
from redsm5.errors import UserError

CODES = ("A", "B", "C")


def corpus_of(authors, labels):
    """Posts of some authors with some labels each."""
    posts = tuple(Post(f"p{i}", "x" * 9, f"a{author}") for i, author in enumerate(authors))
    annotations = tuple(
        Annotation(post.id, f"{post.id}_{code}", code, 1, Span(0, 3), "exact", 100.0)
        for post, own in zip(posts, labels, strict=True)
        for code in own
    )
    return Corpus(posts, annotations, tuple(Criterion(code, code, code) for code in CODES), "sha", "made")


@st.composite
def corpora(draw):
    posts = draw(st.lists(st.integers(1, 4), min_size=20, max_size=40))
    authors = [author for author, count in enumerate(posts) for _ in range(count)]
    return corpus_of(authors, [draw(st.sets(st.sampled_from(CODES))) for _ in authors])


@given(corpora(), st.integers(0, 9), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_folds_test_each_post_once_and_never_use_the_test_posts(corpus, seed, folds):
    split = make_split(corpus, fractions=(0.6, 0.2, 0.2), seed=seed, group_by="author")
    made = confirmation_folds(corpus, split, folds=folds, seed=seed, group_by="author")
    pool = {*split.train, *split.val}
    author = {post.id: post.author for post in corpus.posts}
    assert sorted(post for one in made for post in one.test) == sorted(pool)
    for one in made:
        assert set(one.unused) == set(split.test)
        assert {*one.train, *one.val, *one.test} == pool
        parts = [{author[post] for post in part} for part in (one.train, one.val, one.test)]
        assert all(parts)
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]


def test_folds_validate_with_the_share_of_the_study():
    corpus = corpus_of(range(100), [{"A"} if i % 2 else set() for i in range(100)])
    split = make_split(corpus, fractions=(0.6, 0.2, 0.2), seed=0, group_by="author")
    for one in confirmation_folds(corpus, split, folds=4, seed=1, group_by="author"):
        assert (len(one.train), len(one.val), len(one.test)) == (45, 15, 20)
        assert sum(corpus.labels(post)[0] for post in one.test) == 10


def test_folds_of_other_seeds_differ():
    corpus = corpus_of(range(60), [{"A"}] * 60)
    split = make_split(corpus, fractions=(0.6, 0.2, 0.2), seed=0, group_by="author")
    first, again, other = (
        confirmation_folds(corpus, split, folds=3, seed=seed, group_by="author") for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(("group_by", "said"), [("author", "2 authors"), ("post", "4 posts")])
def test_folds_of_too_few_groups_are_refused(group_by, said):
    corpus = corpus_of([0, 0, 1, 1, 2], [{"A"}] * 5)
    split = Split(("p0", "p1"), ("p2", "p3"), ("p4",))
    with pytest.raises(UserError, match=f"have {said}; --folds 4 needs 5"):
        confirmation_folds(corpus, split, folds=4, seed=0, group_by=group_by)


def test_fold_that_leaves_one_author_is_refused():
    corpus = corpus_of([0] * 20 + [1, 2, 3], [set()] * 23)
    pool = tuple(post.id for post in corpus.posts)
    with pytest.raises(UserError, match=r"fold \d of 2 leaves the posts of one author.*more --folds"):
        confirmation_folds(corpus, Split(pool[:21], pool[21:], ()), folds=2, seed=0, group_by="author")


def test_split_csv_is_read_back(tmp_path):
    corpus = corpus_of(range(30), [{"A"}] * 30)
    split = make_split(corpus, fractions=(0.6, 0.2, 0.2), seed=0, group_by="author")
    [one, *_] = confirmation_folds(corpus, split, folds=3, seed=0, group_by="author")
    path = tmp_path / "split.csv"
    path.write_text(split_csv(one), encoding="utf-8")
    assert read_split(str(path), corpus) == one
    assert {row["split"] for row in csv.DictReader(io.StringIO(split_csv(one)))} == {"train", "val", "test", "unused"}
