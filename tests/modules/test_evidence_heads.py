"""What holds for every evidence head."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from span_batches import make_batch, only, random_batch, random_sentences, with_sentences
from tiny import write_tiny_corpus

from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.datamodules.loading import batch_loader
from redsm5.metrics.evidence import hits
from redsm5.modules.collector import PredictionCollector
from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import (
    CRF,
    Biaffine,
    EvidenceHead,
    SentenceFilter,
    SentenceRanker,
    StartEnd,
    StartEndMLP,
)
from redsm5.modules.module import MultiTaskModule
from redsm5.modules.task_weighting import FixedWeights
from redsm5.optim.optimizers import AdamW

OPTIONS = {
    "StartEnd": StartEnd(dropout=0.0),
    "StartEnd-plain": StartEnd(dropout=0.0, inside=False),
    "StartEndMLP": StartEndMLP(dropout=0.0, hidden=32),
    "Biaffine": Biaffine(dropout=0.0, hidden=8),
    "CRF": CRF(dropout=0.0),
    "SentenceRanker": SentenceRanker(dropout=0.0),
    "SentenceFilter-StartEnd": SentenceFilter(dropout=0.0, head=StartEnd(dropout=0.0), top_k=2),
    "SentenceFilter-CRF": SentenceFilter(dropout=0.0, head=CRF(dropout=0.0), top_k=2),
}
QUICK = {"SentenceRanker"}
"""Whose training is in every run of the tests."""
heads = pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)


def batch_of(seed=0, **rates):
    return random_sentences(random_batch(seed, **rates), seed)


def output_of(option, batch, n_outputs=3, seed=0):
    """A head with random weights, states and its output."""
    torch.manual_seed(seed)
    head = option.build(7, n_outputs)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    states = torch.randn(*batch.context_mask.shape, 7).requires_grad_()
    return head, states, head(states, batch)


def rows_of(candidates, example):
    kept = candidates.example == example
    columns = (candidates.output, candidates.start, candidates.end, candidates.score)
    return sorted(zip(*(column[kept].tolist() for column in columns), strict=True))


def test_every_variant_is_in_this_table():
    def variants(base):
        return {leaf for kind in base.__subclasses__() for leaf in (variants(kind) or {kind})}

    assert {type(option) for option in OPTIONS.values()} == variants(EvidenceHead)


@heads
@pytest.mark.parametrize("seed", range(4))
def test_head_does_not_depend_on_padding_and_company(option, seed):
    batch = batch_of(seed)
    # What is unknown is so in all windows of an example.
    first = [int((batch.window_example == e).nonzero()[0]) for e in range(batch.size)]
    batch.unknown = batch.unknown[first][batch.window_example]
    batch.evidence_mask &= ~batch.unknown
    head, states, output = output_of(option, batch)
    losses = head.loss(output, batch)
    probabilities = head.token_probabilities(output, batch)
    candidates = head.candidates(output, batch, SpanDecoding())
    for e in range(batch.size):
        alone, windows = only(batch, e)
        length = alone.context_mask.shape[1]
        apart = head(states[windows, :length], alone)
        torch.testing.assert_close(head.loss(apart, alone).examples[0], losses.examples[e], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            head.token_probabilities(apart, alone), probabilities[windows, :length], rtol=1e-4, atol=1e-5
        )
        expected = rows_of(candidates, e)
        found = rows_of(head.candidates(apart, alone, SpanDecoding()), 0)
        assert [row[:3] for row in found] == [row[:3] for row in expected]
        np.testing.assert_allclose([row[3] for row in found], [row[3] for row in expected], rtol=1e-3, atol=1e-3)


@heads
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_head_is_finite_in_half_precision(option, dtype):
    batch = batch_of(1)
    head, states, _ = output_of(option, batch)
    with torch.autocast("cpu", dtype):
        output = head(states, batch)
        losses = head.loss(output, batch)
        probabilities = head.token_probabilities(output, batch)
        candidates = head.candidates(output, batch, SpanDecoding())
    losses.total.backward()
    assert losses.total.isfinite()
    assert losses.total.dtype == probabilities.dtype == torch.float32
    assert states.grad.isfinite().all()
    assert np.isfinite(candidates.score).all()


@heads
def test_loss_is_the_weighted_sum_of_its_parts(option):
    batch = batch_of(2)
    head, _, output = output_of(option, batch)
    losses = head.loss(output, batch)
    assert losses.parts.keys() == head.weights.keys()
    expected = sum(weight * losses.parts[name].mean for name, weight in head.weights.items())
    torch.testing.assert_close(losses.total, expected)
    for part in losses.parts.values():
        assert part.examples.shape == (batch.size,)
        assert part.mean.item() == pytest.approx(part.examples.sum().item() / max(1, part.having.item()), rel=1e-5)


@heads
def test_unknown_pairs_teach_nothing(option):
    batch = batch_of(3, span_rate=0.8)
    batch.evidence_mask[:] = False
    batch.unknown[:] = True
    head, states, output = output_of(option, batch)
    losses = head.loss(output, batch)
    losses.total.backward()
    assert losses.total.item() == 0
    assert (states.grad == 0).all()
    assert all(part.having == 0 for part in losses.parts.values())


@heads
def test_cut_evidence_is_never_null(option):
    """One window whose only evidence is cut, in a sentence that is cut: nulls have nothing."""
    batch = make_batch([[0, 1, 1, 1, 1]], [0], 1, evidence_mask=[[0]], unknown=[[0]], cut_spans=[(0, 0, 3, 4)])
    head, _, output = output_of(option, with_sentences(batch, [(0, 0, 1, 2, 1), (0, 1, 3, 4, 0)]), 1)
    losses = head.loss(output, batch)
    taught = [name for name, part in losses.parts.items() if part.having > 0]
    assert taught == [name for name in losses.parts if name == "inside"]


@heads
def test_token_probabilities_are_probabilities_of_the_context_that_know_no_gold(option):
    batch = batch_of(4, span_rate=0.8)
    head, states, output = output_of(option, batch)
    probabilities = head.token_probabilities(output, batch)
    assert probabilities.shape == (*batch.context_mask.shape, 3)
    assert probabilities.dtype == torch.float32
    assert probabilities.min() >= 0
    assert probabilities.max() <= 1
    assert (probabilities[~batch.context_mask] == 0).all()
    probabilities.sum().backward()
    assert states.grad.abs().sum() > 0
    for name in ("spans", "cut_spans", "hard_negatives"):
        setattr(batch, name, torch.zeros(0, 4, dtype=torch.long))
    batch.evidence_mask, batch.unknown = ~batch.evidence_mask, ~batch.unknown
    assert torch.equal(head.token_probabilities(head(states, batch), batch), probabilities)


@heads
@pytest.mark.parametrize("max_characters", [1, 7, 600])
def test_candidates_are_there_wherever_there_is_context_and_lie_in_it(option, max_characters):
    batch = batch_of(5)
    head, _, output = output_of(option, batch)
    found = head.candidates(output, batch, SpanDecoding(max_characters=max_characters))
    assert set(zip(found.example, found.output, strict=True)) == {(e, k) for e in range(batch.size) for k in range(3)}
    bounds = batch.offsets[batch.context_mask]
    assert set(found.start.tolist()) <= set(bounds[:, 0].tolist())
    assert set(found.end.tolist()) <= set(bounds[:, 1].tolist())
    assert (found.start < found.end).all()
    assert np.isfinite(found.score).all()


@heads
def test_candidates_hold_allowed_tokens_only(option):
    batch = make_batch([[0, 1, 1, 1, 1, 1]], [0], 2)
    with_sentences(batch, [(0, 0, 1, 1, 1), (0, 1, 2, 3, 1), (0, 2, 4, 5, 1)])
    head, _, output = output_of(option, batch, 2)
    allowed = torch.zeros(1, 6, 2, dtype=torch.bool)
    allowed[0, 1, 0] = allowed[0, 4:, 0] = True
    allowed[0, 2:4, 1] = True
    if isinstance(option, SentenceFilter):
        head.top_k = 3
    found = head.candidates(output, batch, SpanDecoding(), allowed)
    spans = {(k, a, b) for k, a, b, _ in rows_of(found, 0)}
    possible = {(0, 4, 7), (0, 16, 19), (0, 20, 23), (0, 16, 23), (1, 8, 11), (1, 12, 15), (1, 8, 15)}
    assert spans <= possible
    assert {k for k, _, _ in spans} == {0, 1}


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(option, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, option in OPTIONS.items()
    ],
)
def test_head_learns_to_find_the_evidence_of_a_handful_of_posts(option, tiny_encoder, tmp_path):
    corpus = write_tiny_corpus(tmp_path / "corpus", posts=12, authors=12)
    data = ReDSM5DataModule(str(tiny_encoder), path=str(corpus), max_length=48, stride=16, workers=0)
    torch.manual_seed(0)
    module = MultiTaskModule(
        Encoder(str(tiny_encoder), hidden_dropout=0.0),
        evidence_head=option,
        task_weighting=FixedWeights(lambda_span=1.0),
        optimizer=AdamW(lr=3e-3, head_lr=1e-2),
    )
    trainer = pl.Trainer(
        max_epochs=40,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, datamodule=data)
    module.eval()
    collector = PredictionCollector(data.n_criteria, SpanDecoding())
    with torch.no_grad():
        for batch in batch_loader(data._sampler("train", training=False), workers=0, seed=0, on_gpu=False):
            collector.add(batch, module(batch), module.network.evidence_head)
    found, bound = [], []
    for gold, predicted in zip(data.gold("train"), collector.result(data.all_post_ids()), strict=True):
        for k in range(data.n_criteria):
            if gold.evidence[k]:
                best = predicted.candidates[k][0]
                found.append(hits(best, gold.evidence[k], gold.sentences))
                bound.append(best.score > 0)
    assert len(found) >= 5
    assert np.mean(found) >= 0.9, found
    assert np.mean(bound) >= 0.8, bound
