import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax
from span_batches import make_batch, random_batch, random_sentences, with_sentences

from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.evidence_head import CRF, Biaffine, SentenceFilter, SentenceRanker, StartEnd
from redsm5.modules.sentence_scores import fullest_rows, sentence_targets


def output_of(batch, n_outputs, *, seed=0, **fields):
    torch.manual_seed(seed)
    head = SentenceRanker(dropout=0.0, **fields).build(7, n_outputs)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    states = torch.randn(*batch.context_mask.shape, 7).requires_grad_()
    return head, states, head(states, batch)


def logits_by_hand(head, states, batch):
    """Null's and the sentences' logits of each example, where every sentence is shown once."""
    scores, x = head.scores, states.detach().double()
    rows = []
    for e in range(batch.size):
        windows = (batch.window_example == e).nonzero()[:, 0].tolist()
        first = torch.stack([x[w, 0] for w in windows]).mean(dim=0)
        logits = [scores.null.double()(first)]
        mine = sorted((s, w, i, j) for w, s, i, j, _ in batch.sentences.tolist() if w in windows)
        logits += [scores.sentence.double()(x[w, i : j + 1].mean(dim=0)) for _, w, i, j in mine]
        rows.append((torch.stack(logits).detach().numpy(), mine))
    scores.float()
    return rows


def reference(head, states, batch):
    """The parts by loops, sentence by sentence."""
    parts = {name: [[] for _ in range(batch.size)] for name in ("positives", "nulls", "hard_negatives")}
    whole_of = {(w, s): whole for w, s, _, _, whole in batch.sentences.tolist()}
    for e, (logits, mine) in enumerate(logits_by_hand(head, states, batch)):
        for k in range(logits.shape[1]):
            if batch.unknown[batch.window_example == e][0, k]:
                continue
            gold, still_open, denied = [], [], []
            for place, (s, w, i, j) in enumerate(mine, start=1):
                tokens = set(range(i, j + 1))
                ours = [range(a, b + 1) for v, o, a, b in batch.spans.tolist() if (v, o) == (w, k)]
                count = len(tokens & {t for span in ours for t in span})
                holds = any(set(span) <= tokens for span in ours)
                ruled = [range(a, b + 1) for v, o, a, b in batch.hard_negatives.tolist() if (v, o) == (w, k)]
                ruled_count = len(tokens & {t for span in ruled for t in span})
                if count and whole_of[w, s] and (holds or 2 * count >= len(tokens)):
                    gold.append(place)
                elif count:
                    still_open.append(place)
                elif ruled_count and (2 * ruled_count >= len(tokens) or any(set(span) <= tokens for span in ruled)):
                    denied.append(place)
            kept = [place for place in range(len(logits)) if place not in still_open]
            log_p = dict(zip(kept, log_softmax(logits[kept, k]), strict=True))
            if gold:
                parts["positives"][e].append(-np.mean([log_p[place] for place in gold]))
            elif not still_open:
                parts["nulls"][e].append(-log_p[0])
            parts["hard_negatives"][e] += [
                -logsumexp([p for other, p in log_p.items() if other != place]) for place in denied
            ]
    means = {name: [np.mean(x) for x in lists if x] for name, lists in parts.items()}
    return {name: np.mean(values) if values else 0.0 for name, values in means.items()}


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    span_rate=st.sampled_from([0.0, 0.2, 0.6]),
    unknown_rate=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_loss_equals_a_loop_over_sentences(seed, span_rate, unknown_rate):
    batch = random_sentences(random_batch(seed, span_rate=span_rate, mask_rate=0.0), seed)
    unknown = torch.tensor(np.random.default_rng(seed).random((batch.size, 3)) < unknown_rate)
    batch.unknown = unknown[batch.window_example]  # the same in all windows of an example
    head, states, output = output_of(batch, 3, seed=seed)
    losses = head.loss(output, batch)
    found = {name: part.mean.item() for name, part in losses.parts.items()}
    assert found == pytest.approx(reference(head, states, batch), rel=1e-3, abs=1e-4)
    losses.total.backward()
    assert states.grad.isfinite().all()


