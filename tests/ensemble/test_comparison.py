"""Arms side by side."""

from dataclasses import replace

import numpy as np
import pytest
from ensemble_samples import made_gold, made_model
from sklearn.metrics import average_precision_score, f1_score

from redsm5.datamodules.corpus import Span
from redsm5.ensemble.combination import probabilities_of
from redsm5.ensemble.comparison import Arm, compare, ensemble_arm, judge, model_arm
from redsm5.ensemble.fitting import fit_combination
from redsm5.metrics.bootstrap import author_weights
from redsm5.metrics.criteria import macro_average_precision
from redsm5.metrics.evaluate import evaluate
from redsm5.metrics.evaluation import Interval
from redsm5.metrics.thresholds import fit_thresholds
from redsm5.modules.decoding import SpanDecoding


@pytest.fixture(scope="module")
def gold():
    return made_gold(60, 3)


@pytest.fixture(scope="module")
def folds(gold):
    return np.array([int(post.author[1:]) % 5 for post in gold])


@pytest.fixture(scope="module")
def resamples(gold):
    return author_weights([post.author for post in gold], 200, 0)


def compared(arms, gold, folds, resamples):
    return compare([judge(arm, gold, folds) for arm in arms], resamples)


def test_thresholds_of_a_post_are_those_of_the_other_folds(gold, folds, resamples):
    predicted = made_model(gold, 1, noise=2.0, offset=-2.0)
    (found,) = compared([model_arm("one", "single", [4], gold, predicted)], gold, folds, resamples)
    decided = np.zeros((60, 3), dtype=bool)
    for fold in range(5):
        rest = [i for i in range(60) if folds[i] != fold]
        thresholds = fit_thresholds([gold[i] for i in rest], [predicted[i] for i in rest])
        for i in np.flatnonzero(folds == fold):
            decided[i] = np.array(predicted[i].probabilities) >= thresholds
    labels = np.array([post.labels for post in gold])
    assert found.scores["tuned_f1_macro"] == pytest.approx(f1_score(labels, decided, average="macro"))
    half = np.array([post.probabilities for post in predicted]) >= 0.5
    assert found.scores["f1_macro"] == pytest.approx(f1_score(labels, half, average="macro"))
    ends = found.intervals["f1_macro"]
    assert ends.low < found.scores["f1_macro"] < ends.high


def test_nothing_is_learned_of_the_fold_that_is_judged(gold, folds, resamples):
    seen = []

    def learn(places):
        seen.append(set(places.tolist()))
        predicted = made_model(gold, 1)
        return lambda asked: (seen.append(set(asked.tolist())), [predicted[i] for i in asked])[1], (0.5,) * 3

    compared([Arm("one", "single", (0,), (1.0,), learn)], gold, folds, resamples)
    asked, learned = seen[1::2], seen[0::2]  # the arm is asked right after it has learned
    assert sorted(i for places in asked for i in places) == list(range(60))
    for of, judged in zip(learned, asked, strict=True):
        assert not of & judged
        assert of | judged == set(range(60))


def test_gains_are_paired_and_relative_to_the_first(gold, folds, resamples):
    good, bad = made_model(gold, 1, noise=1.0), made_model(gold, 2, noise=6.0)
    arms = [model_arm("bad", "single", [0], gold, bad), model_arm("good", "single", [1], gold, good)]
    first, second = compared(arms, gold, folds, resamples)
    assert first.gains["f1_macro"] == 0
    assert (first.gain_intervals["f1_macro"].low, first.gain_intervals["f1_macro"].high) == (0, 0)
    assert second.gains["f1_macro"] == pytest.approx(second.scores["f1_macro"] - first.scores["f1_macro"])
    assert second.gain_intervals["f1_macro"].low > 0


def test_an_ensemble_of_models_that_err_apart_is_better_than_any(gold, folds, resamples):
    models = [made_model(gold, seed, noise=2.5) for seed in range(5)]
    singles = [model_arm(f"{i}", "single", [i], gold, model) for i, model in enumerate(models)]
    arms = [*singles, ensemble_arm("mean", "equal", range(5), gold, models, SpanDecoding())]
    found = compared(arms, gold, folds, resamples)
    assert found[-1].scores["fold_auprc_macro"] > max(one.scores["fold_auprc_macro"] for one in found[:-1])
    assert found[-1].weights == pytest.approx((0.2,) * 5)


def test_ranking_is_of_the_posts_of_a_fold(gold, folds, resamples):
    """A scale of each fold's own, as what is learned anew for each gives it, changes nothing."""
    predicted = made_model(gold, 1, noise=2.0)

    def scaled(places):
        (fold,) = set(folds[places].tolist())
        return [
            replace(predicted[i], probabilities=tuple(p / (1 + fold) for p in predicted[i].probabilities))
            for i in places
        ]

    arms = [
        model_arm("as it is", "single", [0], gold, predicted),
        Arm("scaled", "ensemble", (0,), (1.0,), lambda _: (scaled, (0.5,) * 3)),
    ]
    plain, other = compared(arms, gold, folds, resamples)
    assert other.scores["fold_auprc_macro"] == plain.scores["fold_auprc_macro"]
    assert other.gain_intervals["fold_auprc_macro"] == Interval(low=0, high=0)
    labels, probabilities = (
        np.array(values) for values in ([g.labels for g in gold], [p.probabilities for p in predicted])
    )
    expected = [
        np.mean(
            [
                average_precision_score(labels[folds == fold, k], probabilities[folds == fold, k])
                for fold in range(5)
                if labels[folds == fold, k].any()
            ]
        )
        for k in range(3)
    ]
    assert plain.scores["fold_auprc_macro"] == pytest.approx(np.mean(expected))


