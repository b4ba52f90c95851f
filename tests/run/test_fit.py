import csv
import json

import pytest
import yaml
from tiny import write_tiny_corpus

from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.cli import main
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.metrics_csv import read_epochs
from redsm5.report.writing import read_report
from redsm5.run.lock import LOCK


def options(corpus, encoder, run_dir, *more):
    return [
        "fit",
        f"--data.path={corpus}",
        f"--model.encoder.id={encoder}",
        f"--run_dir={run_dir}",
        "--data.max_length=48",
        "--data.stride=8",
        "--data.workers=0",
        "--model.optimizer=AdamW",
        "--model.optimizer.lr=0.003",
        "--model.optimizer.head_lr=0.01",
        "--trainer.max_epochs=3",
        "--trainer.accelerator=cpu",
        "--runtime.threads=1",
        *more,
    ]


def metric_rows(run_dir):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_epochs(run_dir / "metrics.csv")]


@pytest.fixture(scope="module")
def finished(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    cache = tmp_path_factory.mktemp("cache")
    assert main(options(tiny_corpus_dir, tiny_encoder, run_dir, f"--data.cache_dir={cache}")) == 0
    return run_dir


def test_fit_leaves_everything_that_the_readme_lists(finished):
    left = {p.name for p in finished.iterdir() if p.name != LOCK}
    assert left == {
        "config.yaml",
        "split.json",
        "metrics.csv",
        "run.jsonl",
        "run.log",
        "training.json",
        "criteria.json",
        "thresholds.json",
        "seals.json",
        "report.json",
        "predictions-val.jsonl",
        "view-val.html",
        "checkpoints",
    }
    kept = [p.name.split("-")[0] for p in (finished / "checkpoints").iterdir()]
    assert kept.count("last") == 1
    assert set(kept) == {"best", "last"}
    assert len(kept) <= 3  # two epochs may be equally good
    report = read_report(finished / "report.json")
    assert set(report.evaluations) == {"val"}
    assert report.training is not None
    assert report.training.epochs == 3


def test_fit_best_epoch_is_the_one_that_is_evaluated(finished):
    rows = metric_rows(finished)
    report = read_report(finished / "report.json")
    best = min(range(len(rows)), key=lambda epoch: (-rows[epoch]["val_f1_macro"], rows[epoch]["val_loss"]))
    values = [row["val_f1_macro"] for row in rows]
    assert report.training is not None
    assert report.training.best_epoch == best
    assert report.evaluations["val"].at_half.f1_macro == pytest.approx(values[best], abs=1e-5)
    assert report.evaluations["val"].evidence_given_gold.hit_at_1 == pytest.approx(rows[best]["val_hit_at_1"], abs=1e-5)


def test_validate_and_test_give_the_same_numbers_again(finished):
    before = read_report(finished / "report.json").evaluations["val"]
    lines = (finished / "predictions-val.jsonl").read_text()
    assert main(["validate", str(finished)]) == 0
    assert read_report(finished / "report.json").evaluations["val"] == before
    assert (finished / "predictions-val.jsonl").read_text() == lines
    assert main(["test", str(finished)]) == 0
    first = read_report(finished / "report.json").evaluations
    assert main(["test", "--config", str(finished / "config.yaml")]) == 0
    assert read_report(finished / "report.json").evaluations == first
    assert set(first) == {"val", "test"}


def test_view_makes_the_page_of_an_evaluation_again_to_the_byte(finished, tmp_path):
    assert main(["validate", str(finished)]) == 0
    assert main(["view", str(finished), "--part", "val", "--out", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_bytes() == (finished / "view-val.html").read_bytes()


def test_fit_same_seed_gives_the_same_metrics_to_the_bit(finished, tmp_path):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["run_dir"] = str(tmp_path / "again")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", str(tmp_path / "config.yaml")]) == 0
    assert metric_rows(tmp_path / "again") == metric_rows(finished)
    assert (tmp_path / "again" / "predictions-val.jsonl").read_text() == (
        finished / "predictions-val.jsonl"
    ).read_text()
    assert main(["fit", "--config", str(tmp_path / "config.yaml")]) == 2  # finished: never overwritten by accident


def test_fit_interrupted_goes_on_by_the_same_command(finished, tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    command = options(
        tiny_corpus_dir, tiny_encoder, tmp_path / "run", f"--data.cache_dir={config['data']['cache_dir']}"
    )
    written = MetricsFile.on_train_epoch_start

    def interrupt_in_the_third_epoch(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        written(self, trainer, pl_module)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsFile, "on_train_epoch_start", interrupt_in_the_third_epoch)
        assert main(command) == 130
    assert not (tmp_path / "run" / "report.json").exists()
    assert main(command) == 0
    assert metric_rows(tmp_path / "run") == metric_rows(finished)
    report, whole = read_report(tmp_path / "run" / "report.json"), read_report(finished / "report.json")
    assert report.evaluations["val"] == whole.evaluations["val"]


def test_fit_never_touches_the_test_part(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    def refuse(self):
        raise AssertionError("the test part was read")

    monkeypatch.setattr(ReDSM5DataModule, "test_dataloader", refuse)
    command = options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--trainer.max_epochs=1")
    assert main([*command, f"--data.cache_dir={tmp_path / 'cache'}"]) == 0
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    predicted = {
        json.loads(x)["post_id"] for x in (tmp_path / "run" / "predictions-val.jsonl").read_text().splitlines()
    }
    assert predicted == set(split["parts"]["val"])
    assert not predicted & set(split["parts"]["test"])


def test_fit_binary_pairs_trains_and_evaluates(tiny_corpus_dir, tiny_encoder, tmp_path):
    command = options(
        tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--data.format=BinaryPairs", "--trainer.max_epochs=1",
        "--data.max_length=160", f"--data.cache_dir={tmp_path / 'cache'}",
    )  # fmt: skip
    assert main(command) == 0
    assert read_report(tmp_path / "run" / "report.json").evaluations["val"].posts > 0


def test_predict_writes_a_line_per_post_and_criterion(finished, tmp_path, capsys):
    text = "I cannot sleep at all. The weather is fine."
    assert main(["predict", str(finished), "--text", text]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    codes = list(json.loads((finished / "thresholds.json").read_text()))
    assert [line["criterion"] for line in lines] == codes
    for line in lines:
        assert 0 <= line["probability"] <= 1
        assert line["decision"] == (line["probability"] >= line["threshold"])
        assert all(0 <= s["start"] < s["end"] <= len(text) for s in line["spans"])


def test_no_file_but_the_page_holds_post_text(finished, tiny_corpus_dir):
    posts = (tiny_corpus_dir / "redsm5_posts.csv").read_text()
    sample = next(csv.DictReader(posts.splitlines()))["text"][:30]
    for path in finished.rglob("*"):
        if path.is_file() and path.suffix != ".html":
            assert sample.encode() not in path.read_bytes(), path


def test_fit_learns_where_one_keyword_is_the_evidence(tiny_encoder, tmp_path):
    corpus = write_tiny_corpus(tmp_path / "corpus", posts=150, authors=70)
    command = options(
        corpus, tiny_encoder, tmp_path / "run", "--data.max_length=64", "--data.stride=16", "--trainer.max_epochs=12",
        "--model.task_weighting.lambda_span=0.1", "--model.aggregation=Attention", "--model.encoder.hidden_dropout=0.0",
        f"--data.cache_dir={tmp_path / 'cache'}",
    )  # fmt: skip
    assert main(command) == 0
    rows = metric_rows(tmp_path / "run")
    first, last = rows[0], rows[-1]
    assert last["val_hit_at_1"] >= 0.8  # at random: one sentence in six
    assert last["val_loss_inside"] < 0.75 * first["val_loss_inside"]
    assert last["train_loss_criteria"] < first["train_loss_criteria"]
    assert last["val_auprc_macro"] > first["val_auprc_macro"]
