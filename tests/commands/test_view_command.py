"""``redsm5 view`` through the command line, on a run folder without a model."""

import csv
import json
import re
import shutil
import subprocess
import sys
import webbrowser

import pytest
from view_samples import SPECIAL_ID, SPECIAL_TEXT, write_sample_corpus, write_sample_run

from redsm5.cli import main
from redsm5.report.writing import read_report


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_sample_corpus(tmp_path_factory.mktemp("view") / "corpus")


@pytest.fixture
def run(corpus, tmp_path):
    return write_sample_run(tmp_path / "run", corpus)


def data_of(page):
    text = page.read_text(encoding="ascii")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_view_writes_the_test_part_if_it_is_predicted_else_val(run, capsys):
    assert main(["view", str(run.path)]) == 0
    assert capsys.readouterr().out == f"view page: {run.view('test')}\n"
    assert {p["id"] for p in data_of(run.view("test"))["posts"]} == set(
        json.loads(run.split.read_text())["parts"]["test"]
    )
    run.predictions("test").unlink()
    assert main(["view", str(run.path)]) == 0
    assert run.view("val").exists()
    assert main(["view", str(run.path), "--part", "test"]) == 2


def test_view_shows_what_the_predictions_file_says(run):
    rows = [json.loads(line) for line in run.predictions("test").read_text().splitlines()]
    rows[0]["decision"] = not rows[0]["decision"]
    run.predictions("test").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["view", str(run.path)]) == 0
    posts = data_of(run.view("test"))["posts"]
    assert [d for post in posts for d in post["decided"]] == [int(row["decision"]) for row in rows]
    assert [p for post in posts for p in post["probabilities"]] == [row["probability"] for row in rows]
    special = next(post for post in posts if post["id"] == SPECIAL_ID)
    assert special["text"] == SPECIAL_TEXT


def test_view_figures_are_those_of_the_report(run):
    report = json.loads(run.report.read_text())
    report["evaluations"]["test"]["criteria"][0]["auprc"] = 0.123
    report["evaluations"]["test"]["at_half"]["f1_macro"] = 0.4567
    run.report.write_text(json.dumps(report))
    assert main(["view", str(run.path)]) == 0
    page = run.view("test").read_text()
    row = re.search(r'<tr><th scope="row"><button[^>]*data-criterion="0".*?</tr>', page)[0]
    assert "<td>.12</td>" in row
    assert ">.457" in page
    assert "Beside the baselines" in page
    assert "tf-idf" in page


