"""What repeated cross-validation says of a difference, and how sure it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from redsm5.metrics.bootstrap import LEVEL, percentile_interval
from redsm5.metrics.paired import FloatArray


def corrected_interval(values: Sequence[float], folds: int, level: float = LEVEL) -> tuple[float, float] | None:
    """Interval of the mean over refits by the corrected resampled t-test.

    Refits share most of their training posts, so that their values are not independent: the variance of the mean is
    (1/J + n_test/n_train) s^2 rather than s^2/J (Nadeau and Bengio 2003, section 3; Bouckaert and Frank 2004 for
    repeated cross-validation), with J - 1 degrees of freedom. Of k folds n_test/n_train is 1/(k - 1).

    Args:
        values: Of each of J refits.
        folds: k, at least 2.
        level: Coverage.

    Returns:
        Lower and upper end, or None of fewer than two values.
    """
    if len(values) < 2:
        return None
    scale = np.sqrt((1 / len(values) + 1 / (folds - 1)) * np.var(values, ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * scale)
    mean = float(np.mean(values))
    return mean - half, mean + half


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
