"""The linear probe: logistic regression on features, for several labels at once or for one of several classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

_MAX_ITERATIONS = 300
# Relative change of the loss at which a fit has converged; smaller values change no third digit of macro F1.
_TOLERANCE = 1e-6
# Least p (1 - p) of a label, so that the steps of one that hardly any image has stay bounded.
_MIN_VARIANCE = 1e-3

Features = NDArray[np.float32]


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    Attributes
    ----------
    coefficients : array of float, shape (n_features + 1, n_labels)
        The last row is the intercepts.
    is_single_label : bool
        Whether scores are a softmax over classes, or a sigmoid per label.
    """

    coefficients: NDArray[np.float64]
    is_single_label: bool

    def scores(self, features: Features) -> NDArray[np.float64]:
        """Return scores from 0 to 1, shape (n_images, n_labels)."""
        logits = _logits(features, self.coefficients)
        scores: NDArray[np.float64] = softmax(logits, axis=1) if self.is_single_label else expit(logits)
        return scores

    def unrotated(self, axes: Features) -> "LinearProbe":
        """Return the probe that gives features the scores that this one gives ``features @ axes``."""
        coefficients = np.vstack([axes @ self.coefficients[:-1], self.coefficients[-1:]])
        return LinearProbe(coefficients, self.is_single_label)


def fit_linear_probe(
    features: Features,
    y_true: NDArray[np.integer],
    weights: NDArray[np.float64],
    *,
    penalty: float | NDArray[np.float64],
    is_single_label: bool,
    start: LinearProbe | None = None,
) -> LinearProbe:
    """Fit a probe by L-BFGS.

    It minimizes, for each label, the weighted mean log loss plus penalty / 2 times the squared norm of its
    coefficients. With n images of weight 1, this is scikit-learn's ``LogisticRegression(C=1 / (penalty * n))``, for all
    labels in one matrix product. Each coefficient is scaled by the loss's curvature where all scores are the label's
    frequency (J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd ed., 2006, section 7.2), which takes a
    third of the steps or fewer for features along `principal_axes`.

    Parameters
    ----------
    features : array of float32, shape (n_images, n_features)
        Standardized.
    y_true : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    weights : array of float, shape (n_images, n_labels)
        Weight of each cell, 0 for unknown ones; for classes, equal over an image's cells.
    penalty : float or array of float, shape (n_labels,)
        Strength of the penalty, above 0, of all labels or of each.
    is_single_label : bool
        Whether an image has exactly one of the labels.
    start : LinearProbe, optional
        Where to start from: the solution is the same, and found sooner.
    """
    shape = (features.shape[1] + 1, y_true.shape[1])
    positive = (y_true == 1).astype(np.float64)
    totals = weights.sum(axis=0)
    weights = weights / np.where(totals > 0, totals, 1)
    weighted_positive = weights * positive
    scales = _scales(features, weighted_positive.sum(axis=0), penalty)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        coefficients = flat.reshape(shape) * scales
        logits = _logits(features, coefficients)
        if is_single_label:
            log_scores = log_softmax(logits, axis=1)
            loss = -(weighted_positive * log_scores).sum()
            scores = np.exp(log_scores)
        else:
            # One exponential for the loss, log(1 + exp(logit)), and for the score.
            small = np.exp(-np.abs(logits))
            loss = (weights * (np.maximum(logits, 0) + np.log1p(small)) - weighted_positive * logits).sum()
            scores = np.where(logits >= 0, 1.0, small) / (1 + small)
        residuals = weights * scores - weighted_positive
        slopes = penalty * coefficients
        slopes[-1] = 0
        gradient = np.vstack([features.T @ residuals.astype(np.float32), residuals.sum(axis=0)]) + slopes
        return float(loss + (slopes * coefficients).sum() / 2), (gradient * scales).ravel()

    begin = np.zeros(shape) if start is None else start.coefficients / scales
    options = {"maxiter": _MAX_ITERATIONS, "ftol": _TOLERANCE, "gtol": 0.0, "maxcor": 10}
    result = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options=options)
    return LinearProbe(result.x.reshape(shape) * scales, is_single_label)


def _scales(
    features: Features, frequencies: NDArray[np.float64], penalty: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return 1 / sqrt(curvature) of each coefficient and intercept, shape (n_features + 1, n_labels)."""
    variances = np.maximum(frequencies * (1 - frequencies), _MIN_VARIANCE)
    squares = np.einsum("ij,ij->j", features, features, dtype=np.float64) / max(len(features), 1)
    return np.vstack([1 / np.sqrt(squares[:, None] * variances + penalty), 1 / np.sqrt(variances)])


def log_loss(scores: NDArray[np.float64], y_true: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the mean log loss of the known cells of each label, shape (n_labels,); 0 for one without known cells.

    Parameters
    ----------
    scores : array of float, shape (n_images, n_labels)
        From 0 to 1.
    y_true : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    """
    right = np.where(y_true == 1, scores, 1 - scores).clip(min=1e-12)
    known = y_true >= 0
    loss: NDArray[np.float64] = -(known * np.log(right)).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return loss


def standardize(features: Features, reference: Features) -> Features:
    """Scale each feature as gives those of the reference mean 0 and standard deviation 1; a constant one becomes 0."""
    mean, std = reference.mean(axis=0, dtype=np.float64), reference.std(axis=0, dtype=np.float64)
    scaled: Features = ((features - mean) * np.where(std > 0, 1 / np.where(std > 0, std, 1), 0)).astype(np.float32)
    return scaled


def principal_axes(features: Features) -> Features:
    """Return axes, shape (n_features, n_features), along which features do not correlate: ``features @ axes``.

    They are orthonormal, so that a penalty on the squared norm of coefficients is the same along them.
    """
    _, axes = np.linalg.eigh((features.T @ features).astype(np.float64))
    return np.asarray(axes, dtype=np.float32)


def cell_weights(
    targets: NDArray[np.integer], weights: NDArray[np.float64], *, balanced: bool, is_single_label: bool
) -> NDArray[np.float64]:
    """Return the weight of each cell of targets: that of its image, times N / count of its class or value if balanced.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown, which weighs nothing.
    weights : array of float, shape (n_images,)
        Weight of each image.
    balanced : bool
        Whether all classes, or both values of each label, weigh the same.
    is_single_label : bool
        Whether an image has exactly one of the labels.
    """
    known: NDArray[np.float64] = (targets >= 0) * weights[:, None]
    if not balanced:
        return known
    positive, negative = ((known * (targets == value)).sum(axis=0) for value in (1, 0))
    if is_single_label:
        by_class = positive.sum() / (len(positive) * np.maximum(positive, 1))
        known *= ((targets == 1) @ by_class)[:, None]
    else:
        total = (positive + negative) / 2
        known *= np.where(targets == 1, total / np.maximum(positive, 1), total / np.maximum(negative, 1))
    return known


def _logits(features: Features, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = features @ coefficients[:-1].astype(np.float32) + coefficients[-1]
    return logits
