"""Thresholds from a sigmoid that is fitted to all validation scores.

The threshold that is best on validation depends on the few scores nearest to it: with nine images of a rare label, on
one or two. A sigmoid of the scores' log-odds (J. Platt, "Probabilistic outputs for support vector machines", Advances
in Large Margin Classifiers, 1999) depends on all of them. When the images with a label weigh as much as those without,
it crosses one half at the threshold of the best balanced accuracy (A. Menon et al., "On the statistical consistency of
algorithms for binary classification under class imbalance", ICML 2013).

``y_true`` and ``scores`` are those of `counterweight.metrics.per_label`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from counterweight.metrics.per_label import Scores, Targets

# Nearly none: it only keeps the sigmoid from becoming a step where no scores overlap.
_REGULARIZATION = 1e-6
# Scores are clipped, since softmax in float32 returns exact zeros and ones.
_EPSILON = 1e-6
# Of the gradient; Newton's steps end far below it.
_TOLERANCE = 1e-10


def platt_threshold(y_true: Targets, scores: Scores) -> float:
    """Return one threshold for all labels, each of which has the same weight.

    Returns
    -------
    float
        0.5 if no label has known images on both sides, or if higher scores do not go with the labels.
    """
    weights = np.zeros(y_true.shape)
    for side in (0, 1):
        count = (y_true == side).sum(axis=0)
        weights += (y_true == side) / np.maximum(count, 1) / 2
    has_both = (y_true == 1).any(axis=0) & (y_true == 0).any(axis=0)
    used = (y_true >= 0) & has_both
    if not used.any():
        return 0.5
    clipped = np.clip(scores[used].astype(np.float64), _EPSILON, 1 - _EPSILON)
    slope, intercept = fit_sigmoid(np.log(clipped / (1 - clipped)), y_true[used], weights[used] / has_both.sum())
    return 0.5 if slope <= 0 else float(1 / (1 + np.exp(intercept / slope)))


def platt_thresholds(y_true: Targets, scores: Scores) -> NDArray[np.float64]:
    """Return one threshold per label, shape (n_labels,)."""
    return np.array([platt_threshold(y_true[:, [j]], scores[:, [j]]) for j in range(y_true.shape[1])])


def fit_sigmoid(log_odds: Scores, y_true: Targets, weights: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a sigmoid by logistic regression.

    Parameters
    ----------
    log_odds, y_true, weights : array, shape (n,)
        Log-odds of scores, known targets, and weights that sum to 1.

    Returns
    -------
    slope, intercept : float
        Of the probability's log-odds as a line over those of the score.
    """
    # SciPy rather than scikit-learn's LogisticRegression, which takes most of a second to import, in each training.
    from scipy.optimize import minimize

    signs = np.where(y_true == 1, -1, 1)

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, intercept = line
        logits = slope * log_odds + intercept
        residuals = weights * (expit(logits) - y_true)
        gradient = np.array([residuals @ log_odds + _REGULARIZATION * slope, residuals.sum()])
        value = weights @ np.logaddexp(0, signs * logits) + _REGULARIZATION * slope**2 / 2
        return float(value), gradient

    def curvature(line: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = expit(line[0] * log_odds + line[1])
        each = weights * scores * (1 - scores)
        mixed = each @ log_odds
        return np.array([[each @ log_odds**2 + _REGULARIZATION, mixed], [mixed, each.sum()]])

    options = {"gtol": _TOLERANCE, "maxiter": 1000}
    slope, intercept = minimize(loss, np.zeros(2), jac=True, hess=curvature, method="trust-exact", options=options).x
    return float(slope), float(intercept)