def test_ranking_leaves_out_folds_without_a_positive():
    gold = made_gold(40, 1, share=0.0)
    gold[3] = replace(gold[3], labels=(1,), evidence=((Span(0, 8),),))
    folds = np.array([int(post.author[1:]) % 5 for post in gold])
    arm = model_arm("one", "single", [0], gold, made_model(gold, 1, sharpness=9.0))
    (found,) = compared([arm], gold, folds, np.ones((1, 40)))
    assert found.scores["fold_auprc_macro"] == 1


def test_a_single_model_has_its_margin_from_the_other_folds_as_an_ensemble_has(gold, folds, resamples):
    """Spans whose margins are all 2.5 too low are found: a trial is not beaten by a cut-off that it may not move."""
    right = made_model(gold, 1, sharpness=3.0)
    low = [
        replace(post, candidates=tuple(tuple(replace(s, score=s.score - 2.5) for s in c) for c in post.candidates))
        for post in right
    ]
    arms = [
        model_arm("right", "single", [0], gold, right),
        model_arm("low", "single", [1], gold, low),
        ensemble_arm("mean", "equal", [1, 1], gold, [low, low], SpanDecoding()),
    ]
    key = "end_to_end_evidence_char_f1"
    scores = [one.scores[key] for one in compared(arms, gold, folds, resamples)]
    assert evaluate(gold, low, ("a", "b", "c"), None, bootstrap=0).scalars()[key] < scores[0] - 0.05
    assert scores[1] == pytest.approx(scores[0], abs=0.03)
    assert scores[2] == scores[1]


def test_evaluation_has_the_decisions_of_the_folds_and_the_thresholds_it_is_given(gold, folds, resamples):
    arm = model_arm("one", "single", [4], gold, made_model(gold, 1, noise=2.0, offset=-2.0))
    judged = judge(arm, gold, folds)
    found = judged.evaluation(("a", "b", "c"), (0.1, 0.2, 0.3), bootstrap=0, seed=0)
    scores = judged.scores(np.ones((1, 60)))
    assert [one.threshold for one in found.criteria] == [0.1, 0.2, 0.3]
    assert found.auprc_macro == pytest.approx(scores["fold_auprc_macro"][0])
    assert np.mean([one.auprc for one in found.criteria]) == pytest.approx(found.auprc_macro)
    assert np.mean([one.tuned.f1 for one in found.criteria]) == pytest.approx(scores["tuned_f1_macro"][0])
    assert found.scalars()["end_to_end_evidence_char_f1"] == pytest.approx(scores["end_to_end_evidence_char_f1"][0])


SHARES = np.array([328, 124, 44, 102, 35, 124, 311, 59, 165]) / 1484
"""How frequent the criteria of ReDSM5 are."""
FIVE = [(3.2, 2.0, -1.0), (3.5, 2.0, -1.0), (6.5, 4.0, -2.0), (1.7, 1.0, -0.5), (4.0, 2.0, 0.0)]
"""Noise, sharpness and offset of models that are sure and unsure in different ways."""


@pytest.mark.slow
def test_ranking_within_folds_tells_what_that_of_all_posts_together_does_not():
    """Ranks that are learned anew for each fold order new posts better than probabilities do, and each fold too."""
    together, within, new = [], [], []
    for seed in range(8):
        gold, later = made_gold(220, 9, seed, share=SHARES), made_gold(2500, 9, 10_000 + seed, share=SHARES)
        folds = np.array([int(post.author[1:]) % 5 for post in gold])
        models, others = (
            [
                [replace(post, candidates=((),) * 9) for post in made_model(posts, 100 * seed + first + i, **kind)]
                for i, kind in enumerate(dict(zip(("noise", "sharpness", "offset"), one, strict=True)) for one in FIVE)
            ]
            for posts, first in ((gold, 0), (later, 50))
        )
        arms = [ensemble_arm(combine, "equal", range(5), gold, models, SpanDecoding()) for combine in ("mean", "rank")]
        judged = [judge(arm, gold, folds) for arm in arms]
        seen = np.flatnonzero(folds != 0)
        whole = [
            fit_combination(
                [gold[i] for i in seen], [[posts[i] for i in seen] for posts in models],
                combine=combine, weighting="equal", decoding=SpanDecoding(),
            )[0].probabilities(probabilities_of(others))
            for combine in ("mean", "rank")
        ]  # fmt: skip
        labels = np.array([post.labels for post in later], dtype=bool)
        ours = [one.scores(np.ones((1, 220)))["fold_auprc_macro"][0] for one in judged]
        pooled = [macro_average_precision(one.paired.labels, one.paired.probabilities)[0] for one in judged]
        truth = [macro_average_precision(labels, probabilities)[0] for probabilities in whole]
        for gains, (mean, rank) in zip((together, within, new), (pooled, ours, truth), strict=True):
            gains.append(rank - mean)
    gains = [float(np.mean(values)) for values in (together, within, new)]
    assert gains == pytest.approx([-0.021, 0.018, 0.023], abs=0.002)  # docs/ensemble.md
