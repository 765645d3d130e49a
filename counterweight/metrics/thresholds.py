"""Thresholds that are best on validation, in steps of 0.01, by F1 or balanced accuracy.

The best threshold by F1 depends on how common a label is on validation; the one by balanced accuracy, the mean of
sensitivity and specificity, does not.

``y_true`` and ``scores`` are those of `counterweight.metrics.per_label`; ``metric`` is ``f1`` or ``balanced_accuracy``.
If each image has exactly one label, rows with unknown cells are ignored. Ties go to the threshold nearest to 0.5.
"""

import numpy as np
from numpy.typing import NDArray

from counterweight.metrics.per_label import Predictions, Scores, Targets

THRESHOLDS = np.arange(1, 100) / 100
_MAX_ROUNDS = 20  # A bound on the coordinate ascent, which converges in a few rounds.
_Counts = NDArray[np.integer]


def tuned_threshold(y_true: Targets, scores: Scores, metric: str = "f1") -> float:
    """Return the threshold with the best mean over labels."""
    return float(_best_nearest_half(_metric_by_threshold(y_true, scores, metric).mean(axis=1, keepdims=True))[0])


def label_thresholds(y_true: Targets, scores: Scores, metric: str = "f1") -> NDArray[np.float64]:
    """Return the best threshold of each label, shape (n_labels,); 0.5 for a label that no image is known to have."""
    return _best_nearest_half(_metric_by_threshold(y_true, scores, metric))


def class_thresholds(y_true: Targets, scores: Scores, metric: str = "f1") -> NDArray[np.float64]:
    """Return the thresholds that divide the scores of the classes before the highest is taken.

    They maximize macro F1, or the mean recall of the classes, by coordinate ascent from 0.5 for all, which is the plain
    highest score: one class at a time with the others fixed, until none improves.

    Returns
    -------
    array of float, shape (n_classes,)
        0.5 for a class that no image has.
    """
    y_true, scores = _fully_known_rows(y_true, scores)
    thresholds = np.full(y_true.shape[1], 0.5)
    for _ in range(_MAX_ROUNDS):
        before = thresholds.copy()
        for j in np.flatnonzero(y_true.any(axis=0)):
            macro = _macro_by_threshold(int(j), y_true, scores, thresholds, metric)
            current = macro[np.searchsorted(THRESHOLDS, thresholds[j])]
            if macro.max() > current + 1e-12:
                thresholds[j] = _best_nearest_half(macro[:, None])[0]
        if np.array_equal(thresholds, before):
            break
    return thresholds


def binary_threshold(y_true: Targets, scores: Scores, positive: int, metric: str = "f1") -> float:
    """Return the threshold on the positive class's scores with the best mean over both classes.

    ``positive`` is the column of the positive class, one of two. Images below the threshold are predicted to be in the
    other class.
    """
    y_true, scores = _fully_known_rows(y_true, scores)
    n_images, n_positive = len(y_true), y_true[:, positive].sum()
    n_hits, n_predicted = _counts(y_true[:, [positive]], scores[:, [positive]])
    n_other, n_other_predicted = n_images - n_positive, n_images - n_predicted
    n_other_hits = n_other - (n_predicted - n_hits)
    macro = (
        _metric(metric, n_hits, n_predicted, n_positive, n_images)
        + _metric(metric, n_other_hits, n_other_predicted, n_other, n_images)
    ) / 2
    return float(_best_nearest_half(macro)[0])


def argmax_mask(scores: Scores) -> Predictions:
    """Mark the highest score of each row, the first of equal ones."""
    mask: Predictions = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    return mask


def _fully_known_rows(y_true: Targets, scores: Scores) -> tuple[Targets, Scores]:
    known = (y_true >= 0).all(axis=1)
    return y_true[known], scores[known]


