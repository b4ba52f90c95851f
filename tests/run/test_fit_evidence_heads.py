import json

import pytest
import yaml
from tiny_runs import fit_options

import redsm5
from redsm5.cli import main
from redsm5.datamodules.reading import read_corpus
from redsm5.inference.export import export
from redsm5.metrics_csv import read_epochs

PARTS = {"positives", "nulls", "hard_negatives"}
SENTENCES = {f"sentence_{name}" for name in PARTS}
HEADS = {
    "CRF": (["CRF", "null_weight=0"], PARTS),
    "StartEndMLP": (["StartEndMLP", "hidden=16", "null_weight=0"], PARTS | {"inside"}),
    "Biaffine": (["Biaffine", "hidden=16", "null_weight=0"], PARTS),
    "SentenceRanker": (["SentenceRanker", "null_weight=0"], PARTS),
    "filter": (
        ["SentenceFilter", "top_k=2", "head=CRF", "head.null_weight=0", "head.max_tokens=20"],
        PARTS | SENTENCES,
    ),
    "filter-pairs": (["SentenceFilter", "head=StartEnd", "head.null_weight=0"], PARTS | {"inside"} | SENTENCES),
}
QUICK = {"filter"}


def options_of(settings):
    name, *fields = settings
    return [f"--model.evidence_head={name}", *(f"--model.evidence_head.{field}" for field in fields)]


@pytest.mark.parametrize(
    "head", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in HEADS]
)
def test_run_its_model_and_its_export_predict_the_same(head, tiny_corpus_dir, tiny_encoder, tmp_path):
    settings, parts = HEADS[head]
    run, cache = tmp_path / "run", tmp_path / "cache"
    more = ["--data.format=BinaryPairs", "--data.max_length=128"] if head == "filter-pairs" else []
    options = fit_options(tiny_corpus_dir, tiny_encoder, run, *options_of(settings), *more, f"--data.cache_dir={cache}")
    # The options of a small fit are those of StartEnd.
    assert main([option for option in options if option != "--model.evidence_head.null_weight=0.0"]) == 0
    row = read_epochs(run / "metrics.csv")[-1]
    assert {f"val_loss_{name}" for name in parts} <= row.keys()
    chosen = yaml.safe_load((run / "config.yaml").read_text())["model"]["evidence_head"]["class_path"]
    assert chosen == f"redsm5.modules.evidence_head.{settings[0]}"

    corpus, _ = read_corpus(path=str(tiny_corpus_dir))
    lines = [json.loads(line) for line in (run / "predictions-val.jsonl").read_text().splitlines()]
    texts = {row["post_id"]: corpus.post_by_id[row["post_id"]].text for row in lines}
    predicted = redsm5.load(run, device="cpu").predict(list(texts.values()))
    by_post = dict(zip(texts, predicted, strict=True))
    for line in lines:
        prediction = by_post[line["post_id"]]
        assert prediction.probabilities[line["criterion"]] == pytest.approx(line["probability"], abs=2e-6)
        spans = [(span.start, span.end) for span in prediction.spans[line["criterion"]]]
        assert spans == [(span["start"], span["end"]) for span in line["spans"]]
    assert any(line["spans"] for line in lines)

    export(run, tmp_path / "model")
    again = redsm5.load(tmp_path / "model", device="cpu").predict(list(texts.values()))
    assert again == predicted


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["SentenceFilter", "head=SentenceRanker"], "model.evidence_head.head is SentenceRanker"),
        (["SentenceFilter", "head=CRF", "head.top_k=0"], "model.evidence_head.head.top_k is 0"),
        (["CRF", "hidden=3"], "hidden"),
        (["Biaffine", "max_tokens=0"], "model.evidence_head.max_tokens is 0"),
    ],
)
def test_impossible_head_is_refused_before_anything_is_loaded(settings, said, tmp_path, capsys):
    base = ["fit", "--model.encoder.id=no/such", "--data.path=no/such", f"--run_dir={tmp_path / 'run'}"]
    assert main([*base, *options_of(settings)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("redsm5: error: ")
    assert err.count("\n") == 1
    assert said in err, err
