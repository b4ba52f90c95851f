"""Bad input is one sentence with file and row; good input keeps its text to the character."""

import csv
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redsm5.datamodules.reading import read_corpus
from redsm5.datamodules.rows import ANNOTATION_COLUMNS, POST_COLUMNS
from redsm5.datamodules.tables import read_table
from redsm5.errors import UserError

POSTS_HEAD = "post_id,text\n"
HEAD = "post_id,sentence_id,sentence_text,DSM5_symptom,status,explanation\n"
POSTS = POSTS_HEAD + 's_1_1,"I am sad. I cannot, ""ever"", sleep."\ns_1_2,All is well.\n'
ANNOTATIONS = HEAD + "s_1_1,s_1_1_0,I am sad.,DEPRESSED_MOOD,1,why\n"
SECRET = "my secret words"


def corpus_error(tmp_path: Path, posts: bytes | str, annotations: bytes | str, suffix: str = ".csv") -> str:
    for name, content in (("posts", posts), ("annotations", annotations)):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / f"{name}{suffix}").write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_corpus(posts=str(tmp_path / f"posts{suffix}"), annotations=str(tmp_path / f"annotations{suffix}"))
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


@pytest.mark.parametrize(
    ("posts", "annotations", "parts"),
    [
        pytest.param(
            "post_id,body\na,b\n", ANNOTATIONS, ["posts.csv", "'text'", "missing", "'post_id', 'body'"], id="column"
        ),
        pytest.param(POSTS, "post_id;status\n", ["annotations.csv", "semicolons"], id="semicolons"),
        pytest.param(f"a,{SECRET}\n", ANNOTATIONS, ["posts.csv", "'post_id'", "15 characters"], id="no header"),
        pytest.param("post_id,text,text\na,b,c\n", ANNOTATIONS, ["posts.csv", "'text'", "2 times"], id="column twice"),
        pytest.param("", ANNOTATIONS, ["posts.csv", "empty"], id="empty file"),
        pytest.param("\n\n", ANNOTATIONS, ["posts.csv", "header"], id="blank lines"),
        pytest.param(POSTS_HEAD, ANNOTATIONS, ["posts.csv", "no rows"], id="no posts"),
        pytest.param(POSTS, HEAD, ["annotations.csv", "no rows"], id="no annotations"),
        pytest.param(
            POSTS + f"s_1_1,{SECRET}\n",
            ANNOTATIONS,
            ["posts.csv, row 4", "'s_1_1'", "posts.csv, row 2"],
            id="two texts",
        ),
        pytest.param(POSTS_HEAD + ",hello\n", ANNOTATIONS, ["posts.csv, row 2", "post_id is empty"], id="no id"),
        pytest.param(POSTS_HEAD + "a,NaN\n", ANNOTATIONS, ["posts.csv, row 2", "text is NaN"], id="NaN text"),
        pytest.param(POSTS_HEAD + "a, \n", ANNOTATIONS, ["posts.csv, row 2", "has a text"], id="all blank"),
        pytest.param(
            POSTS, ANNOTATIONS + "s_1_1,x,I,FATIGUE,2,\n", ["annotations.csv, row 3", "status", "'2'"], id="status 2"
        ),
        pytest.param(POSTS, ANNOTATIONS + "s_1_1,x,I,FATIGUE,0.5,\n", ["row 3", "0 or 1", "'0.5'"], id="status 0.5"),
        pytest.param(POSTS, ANNOTATIONS + "s_1_1,x,I,FATIGUE,,\n", ["row 3", "status", "empty"], id="status empty"),
        pytest.param(POSTS, ANNOTATIONS + "s_1_1,x,I,FATIGUE,nan,\n", ["row 3", "status", "'nan'"], id="status nan"),
        pytest.param(
            POSTS,
            ANNOTATIONS + f"s_1_1,x,I,FATIGUE,{SECRET},\n",
            ["row 3", "status", "15 characters"],
            id="status text",
        ),
        pytest.param(
            POSTS, ANNOTATIONS + "s_1_1,x,,FATIGUE,1,\n", ["row 3", "sentence_text is empty"], id="no sentence"
        ),
        pytest.param(
            POSTS, ANNOTATIONS + "s_1_1,x,nan,FATIGUE,1,\n", ["row 3", "sentence_text is NaN"], id="NaN sentence"
        ),
        pytest.param(POSTS, ANNOTATIONS + "s_1_1,x,I,,1,\n", ["row 3", "DSM5_symptom is empty"], id="no label"),
        pytest.param(
            POSTS,
            ANNOTATIONS + "s_1_1,x,I,SADNESS,1,\n",
            ["annotations.csv, row 3", "SADNESS", "ANHEDONIA", "SPECIAL_CASE"],
            id="unknown label",
        ),
        pytest.param(
            POSTS,
            ANNOTATIONS + f"s_1_1,x,I,{SECRET},1,\n" + "s_1_1,x,I,OTHER,1,\n",
            ["row 3", "15 characters", "1 more"],
            id="labels are text",
        ),
        pytest.param(
            POSTS,
            ANNOTATIONS + "s_9_9,x,I,FATIGUE,1,\ns_9_9,x,I,FATIGUE,1,\n",
            ["annotations.csv, row 3", "s_9_9", "not among the posts", "2 annotations of 1 posts"],
            id="missing post",
        ),
        pytest.param(
            POSTS,
            HEAD + "s_1_1,x,I,SPECIAL_CASE,1,\n",
            ["no annotation is left", "special cases"],
            id="only special cases",
        ),
        pytest.param(
            POSTS + 's_1_3,"never closed\n', ANNOTATIONS, ["posts.csv, row 4", "never closed"], id="open quote"
        ),
        pytest.param(
            POSTS + 's_1_3,"a" b\n', ANNOTATIONS, ["posts.csv, row 4", "closing quote"], id="text after quote"
        ),
        pytest.param(
            POSTS_HEAD + 's_1_3,"open\ns_1_4,"closed"\n',
            ANNOTATIONS,
            ["posts.csv, row 2", "closing quote"],
            id="quote swallows",
        ),
        pytest.param(
            'post_id,text\na,"two\nlines"\nb,c,d\n',
            ANNOTATIONS,
            ["posts.csv, row 3 (line 4)", "3 cells", "2 columns"],
            id="ragged",
        ),
        pytest.param(POSTS + "s_1_3\n", ANNOTATIONS, ["posts.csv, row 4", "1 cells", "2 columns"], id="short row"),
        pytest.param(b"post_id,text\na,x\0y\n", ANNOTATIONS, ["posts.csv, line 2", "NUL", "byte 16"], id="NUL"),
        pytest.param(
            "post_id,text\na,café\n".encode("latin-1"),
            ANNOTATIONS,
            ["posts.csv, line 2", "byte 18", "0xe9", "not UTF-8", "iconv"],
            id="latin-1",
        ),
        pytest.param(
            "post_id,text\na,b\n".encode("utf-16"), ANNOTATIONS, ["posts.csv", "UTF-16", "iconv"], id="UTF-16"
        ),
        pytest.param("post_id,text\na,b\n".encode("utf-32"), ANNOTATIONS, ["posts.csv", "UTF-32"], id="UTF-32"),
    ],
)
def test_read_corpus_refuses_bad_csv_with_one_sentence(tmp_path, posts, annotations, parts):
    message = corpus_error(tmp_path, posts, annotations)
    assert [part for part in parts if part not in message] == [], message


