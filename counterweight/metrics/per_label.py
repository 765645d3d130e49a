"""What was right and what was wrong for each label: counts, and the rates that follow from them.

``targets`` are an array of int, shape (n_images, n_labels), 1 where the image has the label, 0 where it has not, -1
where that is not known; classes, of which an image has one, are such columns too. ``scores`` and ``given`` are of the
same shape: what the network says, from 0 to 1, and where a decision gives the label. A cell that is not known takes no
part.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

Targets = NDArray[np.integer]
Scores = NDArray[np.floating]
Given = NDArray[np.bool_]
BY_LABEL = (
    *("precision", "recall", "f1", "sensitivity", "specificity", "g_mean", "balanced_accuracy", "accuracy"),
    *("tp", "fp", "tn", "fn"),
)


@dataclass(frozen=True)
class Rates:
    """Counts of each label and what follows from them, arrays of shape (n_labels,).

    Precision, recall and F1 are 0 where their denominator is, for a label that is never given, or never there. The
    others are not a number then.
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    tn: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    @property
    def sensitivity(self) -> NDArray[np.float64]:
        """Fraction of the images with the label that are given it."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> NDArray[np.float64]:
        """Fraction of the images without the label that are not given it."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def g_mean(self) -> NDArray[np.float64]:
        """Geometric mean of sensitivity and specificity (Kubat and Matwin, 1997)."""
        return np.sqrt(self.sensitivity * self.specificity)

    @property
    def balanced_accuracy(self) -> NDArray[np.float64]:
        """Mean of sensitivity and specificity."""
        return (self.sensitivity + self.specificity) / 2

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Fraction of the images for which the label is right."""
        return _ratio(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)


def rates(targets: Targets, given: Given) -> Rates:
    """Rates of each label over its known cells.

    Examples
    --------
    >>> found = rates(np.array([[1], [1], [0], [-1]]), np.array([[True], [False], [False], [True]]))
    >>> found.f1, found.tn
    (array([0.66666667]), array([1]))
    """
    if not len(targets):  # scikit-learn wants a row; one of which nothing is known changes nothing.
        targets, given = np.full((1, targets.shape[1]), -1), np.zeros((1, targets.shape[1]), np.bool_)
    there, said, labels = comparable(targets, given)
    (tn, fp), (fn, tp) = np.moveaxis(multilabel_confusion_matrix(there, said, labels=labels), 0, -1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        there, said, labels=labels, average=None, zero_division=0
    )
    return Rates(tp, fp, fn, tn - (len(there) - (targets >= 0).sum(axis=0)), precision, recall, f1)


def comparable(targets: Targets, given: Given) -> tuple[NDArray[np.int8], NDArray[np.int8], list[int]]:
    """What is there and what is given as scikit-learn takes it, and the columns to judge.

    A cell that is not known is neither there nor given, and so counts in no measure but those with true negatives. A
    single column would be taken for the classes 0 and 1; so it has an empty one beside it, which is not judged.
    """
    there, said = targets == 1, given & (targets >= 0)
    columns = list(range(targets.shape[1]))
    if len(columns) == 1:
        there, said = (np.pad(cells, [(0, 0), (0, 1)]) for cells in (there, said))
    return there.astype(np.int8), said.astype(np.int8), columns


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def aucs(targets: Targets, scores: Scores) -> NDArray[np.float64]:
    """Area under the ROC curve of each label; not a number for one that all images have, or none."""
    return _by_label(roc_auc_score, targets, scores, needs={0, 1})


def average_precisions(targets: Targets, scores: Scores) -> NDArray[np.float64]:
    """Average precision of each label, not a number for a label that no image has; mAP is its mean over the rest."""
    return _by_label(average_precision_score, targets, scores, needs={1})


def _by_label(
    measure: Callable[[Targets, Scores], float], targets: Targets, scores: Scores, needs: set[int]
) -> NDArray[np.float64]:
    """A measure of each label's known cells; not a number where they lack one of the needed values."""
    columns = [(column[column >= 0], of[column >= 0]) for column, of in zip(targets.T, scores.T, strict=True)]
    return np.array([measure(*column) if needs <= set(column[0].tolist()) else np.nan for column in columns])
