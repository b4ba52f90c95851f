import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from span_batches import make_batch, random_batch

from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.evidence_head import StartEnd
from redsm5.modules.start_end import StartEndOutput
from redsm5.modules.start_end_candidates import best_spans, mean_between
from redsm5.modules.start_end_loss import inside_part

ONLY_INSIDE = {"null_weight": 0.0, "hard_negative_weight": 0.0, "inside_weight": 2.0, "inside_pos_weight": 3.0}


def random_inside(batch, n_outputs, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch.context_mask.shape, n_outputs, generator=generator) * 2


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), pos_weight=st.sampled_from([1.0, 3.0]))
def test_inside_loss_equals_a_loop_over_tokens(seed, pos_weight):
    batch = random_batch(seed)
    logits = random_inside(batch, 3, seed)
    expected = np.zeros(batch.size)
    for e in range(batch.size):
        losses = []
        for w in np.flatnonzero(batch.window_example.numpy() == e):
            for k in range(3):
                if not batch.evidence_mask[w, k]:
                    continue
                rows = [row for row in batch.spans.tolist() if row[:2] == [w, k]]
                for i in np.flatnonzero(batch.context_mask[w].numpy()):
                    inside = any(first <= i <= last for _, _, first, last in rows)
                    x = float(logits[w, i, k])
                    losses.append(pos_weight * np.log1p(np.exp(-x)) if inside else np.log1p(np.exp(x)))
        expected[e] = np.mean(losses) if losses else 0.0
    got = inside_part(logits, batch, pos_weight)
    np.testing.assert_allclose(got.examples.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_cut_evidence_is_inside_though_its_pair_is_masked():
    batch = make_batch([[0, 1, 1, 1, 0]], [0], 1, evidence_mask=[[0]], unknown=[[0]], cut_spans=[(0, 0, 1, 2)])
    logits = torch.tensor([0.0, 3.0, 3.0, -3.0, 0.0]).view(1, 5, 1)
    right = inside_part(logits, batch, 1.0).mean.item()
    assert right == pytest.approx(np.log1p(np.exp(-3.0)), rel=1e-5)
    batch.unknown[:] = True
    assert inside_part(logits, batch, 1.0).mean.item() == 0


def test_inside_part_enters_the_total_with_its_weight():
    batch = make_batch([[0, 1, 1, 1, 0]], [0], 1, spans=[(0, 0, 2, 3)])
    head = StartEnd(dropout=0.0, **ONLY_INSIDE).build(4, 1)
    output = head(torch.randn(1, 5, 4), batch)
    losses = head.loss(output, batch)
    positives, inside = losses.parts["positives"].mean, losses.parts["inside"].mean
    assert inside > 0
    assert losses.total.item() == pytest.approx((positives + 2 * inside).item(), rel=1e-6)
    off = StartEnd(0.0, 0.0, 0.0, inside_weight=0.0).build(4, 1).loss(output, batch)
    assert off.total.item() == pytest.approx(positives.item(), rel=1e-6)


def test_head_without_inside_has_no_such_logits_and_no_such_loss():
    batch = make_batch([[0, 1, 1, 1, 0]], [0], 1, spans=[(0, 0, 2, 3)])
    head = StartEnd(dropout=0.0, inside=False).build(4, 1)
    output = head(torch.randn(1, 5, 4), batch)
    assert output.inside is None
    assert head.loss(output, batch).parts.keys() == head.weights.keys() == {"positives", "nulls", "hard_negatives"}
    assert head.linear.out_features == 2


def test_masked_pair_and_special_tokens_get_no_inside_gradient():
    batch = make_batch([[0, 1, 1, 0], [0, 1, 1, 0]], [0, 0], 2, evidence_mask=[[1, 0], [1, 1]])
    logits = random_inside(batch, 2, 0).requires_grad_()
    inside_part(logits, batch, 3.0).mean.backward()
    touched = logits.grad != 0
    expected = batch.context_mask.unsqueeze(-1) & batch.evidence_mask.unsqueeze(1)
    assert torch.equal(touched, expected)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_mean_between_equals_numpy(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, 3, 11))
    first, last = rng.integers(0, 11, (2, 3, 4)), rng.integers(0, 11, (2, 3, 5))
    got = mean_between(*(torch.as_tensor(a) for a in (values, first, last))).numpy()
    for w, k, i, j in np.ndindex(got.shape):
        a, b = first[w, k, i], last[w, k, j]
        if a <= b:
            assert got[w, k, i, j] == pytest.approx(values[w, k, a : b + 1].mean(), abs=1e-6)


@pytest.mark.parametrize("scale", [0.0, 2.5])
def test_score_of_a_span_adds_its_scaled_mean_inside_logit(scale):
    batch = make_batch([[0, 1, 1, 1, 0]], [0], 1)
    start, end, inside = (random_inside(batch, 1, seed) for seed in range(3))
    found = best_spans(start, end, batch, top_k=20, max_characters=600, inside=inside, inside_scale=scale)
    assert len(found.score) == 6
    for a, b, score in zip(found.start // 4, (found.end - 3) // 4, found.score, strict=True):
        margin = start[0, a, 0] + end[0, b, 0] - start[0, 0, 0] - end[0, 0, 0]
        assert score == pytest.approx(float(margin + scale * inside[0, a : b + 1, 0].mean()), abs=1e-5)


def test_inside_scale_moves_the_best_span():
    batch = make_batch([[0, 1, 1, 1, 1, 0]], [0], 1)
    flat = torch.zeros(1, 6, 1)
    flat[0, 1] = 1.0
    inside = torch.tensor([0.0, -4, -4, 4, 4, 0]).view(1, 6, 1)
    output = StartEndOutput(flat, flat.flip(1).roll(0, 1), inside)
    best = {}
    for scale in (0.0, 10.0):
        found = StartEnd(inside_scale=scale).build(4, 1).candidates(output, batch, SpanDecoding())
        i = int(np.argmax(found.score))
        best[scale] = (found.start[i] // 4, (found.end[i] - 3) // 4)
    assert best[0.0][0] == 1
    assert best[10.0][0] >= 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inside_scale", -1.0),
        ("inside_scale", float("nan")),
        ("inside_weight", -0.1),
        ("inside_pos_weight", float("inf")),
        ("top_k", 0),
    ],
)
def test_impossible_inside_options_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        StartEnd(**{field: value})
