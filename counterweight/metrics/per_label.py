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
    """Area under the ROC curve of each label; NaN unless images with and without it are known."""
    from sklearn.metrics import roc_auc_score

    return _by_label(roc_auc_score, y_true, scores, required={0, 1})


def average_precisions(y_true: Targets, scores: Scores) -> NDArray[np.float64]:
    """Average precision of each label, whose mean is mAP; NaN for a label that no image has."""
    from sklearn.metrics import average_precision_score

    return _by_label(average_precision_score, y_true, scores, required={1})


def defined_mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean without NaNs; None if nothing remains."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else None


def _by_label(
    metric: Callable[[Targets, Scores], float], y_true: Targets, scores: Scores, required: set[int]
) -> NDArray[np.float64]:
    """Evaluate each label on its known cells; NaN unless all required values occur among them."""
    columns = [(target[target >= 0], score[target >= 0]) for target, score in zip(y_true.T, scores.T, strict=True)]
    return np.array([metric(*column) if required <= set(column[0].tolist()) else np.nan for column in columns])
