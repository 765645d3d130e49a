"""Thresholds that are best on validation, in steps of 0.01, by F1 or by balanced accuracy.

F1 counts wrong labels against right ones, so its best threshold depends on how common a label is on validation. The
mean of sensitivity and specificity, the balanced accuracy, does not.

Everywhere ``targets`` are an array of int, shape (n_images, n_labels), 1 where the image has the label, 0 where it has
not, -1 where that is not known; ``scores`` are of the same shape, from 0 to 1. A cell that is not known takes no part.
Where an image has exactly one label, a row that is not known in full takes none.
"""

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.arange(1, 100) / 100
_ROUNDS = 20  # Of the coordinate ascent; it ends by itself after a few.


def tuned_threshold(targets: NDArray[np.integer], scores: NDArray[np.floating], measure: str = "f1") -> float:
    """The threshold that is best on the mean over labels; among equals the one nearest to 0.5.

    ``measure`` is ``f1`` or ``balanced_accuracy``, here and below.
    """
    return float(_nearest_best(_at_thresholds(targets, scores, measure).mean(axis=1, keepdims=True))[0])


def label_thresholds(
    targets: NDArray[np.integer], scores: NDArray[np.floating], measure: str = "f1"
) -> NDArray[np.float64]:
    """For each label the threshold that is best for it; among equals the one nearest to 0.5.

    Returns
    -------
    array of float, shape (n_labels,)
        0.5 for a label that no image is known to have.
    """
    return _nearest_best(_at_thresholds(targets, scores, measure))


def class_thresholds(
    targets: NDArray[np.integer], scores: NDArray[np.floating], measure: str = "f1"
) -> NDArray[np.float64]:
    """For each class the threshold by which its scores are divided before the highest is taken.

    They are chosen for the macro F1 or the mean recall of the classes, one class at a time with the others as they
    are, until none gets better: a coordinate ascent from 0.5 for all, which is the plain highest score.

    Returns
    -------
    array of float, shape (n_classes,)
        0.5 for a class that no image has.
    """
    targets, scores = _whole_rows(targets, scores)
    thresholds = np.full(targets.shape[1], 0.5)
    for _ in range(_ROUNDS):
        before = thresholds.copy()
        for j in np.flatnonzero(targets.any(axis=0)):
            macro = _macro_by_threshold(int(j), targets, scores, thresholds, measure)
            now = macro[np.searchsorted(THRESHOLDS, thresholds[j])]
            if macro.max() > now + 1e-12:
                thresholds[j] = _nearest_best(macro[:, None])[0]
        if np.array_equal(thresholds, before):
            break
    return thresholds


def binary_threshold(
    targets: NDArray[np.integer], scores: NDArray[np.floating], positive: int, measure: str = "f1"
) -> float:
    """Of two classes, the threshold on the positive one's scores that is best on the mean over both.

    The other class is given where the positive one is not. Among equals the threshold nearest to 0.5 is taken.

    Parameters
    ----------
    targets, scores : arrays, shape (n_images, 2)
        With exactly one 1 in a row.
    positive : int
        Column of the positive class.
    """
    targets, scores = _whole_rows(targets, scores)
    right, given = _counts(targets[:, [positive]], scores[:, [positive]])
    there, rows = targets[:, positive].sum(), len(targets)
    other_right, other_given, other_there = rows - there - (given - right), rows - given, rows - there
    macro = (
        _quality(measure, right, given, there, rows) + _quality(measure, other_right, other_given, other_there, rows)
    ) / 2
    return float(_nearest_best(macro)[0])