def line(**cells: object) -> str:
    row = {"post_id": "p", "sentence_id": "p_0", "sentence_text": "x", "DSM5_symptom": "FATIGUE", "status": 1}
    return json.dumps({**row, **cells}) + "\n"


@pytest.mark.parametrize(
    ("posts", "annotations", "parts"),
    [
        pytest.param("[1]\n", line(), ["posts.jsonl, row 1", "JSON object"], id="array"),
        pytest.param('{"post_id": "p", "text": "x"}\n{"post_id"\n', line(), ["row 2", "not valid JSON"], id="broken"),
        pytest.param("[" * 100_000 + "\n", line(), ["row 1", "not valid JSON"], id="deep"),
        pytest.param('{"post_id": "p"}\n', line(), ["row 1", "'text'", "missing", "'post_id'"], id="no key"),
        pytest.param(
            '{"post_id": "p", "text": 5}\n', line(), ["row 1", "text must be a string", "a number"], id="number"
        ),
        pytest.param(
            '{"post_id": "p", "text": ["x"]}\n', line(), ["row 1", "text must be a string", "a list"], id="list"
        ),
        pytest.param(
            '{"post_id": 1.5, "text": "x"}\n', line(), ["row 1", "post_id must be a string", "a number"], id="id float"
        ),
        pytest.param(
            '{"post_id": true, "text": "x"}\n',
            line(),
            ["row 1", "post_id must be a string", "true or false"],
            id="id bool",
        ),
        pytest.param('{"post_id": "p", "text": NaN}\n', line(), ["row 1", "NaN"], id="NaN"),
        pytest.param('{"post_id": "p", "text": "a\\u0000b"}\n', line(), ["row 1", "NUL"], id="NUL"),
        pytest.param('{"post_id": "p", "text": "a\\ud83d"}\n', line(), ["row 1", "surrogate"], id="surrogate"),
        pytest.param('{"post_id": "p", "text": "x"}\n', line(status=[1]), ["row 1", "0 or 1"], id="status list"),
        pytest.param('{"post_id": "p", "text": "x"}\n', line(status=None), ["row 1", "empty"], id="status null"),
        pytest.param(
            json.dumps({"post_id": "p", "text": "x" * 10_000_001}), line(), ["row 1", "10,000,000"], id="long cell"
        ),
    ],
)
def test_read_corpus_refuses_bad_jsonl_with_one_sentence(tmp_path, posts, annotations, parts):
    message = corpus_error(tmp_path, posts, annotations, ".jsonl")
    assert [part for part in parts if part not in message] == [], message