def _best_nearest_half(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the best threshold of each column of (n_thresholds, n_columns); of two equally near 0.5, the higher."""
    nearest_first = np.lexsort([-THRESHOLDS, np.abs(THRESHOLDS - 0.5).round(2)])
    best: NDArray[np.float64] = THRESHOLDS[nearest_first[values[nearest_first].argmax(axis=0)]]
    return best


def _f1(n_hits: _Counts, n_predicted: _Counts, n_positive: _Counts) -> NDArray[np.float64]:
    """Return F1 from the numbers of true positives, predictions and positive images; 0 if there are none."""
    f1: NDArray[np.float64] = 2 * n_hits / np.maximum(n_predicted + n_positive, 1)
    return f1


def _metric(
    metric: str, n_hits: _Counts, n_predicted: _Counts, n_positive: _Counts, n_known: _Counts | int
) -> NDArray[np.float64]:
    """Return `_f1`, or balanced accuracy, which is 0 unless images with and without the label are known."""
    if metric == "f1":
        return _f1(n_hits, n_predicted, n_positive)
    n_negative = n_known - n_positive
    sensitivity = n_hits / np.maximum(n_positive, 1)
    specificity = (n_negative - (n_predicted - n_hits)) / np.maximum(n_negative, 1)
    return np.where((n_positive > 0) & (n_negative > 0), (sensitivity + specificity) / 2, 0.0)


def _counts(y_true: Targets, scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count true positives and predictions at each threshold, two arrays of shape (n_thresholds, n_labels)."""
    n_reached = np.searchsorted(THRESHOLDS, scores, side="right")  # How many thresholds each score reaches.
    n_labels = y_true.shape[1]
    bins = n_reached * n_labels + np.arange(n_labels)
    histograms = [
        np.bincount(bins[cells], minlength=(len(THRESHOLDS) + 1) * n_labels).reshape(-1, n_labels)
        for cells in (y_true == 1, y_true >= 0)
    ]
    n_hits, n_predicted = (np.cumsum(counts[::-1], axis=0)[::-1][1:] for counts in histograms)
    return n_hits, n_predicted


def _metric_by_threshold(y_true: Targets, scores: Scores, metric: str) -> NDArray[np.float64]:
    """Evaluate each label at each threshold, shape (n_thresholds, n_labels)."""
    n_positive, n_known = (y_true == 1).sum(axis=0), (y_true >= 0).sum(axis=0)
    return _metric(metric, *_counts(y_true, scores), n_positive, n_known)


def _macro_by_threshold(
    j: int, y_true: Targets, scores: Scores, thresholds: NDArray[np.float64], metric: str
) -> NDArray[np.float64]:
    """Return macro F1, or mean recall, at each threshold of class j, with those of the other classes fixed."""
    n_classes, rows = y_true.shape[1], np.arange(len(y_true))
    ratios = scores / thresholds
    ratios[:, j] = -1
    rival = ratios.argmax(axis=1)
    actual = y_true.argmax(axis=1)
    # Class j wins at all thresholds up to this ratio; ties go to the first class, as in `argmax_mask`.
    limit = scores[:, j] / np.maximum(ratios[rows, rival], np.finfo(np.float64).tiny)
    n_wins = np.where(
        j < rival, np.searchsorted(THRESHOLDS, limit, side="right"), np.searchsorted(THRESHOLDS, limit, side="left")
    )
    # From the first threshold at which class j loses, the rival has the row.
    shape = (len(THRESHOLDS) + 1, n_classes)
    n_predicted, n_hits = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    np.add.at(n_predicted, (n_wins, rival), 1)
    np.add.at(n_hits, (n_wins, rival), rival == actual)
    n_predicted, n_hits = n_predicted.cumsum(axis=0)[:-1], n_hits.cumsum(axis=0)[:-1]
    n_predicted[:, j] = len(rows) - n_predicted.sum(axis=1)
    own = np.bincount(n_wins[actual == j], minlength=shape[0])
    n_hits[:, j] = own.sum() - own.cumsum()[:-1]
    n_positive = y_true.sum(axis=0)
    by_class = _f1(n_hits, n_predicted, n_positive) if metric == "f1" else n_hits / np.maximum(n_positive, 1)
    macro: NDArray[np.float64] = by_class.mean(axis=1)
    return macro
