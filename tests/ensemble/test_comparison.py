"""Arms side by side."""

import numpy as np
import pytest
from ensemble_samples import made_gold, made_model
from sklearn.metrics import f1_score

from redsm5.ensemble.comparison import Arm, compare, ensemble_arm, model_arm
from redsm5.metrics.bootstrap import author_weights
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


def test_thresholds_of_a_post_are_those_of_the_other_folds(gold, folds, resamples):
    predicted = made_model(gold, 1, noise=2.0, offset=-2.0)
    (found,) = compare([model_arm("one", "single", [4], gold, predicted)], gold, folds, resamples)
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

    compare([Arm("one", "single", (0,), (1.0,), learn)], gold, folds, resamples)
    asked, learned = seen[1::2], seen[0::2]  # the arm is asked right after it has learned
    assert sorted(i for places in asked for i in places) == list(range(60))
    for of, judged in zip(learned, asked, strict=True):
        assert not of & judged
        assert of | judged == set(range(60))


def test_gains_are_paired_and_relative_to_the_first(gold, folds, resamples):
    good, bad = made_model(gold, 1, noise=1.0), made_model(gold, 2, noise=6.0)
    arms = [model_arm("bad", "single", [0], gold, bad), model_arm("good", "single", [1], gold, good)]
    first, second = compare(arms, gold, folds, resamples)
    assert first.gains["f1_macro"] == 0
    assert (first.gain_intervals["f1_macro"].low, first.gain_intervals["f1_macro"].high) == (0, 0)
    assert second.gains["f1_macro"] == pytest.approx(second.scores["f1_macro"] - first.scores["f1_macro"])
    assert second.gain_intervals["f1_macro"].low > 0


def test_an_ensemble_of_models_that_err_apart_is_better_than_any(gold, folds, resamples):
    models = [made_model(gold, seed, noise=2.5) for seed in range(5)]
    singles = [model_arm(f"{i}", "single", [i], gold, model) for i, model in enumerate(models)]
    arms = [*singles, ensemble_arm("mean", "equal", range(5), gold, models, SpanDecoding())]
    found = compare(arms, gold, folds, resamples)
    assert found[-1].scores["auprc_macro"] > max(one.scores["auprc_macro"] for one in found[:-1])
    assert found[-1].weights == pytest.approx((0.2,) * 5)
