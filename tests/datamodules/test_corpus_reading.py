import csv
import random
from pathlib import Path

import pytest

from redsm5.datamodules.corpus import Span
from redsm5.datamodules.reading import check_corpus, read_corpus
from redsm5.datamodules.validation import author_of
from redsm5.errors import UserError

TEXT = "I am sad. I can't sleep. Food is dull. I am sad."
POSTS = [("s_7_1", TEXT), ("s_7_2", "All is well."), ("x9", "Nothing to say.")]
ROWS = [
    ("s_7_1", "s_7_1_0", "I am sad.", "DEPRESSED_MOOD", "1"),
    ("s_7_1", "s_7_1_1", "I can’t sleep.", "SLEEP_ISSUES", "1"),
    ("x9", "x9_0", "Nothing to say.", "FATIGUE", "0"),
]


def write(folder: Path, posts=POSTS, rows=ROWS) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "my_posts.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("post_id", "text"), *posts])
    with (folder / "my_annotations.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("post_id", "sentence_id", "sentence_text", "DSM5_symptom", "status"), *rows])
    return folder


def read(folder: Path, posts=POSTS, rows=ROWS, **options):
    return read_corpus(path=str(write(folder, posts, rows)), **options)


def summary(corpus) -> list[tuple]:
    return [(a.sentence_id, a.criterion, a.status, a.span) for a in corpus.annotations]


def test_read_corpus_gives_posts_annotations_and_labels(tmp_path):
    corpus, audit = read(tmp_path)
    assert [(post.id, post.text, post.author) for post in corpus.posts] == [
        (*POSTS[0], "7"),
        (*POSTS[1], "7"),
        (*POSTS[2], "x9"),
    ]
    assert summary(corpus) == [
        ("s_7_1_0", "DEPRESSED_MOOD", 1, Span(0, 9)),
        ("s_7_1_1", "SLEEP_ISSUES", 1, Span(10, 24)),
        ("x9_0", "FATIGUE", 0, Span(0, 15)),
    ]
    assert [a.alignment for a in corpus.annotations] == ["exact", "normalised", "exact"]
    assert corpus.labels("s_7_1") == (1, 0, 0, 1, 0, 0, 0, 0, 0)
    assert corpus.labels("x9") == (0,) * 9
    assert corpus.source == str(tmp_path)
    assert audit.sha256 == corpus.sha256


@pytest.mark.parametrize(
    ("post_id", "author"),
    [
        ("s_12_3", "12"),
        ("s_a_b_3", "a_b"),
        ("s_12", "s_12"),
        ("x", "x"),
        ("s_12_3x", "s_12_3x"),
        ("xs_1_2", "xs_1_2"),
        ("s_1_2\n", "s_1_2\n"),
    ],
)
def test_author_of_reads_the_author_in_a_post_id(post_id, author):
    assert author_of(post_id) == author


def test_read_corpus_drops_and_counts_repeated_posts_and_annotations(tmp_path):
    corpus, audit = read(
        tmp_path, [*POSTS, POSTS[0]], [*ROWS, ROWS[0], ("s_7_1", "other", "i AM  sad.", "DEPRESSED_MOOD", "1")]
    )
    assert len(corpus.posts) == 3
    assert len(corpus.annotations) == 3
    assert (audit.duplicate_posts, audit.duplicate_annotations) == (1, 2)
    assert (audit.post_rows, audit.annotation_rows) == (4, 5)


def test_read_corpus_keeps_one_quote_of_two_places_apart(tmp_path):
    corpus, audit = read(tmp_path, rows=[ROWS[0], ("s_7_1", "s_7_1_3", "I am sad.", "DEPRESSED_MOOD", "1")])
    assert [a.span for a in corpus.annotations] == [Span(0, 9), Span(39, 48)]
    assert audit.duplicate_annotations == 0


CONFLICT = ("s_7_1", "s_7_1_0", "I am sad.", "DEPRESSED_MOOD", "0")


@pytest.mark.parametrize(
    ("policy", "kept", "statuses"), [("positive", "positive", [1]), ("negative", "negative", [0]), ("drop", "none", [])]
)
@pytest.mark.parametrize("order", [1, -1])
def test_read_corpus_settles_conflicts_by_policy(tmp_path, policy, kept, statuses, order):
    rows = [ROWS[0], CONFLICT][::order]
    corpus, audit = read(tmp_path, rows=[*rows, ROWS[1]], conflicts=policy)
    mood = [a.status for a in corpus.annotations if a.criterion == "DEPRESSED_MOOD"]
    assert mood == statuses
    (conflict,) = audit.conflicts
    assert (conflict.post_id, conflict.criterion, conflict.sentence_ids, conflict.kept) == (
        "s_7_1",
        "DEPRESSED_MOOD",
        ("s_7_1_0",),
        kept,
    )


def test_read_corpus_settles_conflicts_of_sentences_that_were_not_found(tmp_path):
    rows = [("x9", "x9_4", "Something quite different here", "FATIGUE", status) for status in "01"]
    corpus, audit = read(tmp_path, rows=rows)
    assert [(a.status, a.span, a.alignment) for a in corpus.annotations] == [(1, None, "failed")]
    assert len(audit.conflicts) == 1
    assert corpus.labels("x9")[5] == 1  # Failed evidence keeps its label.


def test_read_corpus_does_not_see_a_conflict_between_criteria(tmp_path):
    corpus, audit = read(tmp_path, rows=[ROWS[0], ("s_7_1", "s_7_1_0", "I am sad.", "FATIGUE", "0")])
    assert len(corpus.annotations) == 2
    assert audit.conflicts == ()


def test_read_corpus_leaves_out_posts_without_text_and_says_so(tmp_path):
    corpus, audit = read(
        tmp_path, [*POSTS, ("e_1", " \n"), ("e_2", "")], [*ROWS, ("e_1", "e_1_0", "x", "FATIGUE", "1")]
    )
    assert [post.id for post in corpus.posts] == ["s_7_1", "s_7_2", "x9"]
    assert audit.empty_posts == ("e_1", "e_2")
    assert audit.annotations_of_empty_posts == 1
    assert "2 posts have no text and are left out, with 1 annotations" in audit.warnings


def test_read_corpus_leaves_out_special_cases_unread(tmp_path):
    corpus, audit = read(tmp_path, rows=[*ROWS, ("", "", "", "SPECIAL_CASE", "maybe")])
    assert len(corpus.annotations) == 3
    assert (audit.special_case_rows, audit.annotation_rows) == (1, 4)


def test_check_corpus_lists_what_read_corpus_stops_at(tmp_path):
    rows = [
        *ROWS,
        ("x9", "a", "b", "JOY", "1"),
        ("x9", "a", "b", "JOY", "1"),
        ("x9", "a", "b", "HOPE", "1"),
        ("gone", "a", "b", "FATIGUE", "1"),
    ]
    folder = write(tmp_path, rows=rows)
    audit = check_corpus(path=str(folder))
    assert [(o.name, o.rows) for o in audit.unknown_labels] == [("JOY", 2), ("HOPE", 1)]
    assert [(o.name, o.rows) for o in audit.missing_posts] == [("gone", 1)]
    assert audit.unknown_labels[0].first.endswith("my_annotations.csv, row 5")
    assert len(audit.refusals) == 2
    assert audit.sha256 is None
    assert audit.annotations == 3
    with pytest.raises(UserError, match=r"row 5: DSM5_symptom is JOY.*\(and 1 more; `redsm5 data check` lists them\)"):
        read_corpus(path=str(folder))


def test_corpus_hash_follows_the_content_and_nothing_else(tmp_path):
    base = read(tmp_path / "a")[0].sha256
    shuffled = list(ROWS)
    random.Random(0).shuffle(shuffled)
    assert (
        read(tmp_path / "b", rows=[*shuffled, ROWS[0]])[0].sha256 == base
    )  # Order and repeats of rows, and the folder.
    assert read(tmp_path / "c", fuzzy_cutoff=50)[0].sha256 == base
    changed = [
        read(tmp_path / "d", [("s_7_1", TEXT + " "), *POSTS[1:]])[0].sha256,
        read(tmp_path / "e", [POSTS[1], POSTS[0], POSTS[2]])[0].sha256,
        read(tmp_path / "f", rows=ROWS[:2])[0].sha256,
        read(tmp_path / "g", rows=[*ROWS[:2], (*ROWS[2][:4], "1")])[0].sha256,
    ]
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "criteria.yaml").write_text("DEPRESSED_MOOD: a\nSLEEP_ISSUES: b\nFATIGUE: c\n")
    changed.append(read(tmp_path / "h")[0].sha256)
    assert len({base, *changed}) == 6


