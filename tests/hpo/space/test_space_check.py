"""A space is refused before anything runs: unknown keys, values that a type refuses, draws that cannot be."""

from __future__ import annotations

import pytest

from redsm5.errors import UserError
from redsm5.hpo.space.check import check_space
from redsm5.hpo.space.read import read_space

HEAD = "groups:\n  a:\n"
GOOD = """
    optimizer: {path: model.optimizer, choices: [AdamW, SGD]}
    betas: {path: model.optimizer.betas, choices: [[0.9, 0.98]], when: {optimizer: AdamW}}
    lr: {path: model.optimizer.lr, low: 1e-5, high: 1e-3, log: true}
    head: {path: model.evidence_head, choices: [CRF, SentenceFilter]}
    inner: {path: model.evidence_head.head, choices: [CRF, StartEnd], when: {head: SentenceFilter}}
    inside: {path: model.evidence_head.head.inside, choices: [true, false], when: {inner: StartEnd}}
    epochs: {path: trainer.max_epochs, low: 2, high: 9}
    windows: {path: data.max_windows, choices: [2, null]}
    style: {path: pretraining.masking_style, choices: [token, span], when: {tapt: true}}
    tapt: {path: pretraining.use_tapt, choices: [true, false]}
"""
BAD = {
    "x: {path: model.optimiser, choices: [AdamW]}": (
        "space.yaml: a.x sets model.optimiser, which no config has; did you mean model.optimizer?"
    ),
    "x: {path: model.optimizer.momentun, choices: [0.9]}": "did you mean model.optimizer.momentum?",
    "x: {path: model.optimizer.lr.x, choices: [0.9]}": "which no config has",
    "x: {path: run_dir, choices: [a]}": "a.x sets run_dir, which is each run's own",
    "x: {path: data.encoder_id, choices: [a]}": "which no config has",
    "x: {path: model.optimizer, choices: [AdamW, Adan]}": (
        "a.x: Adan is not accepted for model.optimizer; it takes one of"
    ),
    "x: {path: model.optimizer.betas, choices: [0.9]}": "0.9 is not accepted for model.optimizer.betas",
    "x: {path: model.optimizer.betas, choices: [[0.9, 0.9, 0.9]]}": "it takes a list of 2 values",
    "x: {path: trainer.max_epochs, low: 0.5, high: 3}": "0.5 is not accepted for trainer.max_epochs; it takes a whole",
    "x: {path: runtime.precision, choices: [none, fp8]}": "fp8 is not accepted for runtime.precision",
    "x: {path: model.pooling.heads, choices: [3]}": "3 is not accepted for model.pooling.heads; it takes 1 or 4",
    "x: {path: model.encoder.hidden_dropout, low: 0.0, high: 1.5}": "x being 1.5 cannot be run: model.encoder.hidden_d",
    "x: {path: data.stride, choices: [32, 500]}": "x being 500 cannot be run: data.stride is 500",
    "x: {path: model.peft.r, choices: [4]}": "model.peft.r is set, but NoPEFT has no such option",
    "x: {path: pretraining.masking_style, choices: [span]}": "masking_style is span, and use_dapt and use_tapt are fal",
    "x: {path: model.peft, choices: [NoPEFT, LoRA]}\n    y: {path: model.optimizer.layer_decay, choices: [0.9]}": (
        "x being LoRA cannot be run: model.optimizer.layer_decay is not 1 and model.peft is LoRA"
    ),
    "x: {path: model.peft, choices: [LoRA]}\n    y: {path: model.peft.r, choices: [4, 999], when: {x: LoRA}}": (
        "cannot be run: model.peft.r is 999, but the hidden size"
    ),
    "x: {path: model.coupling, choices: [Independent, EvidenceInformed]}\n"
    "    y: {path: model.coupling.join, choices: [add], when: {x: Independent}}": "Independent has no such option",
    "x: {path: seed_everything, choices: [1, 2]}": "which is each run's own",
    "x: {choices: [1, 2]}\n    y: {path: trainer.max_epochs, choices: [3], when: {x: 1}, unless: {x: 1}}": (
        "a.y is never drawn, since its conditions exclude each other"
    ),
}


@pytest.fixture(scope="module")
def args(tiny_corpus_dir, tiny_encoder):
    return ["--config=configs/fit.yaml", f"--data.path={tiny_corpus_dir}", f"--model.encoder.id={tiny_encoder}"]


def check(folder, text, args):
    path = folder / "space.yaml"
    path.write_text(HEAD + text)
    check_space(read_space(path), args)


def test_a_good_space_passes(tmp_path, args):
    check(tmp_path, GOOD, args)


@pytest.mark.parametrize("text", BAD)
def test_what_no_run_could_have_is_one_sentence(tmp_path, args, text):
    with pytest.raises(UserError) as error:
        check(tmp_path, f"    {text}", args)
    message = str(error.value)
    assert BAD[text] in message
    assert "space.yaml" in message
    assert "\n" not in message


def test_a_base_config_that_goes_with_no_draw_is_refused(tmp_path, args):
    text = "    x: {path: model.schedule, choices: [Linear, OneCycle]}"
    check(tmp_path, text, args)
    base = [*args, "--model.optimizer=Adafactor", "--model.optimizer.relative_step=true", "--model.schedule=NoSchedule"]
    with pytest.raises(UserError, match=r"x being Linear cannot be run: model\.optimizer is Adafactor with relative"):
        check(tmp_path, text, base)


def test_values_that_do_not_go_with_one_encoder_are_found(tmp_path, args):
    encoders = "[google-bert/bert-base-uncased, medicalai/ClinicalBERT]"
    text = (
        f"    encoder: {{path: model.encoder.id, choices: {encoders}}}\n"
        "    pooling: {path: model.pooling, choices: [CLS, ScalarMix]}\n"
        "    layers: {path: model.pooling.layers, choices: [2, 8], when: {pooling: ScalarMix}"
    )
    with pytest.raises(UserError, match="ClinicalBERT has 6 layers, take at most as many"):
        check(tmp_path, text + "}", args)
    check(tmp_path, text + ", unless: {encoder: medicalai/ClinicalBERT}}", args)