def test_sentence_is_scored_where_most_of_it_is_shown():
    batch = make_batch([[0, 1, 1, 1]] * 3, [0, 0, 1], 1)
    with_sentences(batch, [(0, 0, 1, 2, 1), (0, 1, 3, 3, 0), (1, 1, 1, 2, 1), (1, 2, 3, 3, 1), (2, 0, 1, 3, 1)])
    assert fullest_rows(batch).tolist() == [[0, 2, 3], [4, -1, -1]]


def test_sentences_compete_in_the_whole_post_and_not_in_other_posts():
    batch = make_batch([[0, 1, 1, 1]] * 3, [0, 0, 1], 2)
    with_sentences(batch, [(0, 0, 1, 2, 1), (0, 1, 3, 3, 1), (1, 2, 1, 3, 1), (2, 0, 1, 1, 1), (2, 1, 2, 3, 1)])
    head, states, output = output_of(batch, 2)
    probabilities = head.token_probabilities(output, batch)
    for e, (logits, mine) in enumerate(logits_by_hand(head, states, batch)):
        expected = softmax(logits, axis=0)
        for place, (_, w, i, j) in enumerate(mine, start=1):
            assert int(batch.window_example[w]) == e
            for t in range(i, j + 1):
                np.testing.assert_allclose(probabilities[w, t].detach(), expected[place], atol=1e-5)
    assert (probabilities[:, 0] == 0).all()


CUT = [(0, 0, 1, 2, 1), (0, 1, 3, 4, 0)]


@pytest.mark.parametrize(
    ("spans", "cut_spans", "gold", "still_open"),
    [
        ([(0, 0, 1, 2)], [], [1, 0], [0, 0]),
        # A part of a sentence that lies in it selects it, however small.
        ([(0, 0, 2, 2)], [], [1, 0], [0, 0]),
        # Half of a sentence is enough, though the evidence goes on; the other half is cut, so that it stays open.
        ([(0, 0, 2, 3)], [], [1, 0], [0, 1]),
        # Evidence that the window cuts: where the sentence is cut too, it is neither evidence nor none.
        ([], [(0, 0, 3, 4)], [0, 0], [0, 1]),
        ([], [(0, 0, 1, 2)], [1, 0], [0, 0]),
        ([], [], [0, 0], [0, 0]),
    ],
)
def test_targets_of_sentences(spans, cut_spans, gold, still_open):
    batch = with_sentences(make_batch([[0, 1, 1, 1, 1]], [0], 1, spans=spans, cut_spans=cut_spans), CUT)
    targets = sentence_targets(output_of(batch, 1)[2], batch)
    assert targets.gold[0, :, 0].int().tolist() == gold
    assert targets.open[0, :, 0].int().tolist() == still_open


def test_unknown_pair_and_open_sentence_get_no_gradient():
    batch = make_batch([[0, 1, 1, 1, 1]], [0], 2, spans=[(0, 0, 1, 2)], cut_spans=[(0, 1, 3, 4)], unknown=[[1, 0]])
    head, _, output = output_of(with_sentences(batch, CUT), 2)
    [gradient] = torch.autograd.grad(head.loss(output, batch).total, [output.logits], allow_unused=True)
    assert (gradient == 0).all()  # output 0 is unknown; output 1 has no gold sentence, and an open one: no null
    batch.unknown[:] = False
    [gradient] = torch.autograd.grad(head.loss(head(torch.randn(1, 5, 7), batch), batch).total, head.scores.null.bias)
    assert gradient[0] != 0
    assert gradient[1] == 0


def test_candidates_are_sentences_with_their_margin_over_null():
    batch = make_batch([[0, 1, 1, 1, 1]] * 2, [0, 0], 1)
    with_sentences(batch, [(0, 0, 1, 1, 1), (0, 1, 2, 4, 1), (1, 1, 1, 1, 0), (1, 2, 2, 3, 1)])
    head, _, output = output_of(batch, 1)
    margin = (output.logits[0, 1:, 0] - output.logits[0, 0, 0]).tolist()
    found = head.candidates(output, batch, SpanDecoding(max_characters=7))
    rows = sorted(zip(found.start.tolist(), found.end.tolist(), found.score.tolist(), strict=True))
    assert rows == [(4, 7, pytest.approx(margin[0])), (8, 15, pytest.approx(margin[2]))]
    found = head.candidates(output, batch, SpanDecoding(max_characters=1))
    assert found.score.tolist() == [pytest.approx(max(margin))]


