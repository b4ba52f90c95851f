"""Runs with every pooling, criteria head and coupling: saved, loaded and exported they predict what fit predicted."""

from __future__ import annotations

import json
from itertools import product
from typing import get_args

import pytest
import yaml
from tiny_runs import fit_options

import redsm5
from redsm5.cli import main
from redsm5.datamodules.reading import read_corpus
from redsm5.inference.export import export
from redsm5.modules.coupling import EvidenceInformed, Join, SpanPooling
from redsm5.modules.criteria_head import CriteriaHead
from redsm5.modules.pooling import Pooling

# Together every class and every value of a closed choice of the coupling.
RUNS = {
    "cls, MLP, mean and concat": (
        "--model.pooling=CLS", "--model.criteria_head=MLPHead", "--model.criteria_head.hidden=24",
        "--model.criteria_head.activation=mish", "--model.coupling=EvidenceInformed", "--model.coupling.join=concat",
    ),
    "attention, residual, max and add": (
        "--model.pooling=Attention", "--model.pooling.heads=4", "--model.criteria_head=ResidualMLPHead",
        "--model.criteria_head.dropout_samples=4", "--model.coupling=EvidenceInformed", "--model.coupling.pooling=max",
        "--model.coupling.join=add", "--model.aggregation=Attention",
    ),
    "scalar mix, gated, attention and mean": (
        "--model.pooling=ScalarMix", "--model.pooling.layers=2", "--model.criteria_head=GatedHead",
        "--model.criteria_head.gate=silu", "--model.coupling=EvidenceInformed", "--model.coupling.pooling=attention",
        "--model.coupling.join=mean", "--model.encoder.gradient_checkpointing=true",
    ),
    "linear, mean and weighted sum, LoRA": (
        "--model.criteria_head.dropout_samples=8", "--model.coupling=EvidenceInformed",
        "--model.coupling.join=weighted_sum", "--model.peft=LoRA", "--model.peft.r=2",
    ),
    "pairs, attention and weighted mean": (
        "--model.coupling=EvidenceInformed", "--model.coupling.pooling=attention",
        "--model.coupling.join=weighted_mean", "--data.format=BinaryPairs", "--data.max_length=128",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=RUNS)
def run(request, tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("variant")
    more = (*RUNS[request.param], "--trainer.max_epochs=1", f"--data.cache_dir={folder / 'cache'}")
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, folder / "run", *more)) == 0
    return folder / "run"


def test_run_and_export_predict_what_fit_predicted(run, tiny_corpus_dir, tmp_path):
    lines = (run / "predictions-val.jsonl").read_text().splitlines()
    rows = {(row["post_id"], row["criterion"]): row["probability"] for row in map(json.loads, lines)}
    corpus, _ = read_corpus(path=str(tiny_corpus_dir))
    posts = [post for post in corpus.posts if (post.id, corpus.codes[0]) in rows]
    assert len(rows) == len(posts) * len(corpus.codes) > 0
    export(run, tmp_path / "model")
    for folder in (run, tmp_path / "model"):
        predictions = redsm5.load(folder, device="cpu").predict([post.text for post in posts])
        for post, prediction in zip(posts, predictions, strict=True):
            for code in corpus.codes:
                assert prediction.probabilities[code] == pytest.approx(rows[post.id, code], abs=1e-5)


def test_runs_name_every_variant():
    def words(option):
        return {word.split("=")[1] for more in RUNS.values() for word in more if word.startswith(f"--model.{option}=")}

    assert words("pooling") | {"Mean"} == {variant.__name__ for variant in Pooling.__subclasses__()}
    assert words("criteria_head") | {"LinearHead"} == {variant.__name__ for variant in CriteriaHead.__subclasses__()}
    assert words("coupling.pooling") | {EvidenceInformed().pooling} == set(get_args(SpanPooling))
    assert words("coupling.join") == set(get_args(Join))


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "join"), [*product(get_args(SpanPooling), get_args(Join))])
def test_every_coupling_is_saved_and_loaded(pooling, join, tiny_corpus_dir, tiny_encoder, tmp_path):
    more = (
        "--model.coupling=EvidenceInformed", f"--model.coupling.pooling={pooling}", f"--model.coupling.join={join}",
        "--trainer.max_epochs=1", f"--data.cache_dir={tmp_path / 'cache'}",
    )  # fmt: skip
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", *more)) == 0
    resolved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["coupling"]
    assert resolved["init_args"] == {"pooling": pooling, "join": join}
    test_run_and_export_predict_what_fit_predicted(tmp_path / "run", tiny_corpus_dir, tmp_path)
