"""Confidence intervals for differences over repeated cross-validation, and tests of several such differences.

C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52 (2003), 239-281: the folds share
train images, so the usual t-test finds differences where there are none. S. Holm, "A simple sequentially rejective
multiple test procedure", Scandinavian Journal of Statistics 6 (1979), 65-70.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """A mean difference over folds: its value, the ends of its 95 % confidence interval, and its two-sided p-value."""

    value: float
    low: float
    high: float
    p_value: float


def corrected_difference(differences: NDArray[np.float64], n_folds: int) -> Difference:
    """Test a mean difference by the corrected resampled t-test.

    The variance of the mean is (1 / J + n_test / n_train) times the variance over the J folds of all repeats (Nadeau
    and Bengio, section 5), and n_test / n_train is 1 / (n_folds - 1).

    Parameters
    ----------
    differences : array of float, shape (n_repeats * n_folds,)
        Paired differences, one per fold; fewer than two of them give NaN.
    n_folds : int
        Folds per repeat.

    Examples
    --------
    >>> result = corrected_difference(np.array([0.02, 0.04, 0.03, 0.05, 0.01]), n_folds=5)
    >>> round(result.value, 4), round(result.low, 4), round(result.high, 4), round(result.p_value, 4)
    (0.03, 0.0006, 0.0594, 0.0474)
    """
    count = len(differences)
    if count < 2:
        return Difference(np.nan, np.nan, np.nan, np.nan)
    mean = float(differences.mean())
    error = float(np.sqrt((1 / count + 1 / (n_folds - 1)) * differences.var(ddof=1)))
    if error == 0:
        return Difference(mean, mean, mean, float(mean == 0))
    half = float(stats.t.ppf(0.975, count - 1)) * error
    return Difference(mean, mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, count - 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, as Holm does.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order, adjusted, highest = np.argsort(p_values, kind="stable"), [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min((len(p_values) - rank) * p_values[i], 1.0))
        adjusted[i] = highest
    return adjusted
