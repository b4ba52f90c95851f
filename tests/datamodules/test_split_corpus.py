from __future__ import annotations

import logging

import pytest
from tiny import corpus_of, tiny_corpus

from redsm5.datamodules.corpus import Post
from redsm5.datamodules.split import Split, make_folds, make_split, read_split
from redsm5.errors import UserError

FRACTIONS = (0.7, 0.15, 0.15)


def everyone(split: Split) -> list[str]:
    return sorted([*split.train, *split.val, *split.test])


@pytest.mark.parametrize("seed", range(5))
def test_make_split_tears_no_author_apart_and_loses_no_post(seed):
    corpus = tiny_corpus(posts=120, authors=40)
    split = make_split(corpus, fractions=FRACTIONS, seed=seed, group_by="author")
    assert everyone(split) == sorted(p.id for p in corpus.posts)
    authors = [{corpus.post_by_id[i].author for i in part} for part in (split.train, split.val, split.test)]
    assert sum(len(part) for part in authors) == len(set().union(*authors))
    rarest = min(range(9), key=lambda k: sum(corpus.labels(p.id)[k] for p in corpus.posts))
    for part in (split.train, split.val, split.test):
        assert any(corpus.labels(i)[rarest] for i in part)


def test_make_split_keeps_the_order_of_the_corpus():
    corpus = tiny_corpus()
    split = make_split(corpus, fractions=FRACTIONS, seed=0, group_by="author")
    order = {p.id: i for i, p in enumerate(corpus.posts)}
    for part in (split.train, split.val, split.test):
        assert list(part) == sorted(part, key=order.__getitem__)


def test_make_split_by_post_when_one_author_wrote_all():
    corpus = tiny_corpus(posts=40, authors=1)
    with pytest.raises(UserError, match=r"has 1 authors; 3 parts need one each; set data\.group_by to post"):
        make_split(corpus, fractions=FRACTIONS, seed=0, group_by="author")
    split = make_split(corpus, fractions=FRACTIONS, seed=0, group_by="post")
    assert everyone(split) == sorted(p.id for p in corpus.posts)
    assert [len(split.train), len(split.val), len(split.test)] == [28, 6, 6]


def test_make_folds_tests_every_post_once_and_validates_on_the_next_fold():
    corpus = tiny_corpus(posts=100, authors=50)
    splits = [make_folds(corpus, folds=5, fold=i, seed=0, group_by="author") for i in range(5)]
    assert sorted(post for split in splits for post in split.test) == sorted(p.id for p in corpus.posts)
    for i, split in enumerate(splits):
        assert split.val == splits[(i + 1) % 5].test
        assert everyone(split) == sorted(p.id for p in corpus.posts)


def corpus_with_three_posts():
    return corpus_of([Post("a_1", "x", "a"), Post("a_2", "y", "a"), Post("b_1", "z", "b")], [])


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", " Val "])
def test_read_split_accepts_the_names_of_the_parts(tmp_path, name):
    file = tmp_path / "split.csv"
    file.write_text(f"split,post_id,note\ntrain,a_1,\n{name},a_2,x\ntest,b_1,\n")
    assert read_split(str(file), corpus_with_three_posts()) == Split(("a_1",), ("a_2",), ("b_1",))


def test_read_split_warns_of_authors_in_two_parts(tmp_path, caplog):
    file = tmp_path / "split.csv"
    file.write_text("post_id,split\na_1,train\na_2,val\nb_1,test\n")
    with caplog.at_level(logging.WARNING):
        read_split(str(file), corpus_with_three_posts())
    assert "same author into two parts for 1 authors" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("post_id,split\na_1,train\na_2,val\n", "leaves out 1 posts of the corpus, the first is 'b_1'"),
        ("post_id,split\na_1,train\na_2,val\nb_1,test\nq,test\n", "line 5: post_id 'q' is not in the corpus"),
        ("post_id,split\na_1,train\na_1,val\n", "line 3: post_id 'a_1' is there a second time"),
        ("post_id,split\na_1,train\na_2,holdout\n", "line 3: split is 'holdout'; accepted are"),
        ("post_id,split\na_1,train\na_2\n", "line 3: split is ''"),
        ("id,part\na_1,train\n", "must name the columns post_id and split"),
        ("post_id,split\na_1,train\na_2,train\nb_1,test\n", "puts no post into val"),
        ('post_id,split\na_1,"train\n', "not valid CSV"),
        ("", "is empty"),
    ],
)
def test_read_split_refuses_with_a_sentence(tmp_path, content, message):
    file = tmp_path / "split.csv"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_split(str(file), corpus_with_three_posts())
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)
