"""What a combination learns."""

import numpy as np
import pytest
from ensemble_samples import made_gold, made_model
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from redsm5.ensemble.combination import Combination, probabilities_of
from redsm5.ensemble.fitting import AGREEMENTS, fit_combination
from redsm5.metrics.evaluate import evaluate
from redsm5.metrics.thresholds import fit_thresholds
from redsm5.modules.decoding import SpanDecoding

DECODING = SpanDecoding()
METHODS = [("mean", "equal"), ("mean", "fitted"), ("mean", "greedy"), ("rank", "equal"), ("rank", "greedy")]


@pytest.fixture(scope="module")
def gold():
    return made_gold(80, 3)


@pytest.fixture(scope="module")
def models(gold):
    return [made_model(gold, seed, noise=noise) for seed, noise in ((1, 1.5), (2, 2.0), (3, 4.0))]


def fit(gold, models, combine, weighting):
    return fit_combination(gold, models, combine=combine, weighting=weighting, decoding=DECODING)


def test_equal_mean_is_the_mean_of_probabilities(gold, models):
    combination, thresholds = fit(gold, models, "mean", "equal")
    combined = combination(models)
    expected = np.mean(probabilities_of(models), axis=0)
    assert np.array([post.probabilities for post in combined]) == pytest.approx(expected)
    assert [post.post_id for post in combined] == [post.post_id for post in gold]
    assert thresholds == fit_thresholds(gold, combined)


def test_fitted_weights_prefer_the_better_model(gold, models):
    weights = fit(gold, models, "mean", "fitted")[0].weights
    assert weights[0] > weights[2]
    assert sum(weights) == pytest.approx(1)


def test_greedy_weights_are_not_worse_than_any_model_where_they_were_learned(gold, models):
    combination, _ = fit(gold, models, "mean", "greedy")

    def precision(probabilities):
        labels = np.array([post.labels for post in gold])
        return average_precision_score(labels, probabilities, average="macro")

    pooled = combination.probabilities(probabilities_of(models))
    assert precision(pooled) >= max(map(precision, probabilities_of(models))) - 1e-12


def test_ranks_order_posts_by_their_mean_rank(gold, models):
    combination, _ = fit(gold, models, "rank", "equal")
    given = probabilities_of(models)
    expected = np.mean([[rankdata(column) for column in of_model.T] for of_model in given], axis=0).T
    pooled = combination.probabilities(given)
    for k in range(3):
        assert rankdata(pooled[:, k].round(9)) == pytest.approx(rankdata(expected[:, k].round(6)))


def test_ranks_do_not_see_how_sure_a_model_is(gold, models):
    """A model whose logits are three times as large and shifted changes nothing but the mean."""
    loud = [made_model(gold, 1, noise=4.5, sharpness=6.0, offset=3.0), *models[1:]]
    quiet, loudly = (fit(gold, given, "rank", "equal")[0](given) for given in (models, loud))
    apart = np.abs(np.subtract([p.probabilities for p in quiet], [p.probabilities for p in loudly])).max()
    assert apart < 1e-3
    quiet, loudly = (fit(gold, given, "mean", "equal")[0](given) for given in (models, loud))
    assert np.abs(np.subtract([p.probabilities for p in quiet], [p.probabilities for p in loudly])).max() > 0.1


def test_ranks_of_a_criterion_without_positives_are_improbable():
    gold = made_gold(40, 2, share=0.0)
    combination, _ = fit(gold, [made_model(gold, 1), made_model(gold, 2)], "rank", "equal")
    pooled = combination.probabilities(probabilities_of([made_model(gold, 1), made_model(gold, 2)]))
    assert np.median(pooled) == pytest.approx(1 / 42, abs=0.01)


def test_agreement_is_the_best_for_character_f1(gold, models):
    combination, thresholds = fit(gold, models, "mean", "equal")

    def score(share):
        other = combination.model_copy(update={"agreement": share})
        found = evaluate(gold, other(models), ("a", "b", "c"), thresholds, bootstrap=0)
        return found.scalars()["end_to_end_evidence_char_f1"]

    assert score(combination.agreement) == pytest.approx(max(map(score, AGREEMENTS)))


@pytest.mark.parametrize(("combine", "weighting"), METHODS)
def test_combination_survives_its_json_to_the_bit(gold, models, combine, weighting):
    combination, _ = fit(gold, models, combine, weighting)
    again = Combination.model_validate_json(combination.model_dump_json())
    assert again(models) == combination(models)


@pytest.mark.parametrize(("combine", "weighting"), METHODS)
def test_combination_without_the_models_of_no_weight_is_the_same(gold, models, combine, weighting):
    combination, _ = fit(gold, models, combine, weighting)
    combination = combination.model_copy(update={"weights": (0.25, 0.0, 0.75)})
    fewer = combination.of([0, 2])
    for one, other in zip(combination(models), fewer([models[0], models[2]]), strict=True):
        assert one.candidates == other.candidates
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-12)


def test_combination_has_the_limits_that_it_was_given(gold, models):
    decoding = SpanDecoding(max_spans=2, nms_iou=0.2, max_characters=50)
    combination, _ = fit_combination(gold, models, combine="mean", weighting="equal", decoding=decoding)
    assert combination.decoding == SpanDecoding(max_spans=2, nms_iou=0.2)


def test_ranks_cannot_be_fitted(gold, models):
    with pytest.raises(ValueError, match="likelihood"):
        fit(gold, models, "rank", "fitted")