def highest(scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where a row has its highest score: one cell a row, among equals the first."""
    found: NDArray[np.bool_] = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    return found


def _whole_rows(
    targets: NDArray[np.integer], scores: NDArray[np.floating]
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    whole = (targets >= 0).all(axis=1)
    return targets[whole], scores[whole]


def _nearest_best(f1: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each column of (n_thresholds, n_labels) the threshold of its highest value, among equals nearest to 0.5."""
    nearest_first = np.lexsort([-THRESHOLDS, np.abs(THRESHOLDS - 0.5).round(2)])
    best: NDArray[np.float64] = THRESHOLDS[nearest_first[f1[nearest_first].argmax(axis=0)]]
    return best


def _f1(right: NDArray[np.integer], given: NDArray[np.integer], there: NDArray[np.integer]) -> NDArray[np.float64]:
    """F1 from true positives, images given the label, and images that have it; 0 where there is neither."""
    return 2 * right / np.maximum(given + there, 1)


def _quality(
    measure: str,
    right: NDArray[np.integer],
    given: NDArray[np.integer],
    there: NDArray[np.integer],
    known: NDArray[np.integer] | int,
) -> NDArray[np.float64]:
    """F1 as `_f1`, or balanced accuracy, 0 where no image has the label or none lacks it."""
    if measure == "f1":
        return _f1(right, given, there)
    lacking = known - there
    sensitivity, specificity = right / np.maximum(there, 1), (lacking - (given - right)) / np.maximum(lacking, 1)
    return np.where((there > 0) & (lacking > 0), (sensitivity + specificity) / 2, 0.0)


def _counts(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True positives, and images given the label, at each threshold: two arrays (n_thresholds, n_labels)."""
    passed = np.searchsorted(THRESHOLDS, scores, side="right")  # How many thresholds the score reaches.
    n_labels = targets.shape[1]
    of_label = passed * n_labels + np.arange(n_labels)
    reaching = [
        np.bincount(of_label[cells], minlength=(len(THRESHOLDS) + 1) * n_labels).reshape(-1, n_labels)
        for cells in (targets == 1, targets >= 0)
    ]
    right, given = (np.cumsum(counts[::-1], axis=0)[::-1][1:] for counts in reaching)
    return right, given


def _at_thresholds(targets: NDArray[np.integer], scores: NDArray[np.floating], measure: str) -> NDArray[np.float64]:
    """The measure of each label at each threshold, shape (n_thresholds, n_labels)."""
    there, known = (targets == 1).sum(axis=0), (targets >= 0).sum(axis=0)
    return _quality(measure, *_counts(targets, scores), there, known)


def _macro_by_threshold(
    j: int,
    targets: NDArray[np.integer],
    scores: NDArray[np.floating],
    thresholds: NDArray[np.float64],
    measure: str,
) -> NDArray[np.float64]:
    """Macro F1, or mean recall, at each threshold of one class, with those of the others as they are."""
    classes, rows = targets.shape[1], np.arange(len(targets))
    ratios = scores / thresholds
    ratios[:, j] = -1
    rival = ratios.argmax(axis=1)
    actual = targets.argmax(axis=1)
    # The class wins at the thresholds up to this ratio; at a tie the first class does, as in `highest`.
    limit = scores[:, j] / np.maximum(ratios[rows, rival], np.finfo(np.float64).tiny)
    wins = np.where(
        j < rival, np.searchsorted(THRESHOLDS, limit, side="right"), np.searchsorted(THRESHOLDS, limit, side="left")
    )
    # A rival has the row at all thresholds from there on.
    shape = (len(THRESHOLDS) + 1, classes)
    given, right = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    np.add.at(given, (wins, rival), 1)
    np.add.at(right, (wins, rival), rival == actual)
    given, right = given.cumsum(axis=0)[:-1], right.cumsum(axis=0)[:-1]
    given[:, j] = len(rows) - given.sum(axis=1)
    own = np.bincount(wins[actual == j], minlength=shape[0])
    right[:, j] = own.sum() - own.cumsum()[:-1]
    there = targets.sum(axis=0)
    by_class = _f1(right, given, there) if measure == "f1" else right / np.maximum(there, 1)
    macro: NDArray[np.float64] = by_class.mean(axis=1)
    return macro
