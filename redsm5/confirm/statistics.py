"""What repeated cross-validation says of a value or a difference, and how sure it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from redsm5.datamodules.split import Split
from redsm5.metrics.bootstrap import LEVEL, percentile_interval
from redsm5.metrics.paired import FloatArray


def posts_ratio(splits: Iterable[Split]) -> float:
    """Posts tested to posts trained on, over all folds; those that choose the epoch are neither."""
    pairs = [(len(split.test), len(split.train)) for split in splits]
    return sum(test for test, _ in pairs) / sum(train for _, train in pairs)


def corrected_interval(
    values: Sequence[float], test_to_training: float, level: float = LEVEL
) -> tuple[float, float] | None:
    """Interval of a mean over refits by the corrected resampled t-test.

    Refits share training posts, so that their values are not independent: the variance of the mean is
    (1/J + n_test/n_train) s^2 rather than s^2/J (Nadeau and Bengio 2003, section 3; Bouckaert and Frank 2004 for
    repeated cross-validation), with J - 1 degrees of freedom.

    Args:
        values: Of each of J refits: of one candidate, or differences of two with the same seed and fold.
        test_to_training: n_test/n_train. Where all posts of the other k - 1 folds are trained on it is 1/(k - 1);
            where some of them choose the epoch instead it is more.
        level: Coverage.

    Returns:
        Lower and upper end, or None of fewer than two values.
    """
    if len(values) < 2:
        return None
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * _error(values, test_to_training)
    mean = float(np.mean(values))
    return mean - half, mean + half


def corrected_p(differences: Sequence[float], test_to_training: float) -> float | None:
    """Two-sided p-value of the same test that the mean is 0.

    Args:
        differences: Of each of J pairs of refits.
        test_to_training: As for ``corrected_interval``.

    Returns:
        None of fewer than two differences; 1 where all are 0.
    """
    if len(differences) < 2:
        return None
    mean, error = abs(float(np.mean(differences))), _error(differences, test_to_training)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(mean / error, len(differences) - 1))


def _error(values: Sequence[float], test_to_training: float) -> float:
    return float(np.sqrt((1 / len(values) + test_to_training) * np.var(values, ddof=1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family of tests, corrected so that a true null is rejected in at most a share alpha of families.

    Holm (1979): the i-th smallest of m is multiplied by m - i + 1, and none is below one before it.

    Args:
        p_values: In any order.
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = least
    return corrected


def bootstrap_p(differences: FloatArray) -> float:
    """Two-sided p-value of a bootstrapped difference: twice the smaller tail beyond 0, at least 2 / (B + 1).

    Davison and Hinkley (1997), section 4.4: (1 + #) / (B + 1) of each tail.

    Args:
        differences: [B].
    """
    resamples = len(differences)
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, 2 * (1 + tail) / (resamples + 1)))


def difference_interval(differences: FloatArray) -> tuple[float, float]:
    """Percentile interval of a bootstrapped difference.

    Args:
        differences: [B], B > 0, all defined.
    """
    found = percentile_interval(differences)
    assert found is not None
    return found
