"""What is learned of out-of-fold predictions, and that nothing of it is learned of the posts that it is used on."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score

from redsm5.confirm.pooled import mean_scores, out_of_fold, pooled, pooled_value, shipped, weights_of
from redsm5.metrics.records import GoldPost, PredictedPost

RNG = np.random.default_rng(3)
LABELS = RNG.random((90, 2)) < (0.3, 0.5)
SCORES = expit(RNG.normal(size=(90, 2)) + 1.5 * LABELS - 0.5)
FOLD = np.arange(90) % 3


def made(labels, scores, fold):
    """Out-of-fold predictions of posts 0, 1, ..."""
    criteria = labels.shape[1]
    nothing = ((),) * criteria
    gold = [
        GoldPost(f"p{i}", f"a{i}", tuple(map(int, own)), nothing, (False,) * criteria, nothing, (), ())
        for i, own in enumerate(labels)
    ]
    posts = [PredictedPost(f"p{i}", tuple(map(float, own)), nothing) for i, own in enumerate(scores)]
    return out_of_fold(gold, [[posts[i] for i in np.flatnonzero(fold == k)] for k in np.unique(fold)])


def by_platt(labels, scores):
    """Slope and offset by the logistic regression of scikit-learn: each post in both classes, as its target weighs."""
    positives = labels.sum()
    negatives = len(labels) - positives
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    x, y = np.tile(logit(scores), 2)[:, None], np.repeat([1, 0], len(labels))
    found = LogisticRegression(C=1e9, tol=1e-10).fit(x, y, sample_weight=np.concatenate([target, 1 - target]))
    return found.coef_[0, 0], found.intercept_[0]


def test_thresholds_of_a_fold_are_those_of_the_other_one():
    """Five positives shrink the middle of the gap by half: of fold 0 between .4 and .8, of fold 1 between .1 and .6."""
    fold = np.repeat([0, 1], 10)
    labels = np.tile(np.repeat([True, False], 5), 2)[:, None]
    scores = np.repeat([0.8, 0.4, 0.6, 0.1], 5)[:, None]
    first, second = (expit((logit(low) + logit(high)) / 2 / 2) for low, high in ((0.4, 0.8), (0.1, 0.6)))
    one = made(labels, scores, fold)
    assert one.tuned[fold == 0] == pytest.approx(second)
    assert one.tuned[fold == 1] == pytest.approx(first)
    decided = scores >= np.where(fold == 0, second, first)[:, None]
    found = mean_scores([one], np.ones((1, 20)))
    assert found["tuned_f1_macro"][0] == pytest.approx(f1_score(labels[:, 0], decided[:, 0]))


def test_probabilities_of_a_fold_are_calibrated_on_the_others():
    one = made(LABELS, SCORES, FOLD)
    for k in range(2):
        for fold in range(3):
            inside = fold == FOLD
            slope, offset = by_platt(LABELS[~inside, k], SCORES[~inside, k])
            expected = expit(slope * logit(SCORES[inside, k]) + offset)
            assert one.calibrated[inside, k] == pytest.approx(expected, abs=1e-3)
    found = pooled([one], mean_scores([one], weights_of(one.paired.gold, 0)), ("A", "B"))
    brier = [np.mean((one.calibrated[:, k] - LABELS[:, k]) ** 2) for k in range(2)]
    assert found.calibrated_brier_macro == pytest.approx(np.mean(brier))


@pytest.mark.parametrize("fold", range(3))
def test_labels_of_a_fold_move_nothing_that_is_used_on_it(fold):
    """The labels of the fold turned round: what is used on it stays, what is used on the others does not."""
    inside = fold == FOLD
    turned = np.where(inside[:, None], ~LABELS, LABELS)
    before, after = (made(labels, SCORES, FOLD) for labels in (LABELS, turned))
    for name in ("tuned", "calibrated"):
        first, second = getattr(before, name), getattr(after, name)
        assert (first[inside] == second[inside]).all()
        assert (first[~inside] != second[~inside]).any(0).all()


def test_what_is_shipped_is_of_all_folds_and_the_mean_of_the_seeds_in_logits():
    others = expit(logit(SCORES) - 1)
    seeds = [made(LABELS, scores, FOLD) for scores in (SCORES, others)]
    alone = [shipped([one], ("A", "B")) for one in seeds]
    for k, one in enumerate(shipped(seeds, ("A", "B"))):
        assert one.support == LABELS[:, k].sum()
        assert logit(one.threshold) == pytest.approx(np.mean([logit(own[k].threshold) for own in alone]))
        fits = [by_platt(LABELS[:, k], scores[:, k]) for scores in (SCORES, others)]
        assert (one.slope, one.offset) == pytest.approx(tuple(np.mean(fits, axis=0)), abs=2e-3)


def test_rankings_are_of_the_models_that_made_them():
    """Each fold is ranked without a mistake, and models differ in their scale: no mistake either of all together."""
    fold = np.repeat([0, 1, 2], 4)
    labels = np.array([1, 0, 1, 0] * 2 + [0] * 4, dtype=bool)[:, None]
    scores = np.array([0.9, 0.6, 0.8, 0.7, 0.3, 0.1, 0.25, 0.2, 0.5, 0.5, 0.5, 0.5])[:, None]
    assert average_precision_score(labels[:, 0], scores[:, 0]) < 0.9
    one = made(labels, scores, fold)
    assert pooled_value([one], "auprc_macro") == pooled_value([one], "auroc_macro") == 1.0
    [criterion] = one.evaluation(("A",)).criteria
    assert (criterion.auprc, criterion.auroc) == (1.0, 1.0)
    found = mean_scores([one], weights_of(one.paired.gold, 0))["auprc_macro"]
    assert found[~np.isnan(found)] == pytest.approx(1.0)


def test_rankings_of_some_posts_are_means_of_the_folds_where_they_are_defined():
    one = made(LABELS, SCORES, FOLD)
    # Fold 2 has no positive among them, fold 1 none of criterion A.
    kept = np.flatnonzero((FOLD == 0) | ((FOLD == 1) & ~LABELS[:, 0]) | ~LABELS.any(1))
    parts = [kept[FOLD[kept] == fold] for fold in (0, 1)]
    by_hand = [
        np.mean([average_precision_score(LABELS[parts[0], k], SCORES[parts[0], k]) for k in range(2)]),
        average_precision_score(LABELS[parts[1], 1], SCORES[parts[1], 1]),
    ]
    assert pooled_value([one], "auprc_macro", {f"p{i}" for i in kept}) == pytest.approx(np.mean(by_hand))
    none = {f"p{i}" for i in np.flatnonzero(~LABELS.any(1))}
    assert pooled_value([one], "auprc_macro", none) is None
    whole = mean_scores([one, replace(one)], np.ones((1, 90)))["auprc_macro"][0]
    assert whole == pytest.approx(pooled_value([one], "auprc_macro"))
