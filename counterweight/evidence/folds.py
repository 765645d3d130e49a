"""Repeated folds for cross-validation that keep each label's share, and groups together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray

from counterweight.base.errors import InputError


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
                f"params.yaml: probe.folds is {n_folds}, and {len(strata)} different train images are too few for it. "
                "Lower it, or add images."
            )
        for fold, held_out in enumerate(parts):
            fold_of_group[held_out] = fold
        folds[repeat] = fold_of_group[group]
    return folds


def duplicate_groups(image_ids: Sequence[str], duplicates: pd.DataFrame) -> NDArray[np.intp]:
    """Return the group of each image: one per group of duplicates, one of its own for any other image.

    Parameters
    ----------
    image_ids : sequence of str
        The images.
    duplicates : pandas.DataFrame
        The result of `counterweight.dataset.duplicates.duplicates_table`.

    Examples
    --------
    >>> duplicate_groups(["a", "b", "c"], pd.DataFrame({"image_id": ["a", "c"], "group": [0, 0]}))
    array([0, 1, 0])
    """
    group_of = dict(zip(duplicates["image_id"], duplicates["group"], strict=True))
    numbers: dict[object, int] = {}
    return np.array(
        [numbers.setdefault(group_of.get(image, image), len(numbers)) for image in image_ids], dtype=np.intp
    )
