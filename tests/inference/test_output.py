import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import redsm5
from redsm5.datamodules.corpus import Post
from redsm5.errors import UserError
from redsm5.inference import output as output_module
from redsm5.inference import predictor as predictor_module
from redsm5.inference.load import load as load_model
from redsm5.inference.output import chunk_lines, predict_to_file

TEXTS = ["I feel gloomy all the time.", "It rained for most of the week.", "Every morning I wake up sleepless again."]


def some_posts(n):
    return [Post(f"p{i}", f"{TEXTS[i % 3]} {'It rained. ' * (i % 4)}", f"p{i}") for i in range(n)]


@pytest.fixture(scope="module")
def predictor(trained_run):
    return redsm5.load(trained_run, device="cpu")


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(predictor_module, "CHUNK_POSTS", 4)


def ignore(posts, reused):
    pass


def test_predict_to_file_writes_every_post_in_order_and_leaves_nothing_else(predictor, small_chunks, tmp_path):
    posts = some_posts(10)
    predict_to_file(predictor, posts, tmp_path / "out.jsonl", ignore)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["post_id"], row["criterion"]) for row in rows] == [
        (p.id, code) for p in posts for code in predictor.codes
    ]
    assert (tmp_path / "out.jsonl").read_text() == "".join(chunk_lines(predictor, posts[i : i + 4]) for i in (0, 4, 8))
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600


def test_predict_to_file_parquet_holds_the_same_rows(predictor, small_chunks, tmp_path):
    for name in ("out.jsonl", "out.parquet"):
        predict_to_file(predictor, some_posts(10), tmp_path / name, ignore)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert [{**row, "spans": list(row["spans"])} for row in table.to_dict("records")] == rows
    assert any(row["spans"] for row in rows)
    assert table.dtypes.astype(str).to_dict()["decision"] == "bool"


def test_predict_to_file_goes_on_where_an_interrupted_run_stopped(predictor, small_chunks, tmp_path):
    posts, out = some_posts(11), tmp_path / "out.jsonl"

    def interrupted():
        yield from posts[:9]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_to_file(predictor, interrupted(), out, ignore)
    assert not out.exists()
    seen = []
    predict_to_file(predictor, posts, out, lambda count, reused: seen.append((count, reused)))
    assert seen == [(4, True), (4, True), (3, False)]
    predict_to_file(predictor, posts, tmp_path / "whole.jsonl", ignore)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_predict_to_file_takes_no_chunk_of_other_posts_or_another_model(
    predictor, trained_run, pairs_run, small_chunks, tmp_path
):
    posts, out = some_posts(8), tmp_path / "out.jsonl"

    def broken(first):
        yield first
        yield from posts[1:]
        raise UserError("row 9 is broken")

    def reused(model, given):
        with pytest.raises(UserError):
            predict_to_file(predictor, broken(posts[0]), out, ignore, overwrite=True)
        seen = []
        predict_to_file(model, given, out, lambda _, reused: seen.append(reused), overwrite=True)
        return seen

    changed = [Post("p0", posts[0].text + "!", "p0"), *posts[1:]]
    renamed = [*posts[:4], Post("other", posts[4].text, "p4"), *posts[5:]]
    assert reused(predictor, posts) == [True, False]  # the second chunk was not whole when the rows broke
    assert reused(predictor, changed) == [False, False]
    assert reused(predictor, renamed) == [True, False]
    assert reused(redsm5.load(pairs_run), posts) == [False, False]