def test_read_table_refuses_a_50_mb_cell(tmp_path):
    before = csv.field_size_limit()
    (tmp_path / "posts.csv").write_bytes(b"post_id,text\na,b\nc," + b"x" * 50_000_000 + b"\n")
    with pytest.raises(UserError, match=r"posts\.csv, row 3: a cell longer than 10,000,000 characters"):
        read_table(str(tmp_path / "posts.csv"), POST_COLUMNS)
    assert csv.field_size_limit() == before


def test_read_table_refuses_paths_that_are_no_table(tmp_path):
    (tmp_path / "posts.txt").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "posts.parquet").write_text("not parquet")
    for name, expected in {
        "posts.txt": "'.txt' is unknown; accepted are .csv, .parquet, .jsonl",
        "posts": "'(none)' is unknown",
        "folder.csv": "is a directory",
        "missing.csv": "no such file",
        "missing.parquet": "no such file",
        "posts.parquet": "not a Parquet file",
    }.items():
        with pytest.raises(UserError) as caught:
            read_table(str(tmp_path / name), POST_COLUMNS)
        assert expected in str(caught.value)
        assert name in str(caught.value)


def test_read_table_without_permission_is_a_sentence(tmp_path, monkeypatch):
    def denied(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    # The suite may run as root, whom a mode does not stop.
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UserError, match=r"posts\.csv: no permission to read it"):
        read_table(str(tmp_path / "posts.csv"), POST_COLUMNS)


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"post_id": ["a"]}, ["'text'", "missing", "'post_id'"]),
        ({"post_id": ["a"], "text": [["x"]]}, ["row 1", "text must be a string", "a list"]),
        ({"post_id": ["a"], "text": [2.5]}, ["row 1", "text must be a string", "a number"]),
        ({"post_id": ["a"], "text": [float("nan")]}, ["row 1", "text must be a string", "NaN"]),
        ({"post_id": ["a", None], "text": ["x", "y"]}, ["row 2", "post_id is empty"]),
    ],
)
def test_read_corpus_refuses_bad_parquet_with_one_sentence(tmp_path, columns, parts):
    pq.write_table(pa.table(columns), tmp_path / "posts.parquet")
    (tmp_path / "annotations.csv").write_text(ANNOTATIONS)
    with pytest.raises(UserError) as caught:
        read_corpus(posts=str(tmp_path / "posts.parquet"), annotations=str(tmp_path / "annotations.csv"))
    assert [part for part in ["posts.parquet", *parts] if part not in str(caught.value)] == []


TEXTS = ['a "quoted", text\r\nwith lines\n', "  blanks kept  ", "naïve – “café” 😀 \u2028 end", "NA", "null"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_read_table_keeps_texts_to_the_character(tmp_path, suffix):
    path = tmp_path / f"posts{suffix}"
    frame = pd.DataFrame({"index": range(len(TEXTS)), "post_id": [f"p{i}" for i in range(len(TEXTS))], "text": TEXTS})
    if suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows([list(frame.columns), *frame.to_numpy().tolist()])
    elif suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in frame.to_dict("records")), encoding="utf-8"
        )
    else:
        frame.to_parquet(path)
    table = read_table(str(path), POST_COLUMNS)
    assert [row.cells["text"] for row in table.rows] == TEXTS
    assert table.encoding == {".csv": "utf-8-sig", ".jsonl": "utf-8", ".parquet": "parquet"}[suffix]
    assert set(table.rows[0].cells) == set(POST_COLUMNS)


def test_read_table_says_row_and_line(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text('post_id,text\na,"1\n2\n3"\n\nb,x\n')
    places = [row.place.removeprefix(str(path)) for row in read_table(str(path), POST_COLUMNS).rows]
    assert places == [", row 2", ", row 4 (line 6)"]


@pytest.mark.parametrize("status", [1, 1.0, True, "1", "1.0", " 1 "])
def test_read_corpus_accepts_the_ways_to_write_a_status(tmp_path, status):
    (tmp_path / "posts.jsonl").write_text('{"post_id": 7, "text": "x"}\n')
    (tmp_path / "annotations.jsonl").write_text(line(post_id=7, status=status))
    corpus, _ = read_corpus(path=str(tmp_path))
    assert [(a.post_id, a.status) for a in corpus.annotations] == [("7", 1)]


def test_read_corpus_does_not_need_explanations(tmp_path):
    (tmp_path / "posts.csv").write_text(POSTS)
    (tmp_path / "annotations.csv").write_text(
        ",".join(ANNOTATION_COLUMNS) + "\ns_1_1,s_1_1_0,I am sad.,DEPRESSED_MOOD,1\n"
    )
    assert len(read_corpus(path=str(tmp_path))[0].annotations) == 1
