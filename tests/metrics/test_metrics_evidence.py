"""Evidence metrics against brute-force sets of characters, words and sentences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_samples import perfect, sample_posts
from scipy.optimize import linear_sum_assignment

from redsm5.datamodules.corpus import Span
from redsm5.errors import UserError
from redsm5.metrics.criteria import decide
from redsm5.metrics.evidence import Sum, end_to_end, evidence_scores, given_gold, hits
from redsm5.metrics.paired import pair_up
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan

SENTENCES = (Span(0, 10), Span(11, 21), Span(22, 32))
WORDS = tuple(Span(i, i + 4) for i in (0, 5, 11, 16, 22, 27))


def reference(gold: list[GoldPost], predicted: list[PredictedPost], *, gate: bool) -> dict[str, float]:
    """Every metric from its definition, with sets; ``gate`` for end to end at 0.5."""
    chars, words, sentences = ([0, 0, 0] for _ in range(3))
    spans, exact, rr, empty, hard = [0, 0, 0], [], [], [], []
    for g, p in zip(gold, predicted, strict=True):
        for k, label in enumerate(g.labels):
            if g.unaligned[k]:
                continue
            candidates = list(p.candidates[k])
            bound = [c for c in candidates if c.score > 0]
            if gate:
                bound = candidates = bound if p.probabilities[k] >= 0.5 else []
            if label:
                ranks = [r for r, c in enumerate(candidates, 1) if finds(c, g.evidence[k], g.sentences)]
                rr.append(1 / min(ranks) if ranks else 0.0)
            else:
                empty.append(not bound)
            hard += [any(char_set(b) <= char_set(h) or overlaps(b, h) for b in bound) for h in g.hard_negatives[k]]
            if not label and not (gate and bound):
                continue
            truth = list(g.evidence[k])
            exact.append({(s.start, s.end) for s in truth} == {(s.start, s.end) for s in bound})
            for totals, units in ((chars, None), (words, g.words), (sentences, g.sentences)):
                a, b = (as_units(s, units, whole=units is g.sentences) for s in (bound, truth))
                totals[0] += len(a & b)
                totals[1] += len(a)
                totals[2] += len(b)
            grid = np.array([[overlaps(b, t) for t in truth] for b in bound]).reshape(len(bound), len(truth))
            spans[0] += int(grid[linear_sum_assignment(grid, maximize=True)].sum())
            spans[1] += len(bound)
            spans[2] += len(truth)
    scores = {
        "exact_match": np.mean(exact),
        "hit_at_1": np.mean([r == 1.0 for r in rr]),
        "mrr": np.mean(rr),
        "null_accuracy": np.mean(empty),
        "hard_negative_rate": np.mean(hard),
    }
    for name, (tp, a, b) in {"char": chars, "token": words, "sentence": sentences, "iou": spans}.items():
        precision, recall = tp / a, tp / b
        scores |= {f"{name}_precision": precision, f"{name}_recall": recall}
        scores[f"{name}_f1"] = 2 * precision * recall / (precision + recall)
    return {name: float(value) for name, value in scores.items()}


def char_set(span) -> set[int]:
    return set(range(span.start, span.end))


def overlaps(a, b) -> bool:
    return len(char_set(a) & char_set(b)) >= 0.5 * len(char_set(a) | char_set(b))


def as_units(spans, units, *, whole: bool) -> set[int]:
    if units is None:
        return set().union(*map(char_set, spans)) if spans else set()
    found: set[int] = set()
    for span in spans:
        shared = [len(char_set(span) & char_set(u)) for u in units]
        if not whole:
            found |= {i for i, n in enumerate(shared) if n}
            continue
        half = {i for i, u in enumerate(units) if 2 * shared[i] >= len(char_set(u)) or char_set(span) <= char_set(u)}
        found |= half or ({int(np.argmax(shared))} if any(shared) else set())
    return found


def finds(candidate, truth, sentences) -> bool:
    inside = as_units(truth, sentences, whole=True)
    return any(overlaps(candidate, t) for t in truth) or any(
        char_set(candidate) <= char_set(sentences[i]) for i in inside
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("gate", [False, True], ids=["given gold", "end to end"])
def test_every_metric_equals_its_definition_on_sets(seed, gate):
    gold, predicted = sample_posts(60, seed)
    paired = pair_up(gold, predicted)
    sums = end_to_end(paired, decide(paired.probabilities)) if gate else given_gold(paired)
    ours = {name: float(value) for name, value in evidence_scores(sums.sum((0, 1))).items()}
    assert ours == pytest.approx(reference(gold, predicted, gate=gate))


@given(st.integers(0, 10_000))
def test_the_truth_itself_scores_one_everywhere(seed):
    gold, _ = sample_posts(6, seed)
    gold = [replace(g, hard_negatives=((),) * 4) for g in gold]
    paired = pair_up(gold, perfect(gold))
    for sums in (given_gold(paired), end_to_end(paired, paired.labels)):
        scores = evidence_scores(sums.sum((0, 1)))
        assert {n for n, v in scores.items() if not np.isnan(v)} >= {"null_accuracy"}
        assert all(v == 1.0 or np.isnan(v) for v in scores.values())
        if sums[..., Sum.GOLD].any():
            assert np.isnan(scores["hard_negative_rate"])
            assert sum(np.isnan(v) for v in scores.values()) == 1


@given(st.integers(0, 10_000))
def test_swapping_truth_and_prediction_swaps_precision_and_recall(seed):
    gold, predicted = sample_posts(4, seed)
    kept = [(g, p) for g, p in zip(gold, predicted, strict=True) if g.labels[0] and not g.unaligned[0]]
    bound = {p.post_id: tuple(sorted({Span(c.start, c.end) for c in p.candidates[0]}, key=str)) for _, p in kept}
    one = [GoldPost(g.post_id, "a", (1,), (g.evidence[0],), (False,), ((),), g.sentences, g.words) for g, _ in kept]
    other = [replace(g, evidence=(bound[g.post_id],)) for g in one]
    if not one:
        return
    there = evidence_scores(given_gold(pair_up(one, perfect(other))).sum((0, 1)))
    back = evidence_scores(given_gold(pair_up(other, perfect(one))).sum((0, 1)))
    for name in ("char", "token", "sentence", "iou"):
        assert there[f"{name}_precision"] == back[f"{name}_recall"]
        assert there[f"{name}_f1"] == back[f"{name}_f1"]


def one_post(
    evidence, candidates, *, label=1, probability=0.9, unaligned=False, hard=()
) -> tuple[GoldPost, PredictedPost]:
    gold = GoldPost("p", "a", (label,), (tuple(evidence),), (unaligned,), (tuple(hard),), SENTENCES, WORDS)
    return gold, PredictedPost("p", (probability,), (tuple(candidates),))


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (Span(0, 10), True),
        (Span(3, 4), True),
        (Span(0, 20), True),
        (Span(0, 21), False),
        (Span(9, 12), False),
        (Span(12, 14), False),
    ],
    ids=["same", "a piece of its sentence", "IoU one half", "IoU below one half", "over the border", "next sentence"],
)
def test_hits_by_iou_or_sentence(candidate, expected):
    assert hits(candidate, (Span(0, 10),), SENTENCES) is expected


def test_hit_at_1_and_mrr_rank_candidates_that_null_beats_only_given_gold():
    wrong, right = ScoredSpan(22, 32, -0.1), ScoredSpan(0, 10, -0.2)
    paired = pair_up(*([x] for x in one_post([Span(0, 10)], [wrong, right])))
    given = evidence_scores(given_gold(paired).sum((0, 1)))
    assert (given["hit_at_1"], given["mrr"], given["token_recall"]) == (0.0, 0.5, 0.0)
    whole = evidence_scores(end_to_end(paired, paired.labels).sum((0, 1)))
    assert (whole["hit_at_1"], whole["mrr"]) == (0.0, 0.0)


def test_span_threshold_decides_what_is_predicted():
    paired = pair_up(*([x] for x in one_post([Span(0, 10)], [ScoredSpan(0, 10, 0.5)])))
    assert evidence_scores(given_gold(paired).sum((0, 1)))["exact_match"] == 1.0
    assert evidence_scores(given_gold(paired, span_threshold=0.5).sum((0, 1)))["exact_match"] == 0.0


def test_a_missed_criterion_misses_its_evidence_end_to_end():
    paired = pair_up(*([x] for x in one_post([Span(0, 10)], [ScoredSpan(0, 10, 3.0)], probability=0.4)))
    scores = evidence_scores(end_to_end(paired, decide(paired.probabilities)).sum((0, 1)))
    assert (scores["char_recall"], scores["char_f1"], scores["hit_at_1"], scores["exact_match"]) == (0, 0, 0, 0)
    assert evidence_scores(given_gold(paired).sum((0, 1)))["char_f1"] == 1.0


def test_a_false_criterion_adds_false_spans_end_to_end_only():
    paired = pair_up(*([x] for x in one_post([], [ScoredSpan(0, 10, 3.0)], label=0)))
    scores = evidence_scores(end_to_end(paired, decide(paired.probabilities)).sum((0, 1)))
    assert (scores["char_precision"], scores["exact_match"], scores["null_accuracy"]) == (0, 0, 0)
    given = evidence_scores(given_gold(paired).sum((0, 1)))
    assert np.isnan(given["char_f1"])
    assert given["null_accuracy"] == 0.0


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (ScoredSpan(11, 21, 1.0), 1.0),
        (ScoredSpan(13, 15, 1.0), 1.0),
        (ScoredSpan(11, 31, 1.0), 1.0),
        (ScoredSpan(11, 32, 1.0), 0.0),
        (ScoredSpan(11, 21, 0.0), 0.0),
        (ScoredSpan(0, 10, 1.0), 0.0),
    ],
    ids=["same", "within", "IoU one half", "IoU below", "null wins", "elsewhere"],
)
def test_hard_negative_rate(candidate, expected):
    paired = pair_up(*([x] for x in one_post([], [candidate], label=0, hard=[Span(11, 21)])))
    assert evidence_scores(given_gold(paired).sum((0, 1)))["hard_negative_rate"] == expected


def test_unaligned_pairs_count_nowhere():
    posts = one_post([Span(0, 10)], [ScoredSpan(0, 10, 1.0)], unaligned=True, hard=[Span(0, 10)])
    paired = pair_up(*([x] for x in posts))
    assert not given_gold(paired).any()
    assert not end_to_end(paired, paired.labels).any()


def test_token_metrics_are_undefined_without_words():
    gold, guess = one_post([Span(0, 10)], [ScoredSpan(0, 10, 1.0)])
    scores = evidence_scores(given_gold(pair_up([replace(gold, words=())], [guess])).sum((0, 1)))
    assert np.isnan(scores["token_f1"])
    assert scores["char_f1"] == 1.0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda g, p: ([], []), ValueError, "no posts"),
        (lambda g, p: (g, p[:-1]), ValueError, "differ in 1 of 3"),
        (lambda g, p: (g, [*p, p[0]]), ValueError, "twice"),
        (lambda g, p: ([*g, g[0]], p), ValueError, "twice"),
        (lambda g, p: (g, [replace(p[0], probabilities=(0.5,)), *p[1:]]), ValueError, "probabilities of post 's_0_0'"),
        (lambda g, p: ([replace(g[0], unaligned=()), *g[1:]], p), ValueError, "unaligned of post 's_0_0'"),
        (lambda g, p: (g, [replace(p[0], probabilities=(np.nan,) * 4), *p[1:]]), UserError, "'s_0_0' is not a number"),
        (lambda g, p: (g, [replace(p[0], probabilities=(1.5,) * 4), *p[1:]]), UserError, "between 0 and 1"),
        (
            lambda g, p: (g, [replace(p[0], candidates=((ScoredSpan(0, 1, float("nan")),),) * 4), *p[1:]]),
            UserError,
            "diverged",
        ),
    ],
)
def test_pair_up_refuses_records_that_do_not_fit(change, error, words):
    gold, predicted = change(*sample_posts(3, 0))
    with pytest.raises(error, match=words):
        pair_up(gold, predicted)
