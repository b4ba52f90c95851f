import hashlib
import os
import re
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest

from redsm5.datamodules.reading import read_corpus
from redsm5.datamodules.synth import SynthCorpus, generate, write
from redsm5.errors import UserError

FILES = ("redsm5_annotations.csv", "redsm5_posts.csv", "synthetic.json")


@pytest.mark.parametrize("profile", ["default", "demo", "short"])
def test_generate_is_the_same_to_the_byte_in_another_process(tmp_path, profile):
    code = (
        "import sys; from redsm5.datamodules.synth import generate, write; "
        f"write(generate(40, 5, {profile!r}), sys.argv[1])"
    )
    for name, hash_seed in (("a", "1"), ("b", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True, env=environment)
    for file in FILES:
        first, second = ((tmp_path / name / file).read_bytes() for name in ("a", "b"))
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_generate_depends_on_every_argument():
    base = generate(30, 0, "demo")
    assert base != generate(30, 1, "demo")
    assert base != generate(30, 0, "default")
    assert base.posts != generate(31, 0, "demo").posts[:30]


@pytest.mark.parametrize(("posts", "profile"), [(0, "demo"), (-3, "default"), (5, "other")])
def test_generate_refuses_impossible_arguments(posts, profile):
    with pytest.raises(ValueError, match="must be"):
        generate(posts, 0, profile)


def test_ids_have_the_real_shape():
    corpus = generate(100, 0, "default")
    ids = {post.post_id for post in corpus.posts}
    assert all(re.fullmatch(r"s_\d+_\d+", post_id) for post_id in ids)
    for row in corpus.annotations:
        assert row.post_id in ids
        assert re.fullmatch(re.escape(row.post_id) + r"_\d+", row.sentence_id)
        assert row.explanation


def test_write_makes_the_real_columns_and_reads_back(tmp_path):
    corpus = generate(60, 2, "default")
    posts_path, annotations_path = write(corpus, tmp_path / "new" / "corpus")
    posts = pd.read_csv(posts_path, keep_default_na=False)
    annotations = pd.read_csv(annotations_path, keep_default_na=False)
    assert list(posts) == ["post_id", "text"]
    columns = ["post_id", "sentence_id", "sentence_text", "DSM5_symptom", "status", "explanation"]
    assert list(annotations) == columns
    assert list(posts.text) == [post.text for post in corpus.posts]
    assert list(annotations.sentence_text) == [row.sentence_text for row in corpus.annotations]
    assert set(annotations.status) == {0, 1}
    assert sorted(path.name for path in posts_path.parent.iterdir()) == sorted(FILES)


def test_write_replaces_an_earlier_corpus(tmp_path):
    write(generate(5, 0, "demo"), tmp_path)
    later = generate(6, 0, "demo")
    path, _ = write(later, tmp_path)
    assert len(pd.read_csv(path)) == 6


def test_write_refuses_a_folder_with_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        write(generate(2, 0, "demo"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_write_refuses_a_file_as_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot be written"):
        write(generate(2, 0, "demo"), tmp_path / "file")


def test_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path, _ = write(generate(3, 0, "demo"), tmp_path)
    before = path.read_bytes()

    def full_disk(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("redsm5.atomic.os.replace", full_disk)
    with pytest.raises(UserError, match="No space left"):
        write(generate(4, 0, "demo"), tmp_path)
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(FILES)


def test_corpus_reads_and_aligns_as_made(tmp_path):
    write(generate(300, 0, "default"), tmp_path)
    corpus, _ = read_corpus(path=str(tmp_path))
    kinds = Counter(annotation.alignment for annotation in corpus.annotations)
    share = {kind: count / len(corpus.annotations) for kind, count in kinds.items()}
    assert 0.7 < share["exact"] < 0.95
    assert 0.05 < share["normalised"] < 0.25
    assert share["fuzzy"] > 0
    assert 0 < share["failed"] < 0.05


def test_annotated_sentences_stand_in_their_posts():
    corpus: SynthCorpus = generate(300, 0, "demo")
    texts = {post.post_id: post.text for post in corpus.posts}
    verbatim = [row.sentence_text in texts[row.post_id] for row in corpus.annotations]
    assert 0.85 < sum(verbatim) / len(verbatim) < 0.97
