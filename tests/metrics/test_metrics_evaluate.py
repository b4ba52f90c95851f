"""The whole evaluation: agreement between its parts, the bootstrap against one written out, what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
from metrics_samples import CODES, perfect, sample_posts
from sklearn.metrics import f1_score

from redsm5.metrics.bootstrap import author_weights, percentile_interval
from redsm5.metrics.epoch import EPOCH_KEYS, epoch_metrics
from redsm5.metrics.evaluate import evaluate
from redsm5.metrics.published import REDSM5_CODES
from redsm5.metrics.thresholds import fit_thresholds


def test_evaluation_of_the_truth_is_perfect():
    gold, _ = sample_posts(30, 0)
    evaluation = evaluate(gold, perfect(gold), CODES, None, bootstrap=50)
    assert evaluation.at_half.f1_macro == evaluation.at_half.f1_micro == evaluation.auprc_macro == 1.0
    assert evaluation.at_half.count_mae == 0.0
    assert evaluation.at_half.predicted_counts == evaluation.gold_counts
    assert evaluation.at_half.no_symptoms_f1_macro == 1.0
    assert evaluation.evidence_given_gold.token_f1 == evaluation.evidence_end_to_end.token_f1 == 1.0
    assert (evaluation.intervals["f1_micro"].low, evaluation.intervals["f1_micro"].high) == (1.0, 1.0)


def test_evaluation_equals_scikit_learn_at_half_and_tuned():
    val, val_predicted = sample_posts(60, 1)
    gold, predicted = sample_posts(60, 2)
    thresholds = fit_thresholds(val, val_predicted)
    evaluation = evaluate(gold, predicted, CODES, thresholds, bootstrap=0)
    labels = np.array([g.labels for g in gold])
    probabilities = np.array([p.probabilities for p in predicted])
    assert evaluation.tuned is not None
    for summary, cut in ((evaluation.at_half, 0.5), (evaluation.tuned, thresholds)):
        guesses = probabilities >= np.array(cut)
        per = f1_score(labels, guesses, average=None, zero_division=0)
        assert summary.f1_macro == pytest.approx(per[:3].mean())
        assert summary.f1_micro == pytest.approx(f1_score(labels, guesses, average="micro"))
    assert [c.threshold for c in evaluation.criteria] == list(thresholds)
    assert evaluation.intervals == {}


def test_evaluation_of_a_criterion_without_support_is_null_not_zero():
    gold, predicted = sample_posts(30, 3)
    row = evaluate(gold, predicted, CODES, (0.5,) * 4, bootstrap=0).criteria[3]
    assert (row.support, row.prevalence, row.evidence_pairs) == (0, 0.0, 0)
    assert row.at_half.f1 is row.auroc is row.auprc is row.hit_at_1 is row.evidence_token_f1 is None
    assert row.tuned is not None
    assert row.tuned.precision is None


def test_evaluation_does_not_depend_on_the_order_of_predictions():
    gold, predicted = sample_posts(30, 4)
    assert evaluate(gold, predicted[::-1], CODES, None, bootstrap=20) == evaluate(
        gold, predicted, CODES, None, bootstrap=20
    )


def test_evaluation_counts_left_out_pairs():
    gold, predicted = sample_posts(60, 5)
    unaligned = sum(sum(g.unaligned) for g in gold)
    evaluation = evaluate(gold, predicted, CODES, None, bootstrap=0)
    assert unaligned > 0
    assert evaluation.left_out_pairs == unaligned
    assert evaluation.evidence_pairs == sum(sum(g.labels) for g in gold) - unaligned
    assert sum(c.evidence_pairs for c in evaluation.criteria) == evaluation.evidence_pairs


def test_evaluation_shows_published_rows_only_beside_the_nine_criteria():
    gold, predicted = sample_posts(10, 6)
    assert evaluate(gold, predicted, CODES, None, bootstrap=0).published == ()
    nine = tuple(sorted(REDSM5_CODES))

    def widen(values, filler):
        return (*values, *(filler,) * 5)

    wide_gold = [
        replace(
            g,
            labels=widen(g.labels, 0),
            evidence=widen(g.evidence, ()),
            unaligned=widen(g.unaligned, False),
            hard_negatives=widen(g.hard_negatives, ()),
        )
        for g in gold
    ]
    wide = [
        replace(p, probabilities=widen(p.probabilities, 0.1), candidates=widen(p.candidates, ())) for p in predicted
    ]
    published = evaluate(wide_gold, wide, nine, None, bootstrap=0).published
    assert [(p.name, p.f1_micro, p.f1_macro) for p in published][2] == ("BERT", 0.51, 0.36)


def test_evaluation_as_json_holds_no_nan_and_comes_back_equal():
    gold, predicted = sample_posts(20, 7)
    evaluation = evaluate(gold, predicted, CODES, (0.4,) * 4, bootstrap=20)
    text = evaluation.model_dump_json()
    assert "NaN" not in text
    assert type(evaluation).model_validate(json.loads(text)) == evaluation


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [((0.5,), "has 1 values"), ((0.5, 0.5, 0.5, 1.5), "between 0 and 1"), ((float("nan"),) * 4, "between")],
)
def test_evaluate_refuses_impossible_thresholds(thresholds, words):
    gold, predicted = sample_posts(3, 0)
    with pytest.raises(ValueError, match=words):
        evaluate(gold, predicted, CODES, thresholds)


def test_evaluate_refuses_codes_that_do_not_fit():
    gold, predicted = sample_posts(3, 0)
    with pytest.raises(ValueError, match="expected 2"):
        evaluate(gold, predicted, CODES[:2], None)


@pytest.mark.parametrize("seed", [8, 9])
def test_epoch_metrics_are_those_of_the_evaluation(seed):
    gold, predicted = sample_posts(40, seed)
    epoch = epoch_metrics(gold, predicted, CODES)
    scalars = evaluate(gold, predicted, CODES, None, bootstrap=0).scalars()
    assert tuple(epoch) == EPOCH_KEYS
    assert epoch == pytest.approx({key: scalars[key] for key in EPOCH_KEYS})


def test_epoch_metrics_have_the_same_keys_and_no_nan_where_nothing_is_to_score():
    gold, predicted = sample_posts(3, 0)
    bare = [
        replace(g, labels=(0,) * 4, evidence=((),) * 4, unaligned=(False,) * 4, hard_negatives=((),) * 4) for g in gold
    ]
    epoch = epoch_metrics(bare, predicted, CODES)
    assert tuple(epoch) == EPOCH_KEYS
    assert all(np.isfinite(v) for v in epoch.values())
    assert (epoch["f1_macro"], epoch["auprc_macro"], epoch["hit_at_1"]) == (0.0, 0.0, 0.0)


def test_author_weights_draw_whole_authors_with_replacement():
    authors = ["a", "b", "a", "c", "b"]
    weights = author_weights(authors, 200, seed=1)
    assert weights.shape == (200, 5)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(1), 3)
    np.testing.assert_array_equal(weights, author_weights(authors, 200, seed=1))
    assert (weights != author_weights(authors, 200, seed=2)).any()
    assert abs(weights.mean() - 1) < 0.1


def test_intervals_equal_a_bootstrap_that_repeats_the_posts_of_drawn_authors():
    gold, predicted = sample_posts(30, 10)
    thresholds = (0.4, 0.4, 0.6, 0.5)
    intervals = evaluate(gold, predicted, CODES, thresholds, bootstrap=25, seed=3).intervals
    weights = author_weights([g.author for g in gold], 25, seed=3)
    rows = []
    for weight in weights:
        picked = [(i, c) for i, w in enumerate(weight) for c in range(int(w))]
        again = [replace(gold[i], post_id=f"{i}/{c}") for i, c in picked]
        guessed = [replace(predicted[i], post_id=f"{i}/{c}") for i, c in picked]
        rows.append(evaluate(again, guessed, CODES, thresholds, bootstrap=0).scalars())
    for key, interval in intervals.items():
        low, high = np.quantile([row[key] for row in rows], [0.025, 0.975])
        assert (interval.low, interval.high) == pytest.approx((low, high)), key
    assert {"f1_macro", "tuned_f1_micro", "auprc_macro", "hit_at_1", "evidence_token_f1"} <= intervals.keys()
    assert {"end_to_end_hit_at_1", "end_to_end_evidence_token_f1"} <= intervals.keys()


def test_percentile_interval_leaves_out_undefined_resamples():
    assert percentile_interval(np.array([np.nan, 1.0, 3.0]), level=0.5) == (1.5, 2.5)
    assert percentile_interval(np.array([np.nan])) is None
