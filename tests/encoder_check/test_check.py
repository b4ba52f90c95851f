from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from encoder_samples import FAMILIES, save_tiny, tiny_facts

from redsm5.catalog import CATALOG, EncoderFacts
from redsm5.datamodules.synth import generate, write
from redsm5.encoder_check.check import check_encoder
from redsm5.modules.encoder_model import EncoderModel

KINDS = {"bert": ("WordPiece", True), "electra": ("WordPiece", False), "distilbert": ("WordPiece", False),
         "roberta": ("BPE", True), "longformer": ("BPE", True)}  # fmt: skip
CONTEXT = {"longformer": 1024, "big_bird": 1024}
"""Long enough for attention to be sparse with the windows and blocks of the real ones."""


def small(family: str) -> EncoderFacts:
    """Facts of a small encoder of a family, with a vocabulary that the tokenizer of the check fits in."""
    kind, cased = KINDS.get(family, ("Unigram", True))
    context = CONTEXT.get(family, 64)
    return replace(tiny_facts(family, context=context), vocabulary=2000, tokenizer=kind, cased=cased)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write(generate(posts=40, seed=0, profile="demo"), folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_check_passes_a_small_encoder_of_each_family(corpus, tmp_path, family):
    stages: list[str] = []
    facts = small(family)
    result = check_encoder(facts, corpus, tmp_path, download=False, tell=stages.append)
    assert (result.failure, result.formats) == (None, ("MultiLabel", "BinaryPairs"))
    assert stages[-1] == "token types"
    assert result.parameters > 2000 * 32 / 1e6


WRONG = {
    "parameters": ({"parameters": 100.0}, "parameters and the catalog says 100.0 M"),
    "case": ({"tokenizer": "BPE", "family": "roberta", "token_types": 1, "cased": False}, "keeps case against"),
    "vocabulary": ({"vocabulary": 300}, "the tokenizer of tiny/bert has 1,500 tokens and its encoder knows 300"),
    "context below the frame": ({"context": 32}, "data.max_length is 32"),
    "memory": ({"vocabulary": 10**12}, "RuntimeError in building the encoder"),
}


@pytest.mark.parametrize(("changes", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_check_says_what_is_wrong_in_a_sentence(corpus, tmp_path, changes, sentence):
    result = check_encoder(replace(small("bert"), **changes), corpus, tmp_path, download=False)
    assert not result.passed
    assert "\n" not in result.failure
    assert sentence in result.failure


def break_at(layer: int, how) -> object:
    """Encoder states that an error of ours has gone through, after a layer."""
    forward = EncoderModel.forward

    def broken(self: EncoderModel, *args: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        handle = self.layers[layer].register_forward_hook(lambda module, inputs, output: how(output))
        try:
            return forward(self, *args, **named)
        finally:
            handle.remove()

    return broken


BREAKS = {
    "cut off from the loss": (lambda states: states.detach(), "have no gradient"),
    "not finite": (lambda states: states * float("nan"), "its loss is nan"),
    "no gradient flows": (lambda states: states * 0.0, "the gradients of layer 0, layer 1 are zero"),
}


@pytest.mark.parametrize(("how", "sentence"), BREAKS.values(), ids=BREAKS.keys())
def test_check_finds_a_broken_gradient(corpus, tmp_path, monkeypatch, how, sentence):
    monkeypatch.setattr(EncoderModel, "forward", break_at(1, how))
    result = check_encoder(small("bert"), corpus, tmp_path, download=False)
    assert result.formats == ()
    assert sentence in result.failure


def test_check_takes_files_from_the_hub_and_says_what_the_hub_lacks(corpus, tmp_path, hub_server):
    facts = CATALOG["mental/mental-bert-base-uncased"]
    result = check_encoder(facts, corpus, tmp_path, download=True)
    assert result.failure.startswith(f"the hub has no encoder {facts.id}")
    hub_server.add(facts.id, {"config.json": b"{}", "pytorch_model.bin": b"x"}, gated=True)
    result = check_encoder(facts, corpus, tmp_path, download=True)
    assert result.failure.startswith(f"{facts.id} is gated: accept the terms")
    assert result.traceback is None


def test_check_finds_another_architecture_behind_an_id(corpus, tmp_path, hub_server):
    save_tiny("bert", tmp_path / "files")
    facts = CATALOG["google-bert/bert-base-uncased"]
    hub_server.add(facts.id, tmp_path / "files")
    result = check_encoder(facts, corpus, tmp_path, download=True)
    assert result.failure == "it has 0.0 M parameters and the catalog says 109.5 M"
    result = check_encoder(replace(facts, parameters=None), corpus, tmp_path, download=True)
    assert result.failure == "its hidden size is 32 and the catalog says 768"