def test_read_corpus_uses_the_criteria_beside_the_files_unless_told_otherwise(tmp_path):
    (tmp_path / "criteria.json").write_text('{"DEPRESSED_MOOD": "a", "SLEEP_ISSUES": "b", "FATIGUE": "c"}')
    (tmp_path / "other.json").write_text('{"FATIGUE": "c", "SLEEP_ISSUES": "b", "DEPRESSED_MOOD": "a"}')
    assert read(tmp_path)[0].codes == ("DEPRESSED_MOOD", "SLEEP_ISSUES", "FATIGUE")
    assert read(tmp_path, criteria=str(tmp_path / "other.json"))[0].codes == (
        "FATIGUE",
        "SLEEP_ISSUES",
        "DEPRESSED_MOOD",
    )


def test_read_corpus_groups_annotations_by_post_in_file_order(tmp_path):
    corpus, _ = read(tmp_path, rows=[ROWS[2], ROWS[1], ROWS[0]])
    assert [a.sentence_id for a in corpus.annotations] == ["s_7_1_1", "s_7_1_0", "x9_0"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "the posts are missing"),
        ({"posts": "p.csv"}, "the annotations are missing"),
        ({"path": "{tmp}", "posts": "p.csv"}, "either it, or"),
        ({"path": "{tmp}", "revision": "main"}, "revision 'main' belongs to a dataset"),
        ({"posts": "p.csv", "annotations": "a.csv", "revision": "v1"}, "revision 'v1'"),
        ({"path": "{tmp}/my_posts.csv"}, "is a file"),
        ({"path": "{tmp}/nowhere"}, "no such folder"),
        ({"path": "data/posts.csv"}, "no such folder"),
        ({"path": "{tmp}", "criteria": "{tmp}/none.json"}, "no such file"),
    ],
)
def test_read_corpus_refuses_impossible_arguments(tmp_path, options, part):
    write(tmp_path)
    with pytest.raises(UserError) as caught:
        read_corpus(**{key: value.format(tmp=tmp_path) for key, value in options.items()})
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["a_posts.csv"], r"\*annotations\*.*there are 0 \(none\)"),
        (["annotations.csv", "posts.txt"], r"\*posts\*.*there are 0"),
        (["posts.csv", "posts.jsonl", "annotations.csv"], r"there are 2 \(posts.csv, posts.jsonl\)"),
        (["posts.csv", "annotations.csv", "criteria.json", "criteria.yaml"], "2 criteria files"),
    ],
)
def test_read_corpus_needs_one_file_of_each_in_a_folder(tmp_path, names, part):
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(UserError, match=part):
        read_corpus(path=str(tmp_path))


def test_read_corpus_ignores_other_and_hidden_files(tmp_path):
    (tmp_path / "split.csv").write_text("x")
    (tmp_path / ".posts.csv").write_text("x")
    (tmp_path / "old_posts.bak").write_text("x")
    assert len(read(tmp_path)[0].posts) == 3
