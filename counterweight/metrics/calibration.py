"""Calibration of scores: three in ten images with a score of 0.3 should have the label.

Class weights, a weighted sampler and copies make rare labels look more common than they are, so a network's scores rank
images but are no probabilities. Calibrators are fitted to validation images, which have no copies, and keep the order
in which the scores of a label rank images, if labels are calibrated one at a time.

``y_true`` and ``scores`` are those of `counterweight.metrics.per_label`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logit, softmax

from counterweight.metrics.per_label import Scores, Targets, defined_mean
from counterweight.metrics.platt import fit_sigmoid

SIGMOID, SOFTMAX = "sigmoid", "softmax"
N_BINS = 10
# Logistic regression needs five events per variable (E. Vittinghoff and C. McCulloch, "Relaxing the rule of ten events
# per variable in logistic and Cox regression", American Journal of Epidemiology, 2007).
MIN_IMAGES = 5
# Bounds of fitted slopes: they stay positive if scores are higher without the label, and no sigmoid becomes a step.
_MIN_SLOPE, _MAX_SLOPE = 0.01, 10.0
# Weight of squared biases beside the log loss, which decides where the scores do not.
_RIDGE = 1e-4
# The distance of 1 from the largest smaller number. Log-odds of scores nearer to 0 or 1 would be infinite.
_EPSILON = 2.0**-53
_DIGITS = 6  # Stored parameters are rounded, so that the order of sums does not change them.


@dataclass(frozen=True)
class Calibration:
    """Functions from scores to probabilities.

    Attributes
    ----------
    kind : str
        ``sigmoid``: each label's probability is the sigmoid of slope * logit(score) + intercept. ``softmax``: the
        probabilities of all classes are the softmax of slope * log(score) + intercept, so they sum to 1.
    slopes, intercepts : list of float
        One per column of scores. The slopes are positive. All slopes of a ``softmax`` are 1 / temperature.
    """

    kind: str
    slopes: list[float]
    intercepts: list[float]

    def apply(self, scores: Scores) -> NDArray[np.float64]:
        """Return calibrated scores, shape (n_images, n_labels).

        With ``sigmoid``, a label's probabilities have the order of its scores. With ``softmax``, the most probable
        class of an image need not be that with the highest score, which weights and copies have raised.
        """
        transform = _log_odds if self.kind == SIGMOID else _log
        lines = np.array(self.slopes) * transform(scores) + np.array(self.intercepts)
        probabilities: NDArray[np.float64] = expit(lines) if self.kind == SIGMOID else softmax(lines, axis=1)
        return probabilities


def fit_calibration(y_true: Targets, scores: Scores, kind: str) -> Calibration:
    """Fit calibrators to validation images.

    Parameters
    ----------
    y_true, scores
        Arrays of shape (n_images, n_labels).
    kind : str
        ``sigmoid`` or ``softmax``, see `Calibration`.

    Returns
    -------
    Calibration
        With ``sigmoid``, Platt scaling of each label over its known images (J. Platt, "Probabilistic outputs for
        support vector machines", 1999): the slope is fitted to his targets, which count one more image on each side,
        and the intercept makes the mean probability the label's frequency. A label that fewer than `MIN_IMAGES` images
        have, or lack, keeps a slope of 1, as E. Steyerberg et al. recommend for few data ("Validation and updating of
        predictive regression models", Statistics in Medicine, 2004). One that no image has, or lacks, keeps its scores.

        With ``softmax``, the temperature (C. Guo et al., "On calibration of modern neural networks", ICML 2017) and the
        bias of each class (A. Alexandari et al., "Maximum likelihood with bias-corrected calibration is hard-to-beat at
        label shift adaptation", ICML 2020) of the lowest log loss on the images whose classes are known, with one more
        counted as wrong. Biases undo the weights of classes, which a temperature alone cannot. A class of fewer than
        `MIN_IMAGES` images has none; with fewer than twice as many images, all scores stay.
    """
    if kind == SOFTMAX:
        slope, biases = _temperature_and_biases(y_true, scores)
        return Calibration(SOFTMAX, [slope] * scores.shape[1], biases)
    lines = [_platt_line(target, score) for target, score in zip(y_true.T, scores.T, strict=True)]
    return Calibration(SIGMOID, [slope for slope, _ in lines], [intercept for _, intercept in lines])


def brier_score(y_true: Targets, scores: Scores) -> float | None:
    """Mean squared difference between scores and labels over all known cells; None if there are none.

    0 is perfect. G. Brier ("Verification of forecasts expressed in terms of probability", Monthly Weather Review, 1950)
    sums over the classes of an image, so with one class per image his score is this one times the number of classes. In
    a binary task whose two scores sum to 1, this is the mean over the images of either class.

    Examples
    --------
    >>> brier_score(np.array([[1, 0], [0, -1]]), np.array([[0.5, 0.0], [0.5, 0.9]]))
    0.16666666666666666
    """
    known = y_true >= 0
    return float(((scores[known] - y_true[known]) ** 2).mean()) if known.any() else None


def expected_calibration_error(y_true: Targets, scores: Scores, n_bins: int = N_BINS) -> float | None:
    """Mean distance between scores and frequencies in equal-mass bins of each label, averaged over labels.

    This is the adaptive calibration error of J. Nixon et al. ("Measuring calibration in deep learning", CVPR Workshops
    2019), since bins of equal width hold hardly any image of a rare label. C. Guo et al. (ICML 2017) look only at the
    class with the highest score, which multilabel data do not have. Few images per bin raise it, even if all scores are
    right.

    Returns
    -------
    float or None
        From 0, which is perfect, to 1; None if no cell is known.
    """
    errors = [_error(target, score, n_bins) for target, score in zip(y_true.T, scores.T, strict=True)]
    return defined_mean(np.array(errors))


def calibration_metrics(y_true: Targets, probabilities: Scores) -> dict[str, float | None]:
    """Return the errors of calibrated scores, for a metrics file."""
    return {
        "calibrated_brier": brier_score(y_true, probabilities),
        "calibrated_error": expected_calibration_error(y_true, probabilities),
    }


def reliability_table(y_true: Targets, scores: Scores, n_bins: int = N_BINS) -> pd.DataFrame:
    """Tabulate observed frequencies against scores, for a reliability diagram.

    Parameters
    ----------
    y_true, scores
        Arrays of shape (n_images, n_labels); the known cells of all labels are pooled.
    n_bins : int
        Number of bins with equally many cells. Equal scores share a bin, so there may be fewer.

    Returns
    -------
    pandas.DataFrame
        One row per bin in ascending order: ``score``, the mean; ``frequency``, the fraction of cells with the label;
        and ``cells``, their number. Scores are calibrated where the first two are equal.

    Examples
    --------
    >>> reliability_table(np.array([[0, 0], [1, 1], [-1, -1]]), np.array([[0.1, 0.2], [0.9, 0.8], [0.5, 0.5]]), 2)
       score  frequency  cells
    0   0.15        0.0      2
    1   0.85        1.0      2
    """
    known = y_true >= 0
    target, score = y_true[known], scores[known].astype(np.float64)
    ranks = pd.Series(score).rank().to_numpy()  # Equal scores share their mean rank, and so a bin.
    bins = (ranks - 0.5) * n_bins // max(len(score), 1)
    table = pd.DataFrame({"score": score, "frequency": target.astype(np.float64)}).groupby(bins)
    return table.mean().assign(cells=table.size()).reset_index(drop=True)


def _error(y_true: Targets, scores: Scores, n_bins: int) -> float:
    """Return the error of one label, from arrays of shape (n_images,); NaN if no cell is known."""
    table = reliability_table(y_true, scores, n_bins)
    if table.empty:
        return np.nan
    return float(np.average((table["score"] - table["frequency"]).abs(), weights=table["cells"]))


def _log_odds(scores: Scores) -> NDArray[np.float64]:
    odds: NDArray[np.float64] = logit(np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON))
    return odds


def _log(scores: Scores) -> NDArray[np.float64]:
    logarithms: NDArray[np.float64] = np.log(np.clip(scores.astype(np.float64), _EPSILON, 1))
    return logarithms


def _platt_line(y_true: Targets, scores: Scores) -> tuple[float, float]:
    """Return the slope and the intercept of one label, from arrays of shape (n_images,)."""
    known = y_true >= 0
    positive, odds = y_true[known] == 1, _log_odds(scores[known])
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not min(n_positive, n_negative):
        return 1.0, 0.0
    slope = 1.0
    if min(n_positive, n_negative) >= MIN_IMAGES:
        target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
        # An image counts as one with the label and as one without it, by its target.
        weights = np.concatenate([target, 1 - target]) / len(target)
        fitted, _ = fit_sigmoid(np.tile(odds, 2), np.repeat([1, 0], len(target)), weights)
        slope = round(float(np.clip(fitted, _MIN_SLOPE, _MAX_SLOPE)), _DIGITS)
    from scipy.optimize import brentq  # It takes a fifth of a second that stages without calibration need not wait.

    frequency, farthest = positive.mean(), 2 * _MAX_SLOPE * -np.log(_EPSILON)
    intercept = brentq(lambda shift: expit(slope * odds + shift).mean() - frequency, -farthest, farthest)
    return slope, round(float(intercept), _DIGITS)


def _temperature_and_biases(y_true: Targets, scores: Scores) -> tuple[float, list[float]]:
    """Return 1 / temperature, and the bias of each class."""
    known = (y_true >= 0).all(axis=1)
    n_images, n_classes = int(known.sum()), y_true.shape[1]
    if n_images < 2 * MIN_IMAGES or n_classes < 2:
        return 1.0, [0.0] * n_classes
    from scipy.optimize import minimize

    wrong = 1 / (n_images + 2)
    target = np.where(y_true[known] == 1, 1 - wrong, wrong / (n_classes - 1))
    logarithms, has_bias = _log(scores[known]), (y_true[known] == 1).sum(axis=0) >= MIN_IMAGES

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, biases = np.exp(parameters[0]), parameters[1:] * has_bias
        logits = log_softmax(slope * logarithms + biases, axis=1)
        error = (np.exp(logits) - target) / n_images
        gradient = np.concatenate([[slope * (error * logarithms).sum()], error.sum(axis=0) + 2 * _RIDGE * biases])
        value = -(target * logits).sum() / n_images + _RIDGE * (biases**2).sum()
        return float(value), gradient * np.concatenate([[1], has_bias])

    bounds = [tuple(np.log([_MIN_SLOPE, _MAX_SLOPE])), *[(None, None)] * n_classes]
    options = {"ftol": 1e-14, "gtol": 1e-10, "maxiter": 1000}
    fitted = minimize(loss, np.zeros(1 + n_classes), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return round(float(np.exp(fitted[0])), _DIGITS), np.round(fitted[1:] * has_bias, _DIGITS).tolist()
