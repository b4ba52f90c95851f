import csv
import io
import json
import sys
import tracemalloc

import pandas as pd
import pytest

from redsm5.datamodules.post_stream import PostStream
from redsm5.errors import UserError

ROWS = [("s_7_1", 'Hi,\n"you".'), ("s_7_2", "two\r\nlines"), ("x9", "naïve … 🙂")]


def write(folder, kind, rows=ROWS):
    path = folder / f"my_posts.{kind}"
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("post_id", "text"), *rows])
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"post_id": i, "text": t, "more": 1}) + "\n" for i, t in rows))
    else:
        pd.DataFrame(rows, columns=["post_id", "text"]).to_parquet(path)
    return path


def set_stdin(monkeypatch, content):
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))
    monkeypatch.setattr(sys, "stdin", stream)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_post_stream_reads_files_and_folders(tmp_path, kind):
    path = write(tmp_path, kind)
    for given in (path, tmp_path):
        stream = PostStream(str(given))
        assert [(post.id, post.text) for post in stream] == ROWS
        assert (stream.count, stream.without_text) == (3, 0)
    assert [post.author for post in PostStream(str(path))] == ["7", "7", "x9"]


def test_post_stream_reads_standard_input_and_keeps_repeated_ids(monkeypatch):
    set_stdin(monkeypatch, b'{"post_id": 5, "text": "Hi."}\n\n{"post_id": 5, "text": "Ho."}\n')
    assert [(post.id, post.text) for post in PostStream("-")] == [("5", "Hi."), ("5", "Ho.")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_post_stream_leaves_out_rows_without_text_and_counts_them(tmp_path, kind):
    path = write(tmp_path, kind, [("a", "x"), ("b", ""), ("c", " \n"), ("d", "y")])
    stream = PostStream(str(path))
    assert [post.id for post in stream] == ["a", "d"]
    row = 3 if kind == "csv" else 2  # in CSV the header is row 1
    assert (stream.without_text, stream.first_without_text) == (2, f"{path}, row {row}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "standard input is empty"),
        (b'{"post_id": "a", "text": ""}\n', "standard input has no row with a text"),
        (b'{"post_id": "a", "text": "x"}\n{"post_id": "b"}\n', "standard input, row 2: the column 'text' is missing"),
        (
            b'{"post_id": "a", "text": "x"}\n{"post_id": "b", "text": "\xff"}\n',
            "standard input, line 2: byte 56 (0xff)",
        ),
        (b'{"post_id": "a", "text": "\x00"}\n', "standard input, line 1: a NUL byte at byte 26"),
        (b'{"post_id": "a", "text": 3}\n', "standard input, row 1: text must be a string and is a number"),
        ("{}".encode("utf-16"), "standard input is encoded in UTF-16"),
    ],
)
def test_post_stream_refuses_with_one_sentence(monkeypatch, content, said):
    set_stdin(monkeypatch, content)
    with pytest.raises(UserError) as caught:
        list(PostStream("-"))
    assert said in str(caught.value)


def test_post_stream_refuses_a_folder_without_one_posts_file(tmp_path):
    with pytest.raises(UserError, match="there must be one file named \\*posts\\*, and there are 0"):
        list(PostStream(str(tmp_path)))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_post_stream_needs_the_same_memory_for_any_number_of_posts(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("redsm5.datamodules.post_stream.COUNTED_IDS", 1000)

    def peak(posts):
        path = write(tmp_path, kind, [(f"p{i}", "word " * 200) for i in range(posts)])
        for post in PostStream(str(path)):  # imports and caches
            assert post.text
            break
        tracemalloc.start()
        for post in PostStream(str(path)):
            assert post.text
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(8000) < 1.5 * peak(2000)