def test_view_imports_no_torch(run):
    code = (
        f"import sys\nfrom redsm5.cli import main\nassert main(['view', {str(run.path)!r}]) == 0\n"
        "sys.exit(10 if {'torch', 'transformers', 'lightning'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_view_finds_a_corpus_that_has_moved_and_refuses_another(run, corpus, tmp_path, capsys):
    moved = shutil.copytree(corpus, tmp_path / "moved")
    run.config.write_text(run.config.read_text().replace(str(corpus), str(tmp_path / "gone")))
    assert main(["view", str(run.path)]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert main(["view", str(run.path), "--corpus", str(moved), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").exists()
    with (moved / "redsm5_posts.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["s_901_1", "One more."])
    assert main(["view", str(run.path), "--corpus", str(moved)]) == 2
    assert "is not the one that" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: run.config.unlink(), "it has no config.yaml"),
        (lambda run: run.config.write_text("a: 1"), "is not the config of a run"),
        (lambda run: run.report.unlink(), "cannot read the report"),
        (lambda run: run.metrics.unlink(), "cannot read"),
        (lambda run: run.metrics.write_text("epoch\nx\n"), "is not a metrics file"),
        (lambda run: run.metrics.write_text("epoch,step,name,value\n0,4,loss,x\n"), "is not a metrics file"),
        (lambda run: run.split.unlink(), "split.json: No such file"),
        (lambda run: run.split.write_text("[]"), "is not a split manifest"),
        (lambda run: [run.predictions(part).unlink() for part in ("val", "test")], "run redsm5 validate"),
        (lambda run: shutil.copy(run.predictions("val"), run.predictions("test")), "is not of the test part"),
        (lambda run: _drop_evaluation(run), "has no test part; run redsm5 test"),
    ],
)
def test_view_what_is_missing_is_one_sentence_and_code_2(run, damage, said, capsys):
    damage(run)
    assert main(["view", str(run.path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("redsm5: error: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not run.view("test").exists()


def _drop_evaluation(run):
    report = read_report(run.report)
    kept = {"val": report.evaluations["val"]}
    run.report.write_text(report.model_copy(update={"evaluations": kept}).model_dump_json())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--predictions", "p.jsonl"], "belong together"),
        (["--predictions", "p.jsonl", "--posts", "x.csv", "--part", "val"], "leave out --part"),
        (["--out", "no/such/folder/page.html"], "there is no folder"),
        (["--part", "train"], "invalid choice"),
    ],
)
def test_view_bad_usage_is_one_sentence_and_code_2(run, more, said, capsys):
    assert main(["view", str(run.path), *more]) == 2
    assert said in capsys.readouterr().err


def test_view_of_predictions_alone_needs_no_gold(run, corpus, tmp_path, capsys):
    predictions = shutil.copy(run.predictions("val"), tmp_path / "new.jsonl")
    command = ["view", str(run.path), "--predictions", str(predictions), "--posts"]
    assert main([*command, str(corpus / "redsm5_posts.csv")]) == 0
    page = tmp_path / "new.html"
    assert capsys.readouterr().out == f"view page: {page}\n"
    data = data_of(page)
    assert data["has_gold"] is False
    assert data["criteria"][3]["title"] == "Sleep problems"
    assert "Curves" not in page.read_text()
    (tmp_path / "few.csv").write_text("post_id,text\na,b\n")
    assert main([*command, str(tmp_path / "few.csv")]) == 2
    assert "lacks 20 of the predicted posts" in capsys.readouterr().err


def test_view_says_that_an_id_stands_for_two_posts(run, corpus, tmp_path, capsys):
    lines = run.predictions("val").read_text().splitlines(keepends=True)
    (tmp_path / "new.jsonl").write_text("".join(lines[:9] * 2 + lines[9:]))
    post_id = json.loads(lines[0])["post_id"]
    posts = tmp_path / "posts.csv"
    shutil.copy(corpus / "redsm5_posts.csv", posts)
    command = ["view", str(run.path), "--posts", str(posts), "--predictions"]
    assert main([*command, str(tmp_path / "new.jsonl")]) == 2
    assert f"id {post_id} stands for 2 posts; make the ids unique" in capsys.readouterr().err
    (tmp_path / "new.jsonl").write_text("".join(lines))
    with posts.open("a", newline="") as file:
        csv.writer(file).writerow([post_id, "Another text."])
    assert main([*command, str(tmp_path / "new.jsonl")]) == 2
    assert f"id {post_id} stands for two posts; make the ids unique" in capsys.readouterr().err


def test_view_of_an_exported_model_asks_for_the_run(trained_run, tiny_corpus_dir, tmp_path, capsys):
    model, new = tmp_path / "model", tmp_path / "new.jsonl"
    assert main(["export", str(trained_run), "--out", str(model)]) == 0
    posts = str(tiny_corpus_dir / "redsm5_posts.csv")
    assert main(["predict", str(model), "--posts", posts, "--out", str(new), "--device", "cpu"]) == 0
    capsys.readouterr()
    assert main(["view", str(model)]) == 2
    assert (
        "model is an exported model: it holds no figures; name the run that it was made of" in capsys.readouterr().err
    )
    assert main(["view", str(model), "--predictions", str(new), "--posts", posts]) == 0
    assert data_of(tmp_path / "new.html")["criteria"][3]["title"] == "Sleep problems"


def test_view_open_opens_the_page(run, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: opened.append(uri) or True)
    assert main(["view", str(run.path), "--open"]) == 0
    assert opened == [run.view("test").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda uri: False)
    assert main(["view", str(run.path), "--open"]) == 2
    assert "no browser was found" in capsys.readouterr().err
