"""Repeated folds for cross-validation that keep groups together, and intervals for differences over such folds.

C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52 (2003), 239-281: the folds share
train images, so the usual t-test finds differences where there are none. S. Holm, "A simple sequentially rejective
multiple test procedure", Scandinavian Journal of Statistics 6 (1979), 65-70.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray
from scipy import stats

from counterweight.base.errors import InputError

# Labels with fewer images are not judged if there are too many labels to judge all.
MIN_IMAGES = 10
# Images that are judged however many labels there are.
MIN_SAMPLE = 1_000


def draw_sample(
    targets: NDArray[np.integer], task: str, max_images: int, max_labels: int, labels_at_full_size: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the images and the labels that classifiers are fitted to, whose time grows with both.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    task : str
        ``multilabel``; or another, where images without a chosen label are left out, since they have no other.
    max_images, max_labels : int
        How many of each are chosen at most.
    labels_at_full_size : int
        With more labels than this, proportionally fewer images are chosen, so that fitting takes as long; but not fewer
        than `MIN_SAMPLE`.
    seed : int
        Seed of the choice of images.

    Returns
    -------
    rows : array of int
        All images, or some at random, ascending.
    columns : array of int
        All labels; or, of those with at least `MIN_IMAGES` images, some from the commonest to the rarest, evenly spaced
        by rank, ascending. With several labels per image, as many are chosen as can be expected on `MIN_IMAGES` of the
        chosen images, but not fewer than `labels_at_full_size`.
    """
    counts, rows, columns = (targets == 1).sum(axis=0), np.arange(len(targets)), np.arange(targets.shape[1])
    n_labels = min(len(columns), max_labels)

    def images_for(n_labels: int) -> int:
        return max(max_images * labels_at_full_size // max(n_labels, labels_at_full_size), min(max_images, MIN_SAMPLE))

    def n_common(n_labels: int) -> int:
        """Return how many labels are common enough if so many are chosen."""
        share = min(images_for(n_labels) / max(len(rows), 1), 1) if task == "multilabel" else 1
        return int((counts * share >= MIN_IMAGES).sum())

    if len(columns) > max_labels:
        while n_labels > labels_at_full_size and n_common(n_labels) < n_labels:
            n_labels -= 1
        ranked = np.argsort(-counts, kind="stable")[: max(n_common(n_labels), n_labels)]
        columns = np.sort(ranked[np.linspace(0, len(ranked) - 1, n_labels).round().astype(int)])
        if task != "multilabel":
            rows = np.flatnonzero((targets[:, columns] == 1).any(axis=1))
    return np.sort(np.random.default_rng(seed).permutation(rows)[: images_for(len(columns))]), columns


def repeated_folds(
    targets: NDArray[np.integer], groups: NDArray[np.intp], *, n_folds: int, n_repeats: int, seed: int
) -> NDArray[np.intp]:
    """Assign each image to a fold, several times anew.

    Iterative stratification, as in `counterweight.dataset.stratified_split`, over groups instead of images.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    groups : array of int, shape (n_images,)
        Group of each image, such as duplicates of one picture. A group is in one fold.
    n_folds, n_repeats : int
        Folds per repeat, and repeats.
    seed : int
        Seed of the assignments.

    Returns
    -------
    array of int, shape (n_repeats, n_images)
        Folds, from 0.

    Raises
    ------
    InputError
        If there are too few groups to fill every fold.
    """
    _, group = np.unique(groups, return_inverse=True)
    has_label = np.zeros((group.max() + 1, targets.shape[1]), dtype=np.bool_)
    np.logical_or.at(has_label, group, targets == 1)
    # Having no label counts as a label, as in `stratified_sample`.
    strata = np.column_stack([has_label, ~has_label.any(axis=1)])
    folds = np.empty((n_repeats, len(targets)), dtype=np.intp)
    for repeat in range(n_repeats):
        splitter = MultilabelStratifiedKFold(n_splits=n_folds, shuffle=True, random_state=seed + repeat)
        fold_of_group = np.empty(len(strata), dtype=np.intp)
        parts = [held_out for _, held_out in splitter.split(strata, strata)] if len(strata) >= n_folds else [[]]
        if not all(map(len, parts)):
            raise InputError(
                f"params.yaml: probe.folds is {n_folds}, and {len(strata)} different images or groups are too few for "
                "it. Lower it, or add images."
            )
        for fold, held_out in enumerate(parts):
            fold_of_group[held_out] = fold
        folds[repeat] = fold_of_group[group]
    return folds


def image_groups(image_ids: Sequence[str], duplicates: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which images must not be in two folds, and which are duplicates.

    Parameters
    ----------
    image_ids : sequence of str
        The images.
    duplicates : pandas.DataFrame
        The result of `counterweight.dataset.duplicates.duplicates_table`.

    Returns
    -------
    tied, alike : arrays of int, shape (n_images,)
        Numbers of groups, from 0; those of an image alone are its own. Duplicates are also tied.

    Examples
    --------
    >>> tables = pd.DataFrame({"image_id": ["a", "c"], "tied": [0, 0], "group": [0, 1]})
    >>> image_groups(["a", "b", "c"], tables)
    (array([0, 1, 0]), array([0, 1, 2]))
    """
    tied, alike = (_numbers(image_ids, duplicates["image_id"], duplicates[name]) for name in ("tied", "group"))
    return tied, alike


def _numbers(image_ids: Sequence[str], listed: "pd.Series[str]", groups: "pd.Series[int]") -> NDArray[np.intp]:
    group_of = dict(zip(listed, groups, strict=True))
    numbers: dict[object, int] = {}
    return np.array(
        [numbers.setdefault(group_of.get(image, image), len(numbers)) for image in image_ids], dtype=np.intp
    )


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
    """Adjust p-values for their number, as Holm does; undefined ones stay NaN and do not count.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    defined = [i for i in np.argsort(p_values, kind="stable").tolist() if not np.isnan(p_values[i])]
    adjusted, highest = [np.nan] * len(p_values), 0.0
    for rank, i in enumerate(defined):
        highest = max(highest, min((len(defined) - rank) * p_values[i], 1.0))
        adjusted[i] = highest
    return adjusted
