"""Find labels that may be wrong, by confident learning on out-of-fold scores.

C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident learning: Estimating uncertainty in dataset labels", Journal of
Artificial Intelligence Research 70 (2021), 1373-1411. With several labels per image, each label is a problem of its
own with the two classes present and absent.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = ("image_id", "issue", "label", "score", "margin")
CONTRADICTION = "contradiction"


def find_label_issues(
    image_ids: Sequence[str],
    labels: Sequence[str],
    targets: NDArray[np.integer],
    scores: NDArray[np.float64],
    *,
    is_single_label: bool,
) -> pd.DataFrame:
    """List labels that are likely missing or surplus, the surest first.

    The threshold of a class is the mean score of the images that are labeled with it. An image confidently belongs to
    the class with the highest score among those whose threshold it reaches. Listed are the images that confidently
    belong to another class than their label says: the off-diagonal of the confident joint (section 3.1).

    Parameters
    ----------
    image_ids, labels : sequence of str
        Rows and columns of the arrays.
    targets : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    scores : array of float from 0 to 1, shape (n_images, n_labels)
        Scores by classifiers that have not seen the image.
    is_single_label : bool
        Whether an image has exactly one label; an issue is then a surplus label and a missing one.

    Returns
    -------
    pandas.DataFrame
        One row per issue: ``image_id``; ``issue``, missing or surplus; ``label``; its ``score``; and ``margin``, the
        score of the likelier class minus that of the labeled one.
    """
    if is_single_label:
        known = np.flatnonzero((targets == 1).any(axis=1))
        issues = [
            (known[row], issue, column, margin)
            for row, given, likelier, margin in _confident_errors(targets[known].argmax(axis=1), scores[known])
            for issue, column in (("surplus", given), ("missing", likelier))
        ]
    else:
        issues = []
        for column in range(len(labels)):
            known = np.flatnonzero(targets[:, column] >= 0)
            present = scores[known, column]
            errors = _confident_errors(targets[known, column], np.column_stack([1 - present, present]))
            issues += [
                (known[row], "missing" if likelier else "surplus", column, margin)
                for row, _, likelier, margin in errors
            ]
    rows = [
        (image_ids[row], issue, labels[column], round(float(scores[row, column]), 4), round(margin, 4))
        for row, issue, column, margin in issues
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["margin", "image_id", "label"], ascending=[False, True, True], ignore_index=True)


def contradictions(
    image_ids: Sequence[str],
    labels: Sequence[str],
    targets: NDArray[np.integer],
    scores: NDArray[np.float64],
    groups: NDArray[np.intp],
) -> pd.DataFrame:
    """List the labels that one of several duplicates has and another lacks.

    Parameters
    ----------
    image_ids, labels, targets, scores
        As in `find_label_issues`.
    groups : array of int, shape (n_images,)
        Duplicates are in one group.

    Returns
    -------
    pandas.DataFrame
        One row per image and label: the columns of `find_label_issues`, with ``contradiction`` as ``issue`` and no
        ``margin``, and ``duplicate``, the first image of the group with the other value.

    Examples
    --------
    >>> targets, scores = np.array([[1], [0], [1]]), np.array([[0.9], [0.8], [0.7]])
    >>> contradictions(["a", "b", "c"], ["sea"], targets, scores, np.array([0, 0, 1]))[["image_id", "duplicate"]]
      image_id duplicate
    0        a         b
    1        b         a
    """
    rows = []
    for group in np.flatnonzero(np.bincount(groups) > 1):
        members = np.flatnonzero(groups == group)
        for column, values in enumerate(targets[members].T):
            for row, value in zip(members.tolist(), values, strict=True):
                contrary = members[values == 1 - value] if value >= 0 else []
                if len(contrary):
                    score = round(float(scores[row, column]), 4)
                    rows.append((image_ids[row], CONTRADICTION, labels[column], score, np.nan, image_ids[contrary[0]]))
    return pd.DataFrame(rows, columns=[*COLUMNS, "duplicate"])


def _confident_errors(given: NDArray[np.integer], scores: NDArray[np.float64]) -> list[tuple[int, int, int, float]]:
    """Return row, labeled class, likelier class and margin of each likely error, for scores per class."""
    n_classes = scores.shape[1]
    counts = np.bincount(given, minlength=n_classes)
    thresholds = np.array([scores[given == c, c].mean() if counts[c] else np.inf for c in range(n_classes)])
    is_confident = scores >= thresholds
    confident = np.where(is_confident, scores, -1).argmax(axis=1)
    rows = np.flatnonzero(is_confident.any(axis=1) & (confident != given))
    errors = []
    for row in rows:
        margin = float(scores[row, confident[row]] - scores[row, given[row]])
        errors.append((int(row), int(given[row]), int(confident[row]), margin))
    return errors
