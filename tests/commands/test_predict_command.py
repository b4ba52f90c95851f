"""``redsm5 predict`` through the command line."""

import io
import json
import os
import sys

import pytest

from redsm5.cli import main

ROWS = [("a", "I feel gloomy all the time."), ("b", "It rained.")]


def write_posts(path, rows=ROWS):
    path.write_text("".join(json.dumps({"post_id": i, "text": text}) + "\n" for i, text in rows))
    return path


def predict(run, posts, out, *more):
    return main(["predict", str(run), "--posts", str(posts), "--out", str(out), "--device", "cpu", *more])


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_predict_never_writes_over_its_posts(trained_run, tmp_path, capsys, kind, more):
    posts = write_posts(tmp_path / "posts.jsonl")
    before, out = posts.read_bytes(), posts
    if kind == "link":
        out = tmp_path / "out.jsonl"
        os.link(posts, out)
    assert predict(trained_run, tmp_path if kind == "folder" else posts, out, *more) == 2
    assert f"--out {out} is the file of the posts; choose another" in capsys.readouterr().err
    assert posts.read_bytes() == before


def test_predict_never_writes_over_the_file_on_standard_input(trained_run, tmp_path, capsys, monkeypatch):
    posts = write_posts(tmp_path / "posts.jsonl")
    before = posts.read_bytes()
    with posts.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert predict(trained_run, "-", posts, "--overwrite") == 2
    assert "is the file of the posts" in capsys.readouterr().err
    assert posts.read_bytes() == before


def test_predict_replaces_a_file_only_with_overwrite(trained_run, tmp_path, capsys):
    posts, out = write_posts(tmp_path / "posts.jsonl"), tmp_path / "out.jsonl"
    out.write_text("mine")
    assert predict(trained_run, posts, out) == 2
    assert capsys.readouterr().err.endswith("out.jsonl is there already; choose another, or add --overwrite\n")
    assert out.read_text() == "mine"
    assert predict(trained_run, posts, out, "--overwrite") == 0
    assert {json.loads(line)["post_id"] for line in out.read_text().splitlines()} == {"a", "b"}


def test_predict_notes_repeated_ids(trained_run, tmp_path, capsys):
    posts = write_posts(tmp_path / "posts.jsonl", [*ROWS, ("a", "Again."), ("a", "And again.")])
    assert predict(trained_run, posts, "-") == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 4 * 9
    assert f"note: 2 rows repeat an id (the first: {posts}, row 3)" in captured.err
    assert predict(trained_run, write_posts(posts), "-") == 0
    assert "repeat" not in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"post_id,text\na,b\n", b'"post_id","text"\na,b\n'])
def test_predict_says_that_standard_input_takes_json_lines(trained_run, capsys, monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
    assert predict(trained_run, "-", "-") == 2
    assert "standard input takes JSON lines with post_id and text" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"post_id": "a", "text": "x\ty"}', "not valid JSON (invalid control character at column 28)"),
        ('{"post_id": "a", "text"}', "not valid JSON (expecting ':' delimiter, column 24)"),
        ('{"post_id": "a", "text": 5}', "text must be a string and is a number"),
        ('{"post_id": "a", "text": {}}', "text must be a string and is an object"),
    ],
)
def test_predict_says_what_is_wrong_with_a_line(trained_run, tmp_path, capsys, line, said):
    posts = tmp_path / "posts.jsonl"
    posts.write_text(line + "\n")
    assert predict(trained_run, posts, tmp_path / "out.jsonl") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl.partial").exists()


def test_predict_says_that_a_file_is_no_model(tmp_path, capsys):
    posts = write_posts(tmp_path / "p.jsonl")
    assert predict(posts, posts, "-") == 2
    assert f"{posts} is a file; give the folder of an exported model or of a finished run" in capsys.readouterr().err
