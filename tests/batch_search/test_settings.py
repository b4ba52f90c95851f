import json

import pytest

from redsm5.batch_search.settings import criteria_file, setting_of
from redsm5.cli import build_cli

BASE = ("--model.encoder.id=google-bert/bert-base-uncased", "--data.max_length=128")


def setting(*more, accumulates=False):
    return setting_of(build_cli([*BASE, *more], parse_only=True).config, accumulates=accumulates)


@pytest.mark.parametrize(
    "more",
    [
        ("--model.encoder.id=google-bert/bert-large-uncased",), ("--data.max_length=256",), ("--model.peft=LoRA",),
        ("--runtime.precision=bf16",), ("--model.encoder.gradient_checkpointing=true",),
        ("--model.encoder.hidden_dropout=0",), ("--model.evidence_head=Biaffine",), ("--model.criteria_head=MLPHead",),
        ("--model.coupling=EvidenceInformed",), ("--model.optimizer=SGD",), ("--model.adversarial=FGM",),
        ("--data.format=BinaryPairs",), ("--model.peft=LoRA", "--model.peft.r=32"), ("--model.freezing=BottomLayers",),
        ("--model.pooling=ScalarMix",),
    ],
)  # fmt: skip
def test_setting_changes_with_what_takes_memory(more):
    assert setting(*more) != setting()


@pytest.mark.parametrize(
    "more",
    [
        ("--model.optimizer.lr=0.1",), ("--model.schedule=Cosine",), ("--seed_everything=3",), ("--run_dir=x",),
        ("--data.batching.init_args.train=64",), ("--trainer.max_epochs=3",), ("--data.split_seed=4",),
        ("--model.decoding.max_spans=2",), ("--data.max_windows=2",), ("--trainer.accumulate_grad_batches=4",),
    ],
)  # fmt: skip
def test_setting_stays_with_what_takes_none(more):
    assert setting(*more) == setting()


def test_setting_changes_with_accumulation_and_criteria(tmp_path):
    assert setting(accumulates=True) != setting()
    criteria = tmp_path / "criteria.json"
    criteria.write_text(json.dumps([{"code": "A", "title": "a", "text": "one"}]))
    assert setting(f"--data.criteria={criteria}") != setting()


def test_criteria_file_is_the_named_one_else_that_of_the_corpus(tiny_corpus_dir, tmp_path):
    def found(*more):
        return criteria_file(build_cli([*BASE, *more], parse_only=True).config)

    assert found() is None
    assert found("--data.path=owner/dataset") is None
    assert found(f"--data.path={tiny_corpus_dir}") is None
    for file in tiny_corpus_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "criteria.yaml").write_text("A: one\n")
    assert found(f"--data.path={tmp_path}") == str(tmp_path / "criteria.yaml")
    assert found(f"--data.path={tmp_path}", "--data.criteria=other.json") == "other.json"