def test_predict_to_file_says_that_it_cannot_write(predictor, tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*/out\.jsonl: No such file or directory; choose another --out"):
        predict_to_file(predictor, some_posts(1), tmp_path / "none" / "out.jsonl", ignore)
    (tmp_path / "out.jsonl.partial").touch()
    with pytest.raises(UserError, match=r"cannot write .*/out\.jsonl: .*partial is a file; remove it"):
        predict_to_file(predictor, some_posts(1), tmp_path / "out.jsonl", ignore)


def test_predict_to_file_saves_within_a_chunk_and_goes_on_there(predictor, trained_run, monkeypatch, tmp_path):
    """Nine posts of one chunk, three to a group: whatever the group in which it ends, two are not predicted again."""
    monkeypatch.setattr(output_module, "SAVE_SECONDS", 0.0)
    model = load_model(trained_run, device="cpu", batch_tokens=32)
    posts = [Post(f"p{i}", f"{TEXTS[i % 3]:<90}", f"p{i}") for i in range(9)]
    predict_to_file(model, posts, tmp_path / "alone.jsonl", ignore)
    out = tmp_path / "out.jsonl"
    seen = []

    def interrupt(count, reused):
        seen.append((count, reused))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_to_file(model, posts, out, interrupt)
    assert seen == [(3, False)] * 3
    assert not out.exists()
    seen = []
    predict_to_file(model, posts, out, lambda count, reused: seen.append((count, reused)))
    assert seen == [(6, True), (3, False)]
    assert out.read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.jsonl", "out.jsonl"]


def test_predict_to_file_begins_anew_where_what_was_saved_is_damaged(predictor, monkeypatch, tmp_path):
    posts, out = some_posts(3), tmp_path / "out.jsonl"
    predict_to_file(predictor, posts, tmp_path / "alone.jsonl", ignore)
    partial = tmp_path / "out.jsonl.partial"
    partial.mkdir()
    name = f"{output_module._chunk_hash(predictor.identity, posts)}.begun.json"
    for damaged in ('{"0": "x', '{"7": "x"}', "[1]"):
        partial.mkdir(exist_ok=True)
        (partial / name).write_text(damaged)
        predict_to_file(predictor, posts, out, ignore, overwrite=True)
        assert out.read_bytes() == (tmp_path / "alone.jsonl").read_bytes()


def test_predict_to_file_replaces_what_is_there_only_when_asked_or_begun(predictor, small_chunks, tmp_path):
    posts, out = some_posts(6), tmp_path / "out.jsonl"
    predict_to_file(predictor, posts, out, ignore)
    whole = out.read_bytes()
    with pytest.raises(UserError, match="is there already; choose another, or add --overwrite"):
        predict_to_file(predictor, posts[1:], out, ignore)

    def interrupted():
        yield from posts[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_to_file(predictor, interrupted(), out, ignore, overwrite=True)
    with pytest.raises(UserError, match="is there already"):
        predict_to_file(predictor, posts[1:], out, ignore)  # other posts than those that were begun
    assert out.read_bytes() == whole
    out.write_text("old")
    predict_to_file(predictor, posts, out, ignore)
    assert out.read_bytes() == whole


def test_predict_to_file_is_refused_while_another_writes_the_same_file(predictor, tmp_path):
    posts, out = some_posts(3), tmp_path / "out.jsonl"

    def second(count, reused):
        with pytest.raises(
            UserError, match=rf"process {os.getpid()} on host .* of redsm5 predict is writing .*out\.jsonl"
        ):
            predict_to_file(predictor, posts, out, ignore)

    predict_to_file(predictor, posts, out, second)
    assert len(out.read_text().splitlines()) == 3 * len(predictor.codes)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.slow
def test_predict_killed_goes_on_with_the_same_command(trained_run, tmp_path):
    """kill -9 in the middle, through the real command; the output equals that of a run left alone."""
    posts = tmp_path / "posts.jsonl"
    lines = [json.dumps({"post_id": f"p{i}", "text": f"{TEXTS[i % 3]} {i}"}) for i in range(4000)]
    posts.write_text("\n".join(lines))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "redsm5", "predict", str(trained_run), "--posts", str(posts), "--out"]
    out = tmp_path / "out.jsonl"
    process = subprocess.Popen([*command, str(out)], env=environment, stdout=subprocess.DEVNULL)
    partial = tmp_path / "out.jsonl.partial"
    deadline = time.monotonic() + 120
    while not (partial.is_dir() and any(partial.glob("[!.]*.jsonl"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    again = subprocess.run([*command, str(out)], env=environment, capture_output=True, text=True, check=True)
    assert "of them by an earlier run" in again.stdout
    subprocess.run([*command, str(tmp_path / "alone.jsonl")], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert out.read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert not partial.exists()