@pytest.mark.parametrize("inner", [StartEnd(), Biaffine(), CRF(), StartEnd(inside=False, top_k=2)])
@pytest.mark.parametrize("top_k", [1, 2, 9])
def test_filter_keeps_spans_in_the_best_sentences_of_the_post(inner, top_k):
    batch = make_batch([[0, 1, 1, 1, 1, 1, 0]] * 4, [0, 0, 1, 1], 3)
    rows = [(w, 2 * (w % 2) + s, 1 + 3 * s, 3 if s == 0 else 5, 1) for w in range(4) for s in range(2)]
    with_sentences(batch, rows)
    # Windows of one post do not overlap here: tokens of the second cover other characters.
    batch.offsets[1::2] += 40 * batch.context_mask[1::2].unsqueeze(-1)
    torch.manual_seed(top_k)
    head = SentenceFilter(head=inner, top_k=top_k, dropout=0.0).build(7, 3).eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    output = head(torch.randn(4, 7, 7), batch)
    found = head.candidates(output, batch, SpanDecoding())
    assert {(e, k) for e, k in zip(found.example, found.output, strict=True)} == {
        (e, k) for e in range(2) for k in range(3)
    }
    for e in range(2):
        best = output.sentences.logits[e, 1:].argsort(dim=0, descending=True)[:top_k]
        for k in range(3):
            # Sentences are next to each other in a window: neighbours that are both chosen may share a span.
            tokens = {(w, t) for w, s, i, j, _ in rows if w // 2 == e and s in best[:, k] for t in range(i, j + 1)}
            chosen = (found.example == e) & (found.output == k)
            for begin, stop in zip(found.start[chosen], found.end[chosen], strict=True):
                w, low = divmod(int(begin), 40)
                assert {(2 * e + w, t) for t in range(low // 4, (int(stop) - 40 * w - 3) // 4 + 1)} <= tokens


def test_filter_has_the_scores_of_the_other_head_and_parts_of_both():
    batch = random_sentences(random_batch(4), 4)
    torch.manual_seed(0)
    head = SentenceFilter(head=CRF(dropout=0.0), top_k=99, weight=2.0, dropout=0.0).build(7, 3)
    states = torch.randn(*batch.context_mask.shape, 7)
    output = head(states, batch)
    alone = head.inner.candidates(output.inner, batch, SpanDecoding())
    found = head.candidates(output, batch, SpanDecoding())
    assert sorted(found.score) == pytest.approx(sorted(alone.score))
    losses, inner = head.loss(output, batch), head.inner.loss(output.inner, batch)
    ranking = sum(
        2.0 * weight * losses.parts[f"sentence_{name}"].mean
        for name, weight in {"positives": 1.0, "nulls": 1.0, "hard_negatives": 0.1}.items()
    )
    torch.testing.assert_close(losses.total, inner.total + ranking)
    torch.testing.assert_close(
        head.token_probabilities(output, batch), head.inner.token_probabilities(output.inner, batch)
    )


def test_head_of_sentences_says_when_nobody_asked_for_them():
    batch = make_batch([[0, 1]], [0], 1)
    with pytest.raises(RuntimeError, match="call need_sentences"):
        SentenceRanker().build(7, 1)(torch.randn(1, 2, 7), batch)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"weight": -1.0}, "weight is -1.0"),
        ({"head": SentenceRanker()}, "head is SentenceRanker"),
        ({"head": SentenceFilter()}, "head is SentenceFilter"),
    ],
)
def test_sentence_filter_refuses(fields, said):
    with pytest.raises(ValueError, match=said):
        SentenceFilter(**fields)
