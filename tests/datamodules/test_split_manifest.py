from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tiny import tiny_corpus

from redsm5.datamodules.manifest import load_manifest, save_manifest
from redsm5.datamodules.split import make_split
from redsm5.datamodules.split_choice import SplitChoice
from redsm5.errors import UserError

CHOICE = SplitChoice(None, (0.7, 0.15, 0.15), 0, "author", None, None)


@pytest.fixture
def saved(tmp_path):
    corpus = tiny_corpus()
    split = make_split(corpus, fractions=(0.7, 0.15, 0.15), seed=0, group_by="author")
    path = tmp_path / "split.json"
    save_manifest(path, split, corpus, CHOICE.settings())
    return path, corpus, split


def test_manifest_gives_the_split_back(saved):
    path, corpus, split = saved
    assert load_manifest(path, corpus, CHOICE.settings()) == split


def test_manifest_names_the_corpus_and_holds_no_text(saved):
    path, corpus, _ = saved
    content = path.read_text()
    assert json.loads(content)["corpus"]["sha256"] == corpus.sha256
    assert not any(post.text[:20] in content for post in corpus.posts)
    assert [file.name for file in path.parent.iterdir()] == ["split.json"]


def test_manifest_of_another_corpus_is_refused(saved):
    path, corpus, _ = saved
    changed = replace(corpus, sha256="0" * 64)
    with pytest.raises(
        UserError, match=r"belongs to another corpus .* use the corpus it was made for, or another run_dir"
    ):
        load_manifest(path, changed, CHOICE.settings())


@pytest.mark.parametrize(
    ("choice", "keys"),
    [
        (replace(CHOICE, seed=1), "data.split_seed"),
        (replace(CHOICE, fractions=(0.8, 0.1, 0.1)), "data.fractions"),
        (replace(CHOICE, folds=5, fold=0), "data.fold, data.folds, data.fractions"),
    ],
)
def test_manifest_of_other_settings_is_refused(saved, choice, keys):
    path, corpus, _ = saved
    with pytest.raises(UserError, match=f"was made with another {keys}"):
        load_manifest(path, corpus, choice.settings())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"corpus": {}}', '{"corpus": 1, "settings": {}, "parts": {}}'])
def test_manifest_that_is_damaged_is_refused(saved, content):
    path, corpus, _ = saved
    path.write_text(content)
    with pytest.raises(UserError, match="is not a split manifest, or is damaged"):
        load_manifest(path, corpus, CHOICE.settings())


def test_manifest_that_lost_a_post_is_refused(saved):
    path, corpus, _ = saved
    content = json.loads(path.read_text())
    content["parts"]["train"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not name each post of the corpus once"):
        load_manifest(path, corpus, CHOICE.settings())


def test_split_choice_writes_the_manifest_and_then_reads_it(tmp_path):
    corpus = tiny_corpus()
    manifest = str(tmp_path / "split.json")
    first = CHOICE.of(corpus, manifest)
    content = json.loads((tmp_path / "split.json").read_text())
    # Proof that it is read: what is written differs from what would be made.
    content["parts"]["val"], content["parts"]["test"] = content["parts"]["test"], content["parts"]["val"]
    (tmp_path / "split.json").write_text(json.dumps(content))
    second = CHOICE.of(corpus, manifest)
    assert (second.train, second.val, second.test) == (first.train, first.test, first.val)


def test_split_choice_on_another_rank_writes_nothing(tmp_path):
    CHOICE.of(tiny_corpus(), str(tmp_path / "split.json"), write=False)
    assert not list(tmp_path.iterdir())
