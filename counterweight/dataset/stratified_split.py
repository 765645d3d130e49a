"""Stratified splits of multi-label data.

Iterative stratification: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data",
ECML PKDD 2011, LNCS 6913, 145-158. If no image has several labels, each class is sampled in proportion, as in
scikit-learn's StratifiedShuffleSplit. A missing label (-1) counts as 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterweight.base.errors import InputError

# Largest group of duplicates that is kept in one split, as a fraction of the rows to choose.
_MAX_GROUP_SHARE = 0.1


def complete_splits(
    splits: Sequence[str] | None,
    targets: NDArray[np.integer],
    *,
    test: float,
    validation: float,
    seed: int,
    groups: NDArray[np.intp] | None = None,
) -> list[str]:
    """Add the splits that a sheet lacks: test if it has no splits, val if it has no val rows.

    Parameters
    ----------
    splits : sequence of str or None
        ``train``, ``val`` or ``test`` for each image; None if the sheet has no splits.
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    test, validation : float in (0, 1)
        Fraction of all images for test, and of the train images for validation.
    seed : int
        Seed of both draws.
    groups : array of int, shape (n_images,), optional
        Group of each image. The images of a group go where its first one goes, unless there are so many that they would
        change the size of the split.

    Returns
    -------
    list of str
        Split of each image. Test rows stay test, and only train rows become val.

    Raises
    ------
    InputError
        If a split would be empty.
    """
    if len(targets) < (3 if splits is None else 1):
        raise InputError(f"the sheet has {len(targets)} rows; at least 3 are needed: train, val and test. Add rows.")
    parts = np.array(["train"] * len(targets) if splits is None else list(splits), dtype=object)
    if splits is None:
        parts[_keep_groups_together(stratified_sample(targets, test, seed), groups)] = "test"
    if "val" not in parts:
        train = np.flatnonzero(parts == "train")
        if len(train) < 2:
            raise InputError(
                f"the sheet has {len(train)} train rows; at least 2 are needed. Add rows whose split is train."
            )
        within = None if groups is None else groups[train]
        parts[train[_keep_groups_together(stratified_sample(targets[train], validation, seed), within)]] = "val"
    for part in ("train", "test"):
        if part not in parts:
            raise InputError(f"no row is in {part}. Give at least one row the split '{part}'.")
    return [str(part) for part in parts]


def _keep_groups_together(chosen: NDArray[np.intp], groups: NDArray[np.intp] | None) -> NDArray[np.intp]:
    """Make the choice of each group's first row that of the whole group, except in groups above `_MAX_GROUP_SHARE`."""
    if groups is None:
        return chosen
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    small = (sizes <= max(len(chosen) * _MAX_GROUP_SHARE, 2))[group]
    whole = np.flatnonzero(np.where(small, np.isin(first[group], chosen), np.isin(np.arange(len(groups)), chosen)))
    return whole if 0 < len(whole) < len(groups) else chosen


def stratified_sample(targets: NDArray[np.integer], fraction: float, seed: int) -> NDArray[np.intp]:
    """Choose rows in which each label keeps its share, the rarest labels first.

    If no image has several labels, shares are exact to one image, and at least one image of each class is left.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    fraction : float in (0, 1)
        Fraction of the rows to choose. At least one is chosen, and at least one is left.
    seed : int
        Seed of the draw.

    Returns
    -------
    array of int
        Indices of the chosen rows, ascending.
    """
    rows = len(targets)
    size = min(max(round(rows * fraction), 1), rows - 1)
    # Having no label counts as a label. It also gives the splitter the second column that it needs for a single label.
    has = targets == 1
    strata = np.column_stack([has, ~has.any(axis=1)])
    if (strata.sum(axis=1) == 1).all():
        chosen = _sample_by_class(strata.argmax(axis=1), size, seed)
        return np.sort(chosen) if len(chosen) else _random_sample(rows, size, seed)
    # This imports scikit-learn, which takes half a second and is not needed for sheets that have all splits.
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    left, chosen = next(splitter.split(np.zeros((rows, 1)), strata))
    # The sizes are approximate, so on tiny data one of the two may be empty.
    return np.sort(chosen) if len(left) and len(chosen) else _random_sample(rows, size, seed)


def _sample_by_class(classes: NDArray[np.intp], size: int, seed: int) -> NDArray[np.intp]:
    """Choose rows of each class in proportion; the largest remainders get the rest, ties drawn at random."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(classes)
    share = counts * size / len(classes)
    # At least one image of each class is left, even its only one, for which scikit-learn raises.
    limit = np.maximum(counts - 1, 0)
    chosen = np.minimum(np.floor(share).astype(np.intp), limit)
    ties = rng.permutation(len(counts))
    for c in ties[np.argsort(-(share - chosen)[ties], kind="stable")]:
        chosen[c] += int(chosen.sum() < size and chosen[c] < limit[c])
    return np.concatenate([rng.permutation(np.flatnonzero(classes == c))[:n] for c, n in enumerate(chosen)])


def _random_sample(rows: int, size: int, seed: int) -> NDArray[np.intp]:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:size])
