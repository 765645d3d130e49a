"""Per-label confusion counts, the rates that follow from them, and ranking metrics.

``y_true`` is an array of int, shape (n_images, n_labels): 1 if the image has the label, 0 if not, -1 if unknown.
Classes are such columns too, one-hot. ``scores``, in [0, 1], and the bool ``y_pred`` have the same shape. Unknown cells
are ignored.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Targets = NDArray[np.integer]
Scores = NDArray[np.floating]
Predictions = NDArray[np.bool_]


class LabelRates(NamedTuple):
    """Rates and confusion counts, arrays of shape (n_labels,), in the order of their columns in a table.

    Precision, recall and F1 are 0 where their denominator is 0; the other rates are NaN there. G-mean is the geometric
    mean of sensitivity and specificity (Kubat and Matwin, 1997), and balanced accuracy their arithmetic mean.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    g_mean: NDArray[np.float64]
    balanced_accuracy: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    tn: NDArray[np.int64]
    fn: NDArray[np.int64]


def label_rates(y_true: Targets, y_pred: Predictions) -> LabelRates:
    """Count hits and errors of each label over its known cells.

    Examples
    --------
    >>> rates = label_rates(np.array([[1], [1], [0], [-1]]), np.array([[True], [False], [False], [True]]))
    >>> rates.f1, rates.tn
    (array([0.66666667]), array([1]))
    """
    positive, negative = y_true == 1, y_true == 0
    tp, fn = ((positive & decided).sum(axis=0) for decided in (y_pred, ~y_pred))
    fp, tn = ((negative & decided).sum(axis=0) for decided in (y_pred, ~y_pred))
    precision, recall, f1 = _ratio(tp, tp + fp, 0.0), _ratio(tp, tp + fn, 0.0), _ratio(2 * tp, 2 * tp + fp + fn, 0.0)
    sensitivity, specificity, accuracy = _ratio(tp, tp + fn), _ratio(tn, tn + fp), _ratio(tp + tn, tp + tn + fp + fn)
    g_mean, balanced_accuracy = np.sqrt(sensitivity * specificity), (sensitivity + specificity) / 2
    rates = precision, recall, f1, sensitivity, specificity, g_mean, balanced_accuracy, accuracy
    return LabelRates(*rates, tp, fp, tn, fn)


def as_indicator(y_true: Targets, y_pred: Predictions) -> tuple[NDArray[np.int8], NDArray[np.int8], list[int]]:
    """Return scikit-learn's indicator matrices of targets and predictions, and the columns to evaluate.

    Unknown cells are 0 in both, which affects no metric but those with true negatives. scikit-learn would read a single
    column as the classes 0 and 1, so it gets an empty second one, which is not evaluated.
    """
    positive, predicted = y_true == 1, y_pred & (y_true >= 0)
    columns = list(range(y_true.shape[1]))
    if len(columns) == 1:
        positive, predicted = (np.pad(cells, [(0, 0), (0, 1)]) for cells in (positive, predicted))
    return positive.astype(np.int8), predicted.astype(np.int8), columns


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64], undefined: float = np.nan) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), undefined)


def aucs(y_true: Targets, scores: Scores) -> NDArray[np.float64]:
    """Area under the ROC curve of each label; NaN unless images with and without it are known.

    It is the probability that an image with the label scores higher than one without it, where equal scores count half
    (J. A. Hanley and B. J. McNeil, 1982). scikit-learn's ``roc_auc_score`` gives the same for one label, and takes
    milliseconds to check what it is given: for the probe's thousands of calls, longer than all else.

    Examples
    --------
    Of the four pairs of an image with the label and one without, three are in order, and one is equal.

    >>> aucs(np.array([[1], [1], [0], [0]]), np.array([[0.9], [0.4], [0.4], [0.1]]))
    array([0.875])
    """
    return _by_label(_auc, y_true, scores)


def average_precisions(y_true: Targets, scores: Scores) -> NDArray[np.float64]:
    """Average precision of each label, whose mean is mAP; NaN for a label that no image has.

    It is the mean, over the images with the label, of the precision among all that score at least as high. It is that
    of scikit-learn's ``average_precision_score``.

    Examples
    --------
    >>> average_precisions(np.array([[1], [0], [1]]), np.array([[0.9], [0.8], [0.7]]))  # (1/1 + 2/3) / 2
    array([0.83333333])
    """
    return _by_label(_average_precision, y_true, scores)


def defined_mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean without NaNs; None if nothing remains."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else None


def _by_label(
    metric: Callable[[NDArray[np.int64], NDArray[np.int64]], float], y_true: Targets, scores: Scores
) -> NDArray[np.float64]:
    """Evaluate each label on its known cells, by the result of `_cumulative_counts`."""
    columns = zip(y_true.T, scores.T, strict=True)
    return np.array([metric(*_cumulative_counts(target[target >= 0], score[target >= 0])) for target, score in columns])


def _cumulative_counts(target: Targets, score: Scores) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count images with and without a label, among those whose score is at least each of the distinct scores."""
    if np.isnan(score).any():
        raise ValueError("A score is not a number.")
    order = np.argsort(-score)
    score = score[order]
    last = np.append(score[1:] != score[:-1], True)[: len(score)]  # Of each group of equal scores.
    positive = target[order] == 1
    return np.cumsum(positive)[last], np.cumsum(~positive)[last]


def _auc(tp: NDArray[np.int64], fp: NDArray[np.int64]) -> float:
    if not len(tp) or not tp[-1] or not fp[-1]:
        return np.nan
    # Whole numbers up to the last step, so that nothing is rounded before.
    twice_in_order = (np.diff(fp, prepend=0) * (2 * tp - np.diff(tp, prepend=0))).sum()
    return float(twice_in_order / (2 * int(tp[-1]) * int(fp[-1])))


def _average_precision(tp: NDArray[np.int64], fp: NDArray[np.int64]) -> float:
    if not len(tp) or not tp[-1]:
        return np.nan
    return float((np.diff(tp, prepend=0) * tp / (tp + fp)).sum() / tp[-1])
