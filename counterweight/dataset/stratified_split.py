"""Splits that keep the share of every label, though one image carries several.

Iterative stratification: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data",
ECML PKDD 2011, LNCS 6913, 145-158. Where no image carries several, each class gives its own share, as in
scikit-learn's StratifiedShuffleSplit. A missing label (-1) counts as one that the image has not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterweight.base.errors import InputError

# Of the rows that are to be chosen, the part that a group of equal pictures may have and still be kept together.
_LARGEST = 0.1


def complete_splits(
    splits: Sequence[str] | None,
    targets: NDArray[np.integer],
    *,
    test: float,
    validation: float,
    seed: int,
    groups: NDArray[np.intp] | None = None,
) -> list[str]:
    """Add the parts that a sheet does not have: test where it has no split, val where it has no val rows.

    Parameters
    ----------
    splits : sequence of str or None
        ``train``, ``val`` or ``test`` for each image; None where the sheet has no split.
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    test, validation : float in (0, 1)
        Fraction of all images for test, and of the train images for validation.
    seed : int
        Of both draws.
    groups : array of int, shape (n_images,), optional
        A number for each image; those with the same number are the same picture, and go where the first one goes,
        unless they are so many that a part would get another size.

    Returns
    -------
    list of str
        A split for each image; a row that was test stays test, and only train rows become val.

    Raises
    ------
    InputError
        If a part would be empty.
    """
    least = 3 if splits is None else 1
    if len(targets) < least:
        raise InputError(f"the sheet has {len(targets)} rows; at least 3 are needed: train, val and test. Add rows.")
    parts = np.array(["train"] * len(targets) if splits is None else list(splits), dtype=object)
    if splits is None:
        parts[_whole(carve(targets, test, seed), groups)] = "test"
    if "val" not in parts:
        train = np.flatnonzero(parts == "train")
        if len(train) < 2:
            raise InputError(
                f"the sheet has {len(train)} train rows; at least 2 are needed. Add rows whose split is train."
            )
        within = None if groups is None else groups[train]
        parts[train[_whole(carve(targets[train], validation, seed), within)]] = "val"
    for part in ("train", "test"):
        if part not in parts:
            raise InputError(f"no row is in {part}. Give at least one row the split '{part}'.")
    return [str(part) for part in parts]


def _whole(chosen: NDArray[np.intp], groups: NDArray[np.intp] | None) -> NDArray[np.intp]:
    """The chosen rows, with all of a group or none of it, as its first row is chosen or not.

    A group of more than a tenth of the chosen rows is torn, for the part would get another size or other labels.
    """
    if groups is None:
        return chosen
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    small = (sizes <= max(len(chosen) * _LARGEST, 2))[group]
    whole = np.flatnonzero(np.where(small, np.isin(first[group], chosen), np.isin(np.arange(len(groups)), chosen)))
    return whole if 0 < len(whole) < len(groups) else chosen


def carve(targets: NDArray[np.integer], fraction: float, seed: int) -> NDArray[np.intp]:
    """Choose rows so that each label keeps its share in them, the rarest labels first.

    Where no image has several labels, the share is exact to the image, and one image of each class stays behind.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    fraction : float in (0, 1)
        Share of the rows to choose. At least one is chosen, and at least one is left.
    seed : int
        Of the draw.

    Returns
    -------
    array of int
        Indices of the chosen rows, ascending.
    """
    rows = len(targets)
    size = min(max(round(rows * fraction), 1), rows - 1)
    # Images without any label are stratified as if that were a label of theirs; it also gives the splitter the second
    # column that it needs where there is one label only.
    has = targets == 1
    strata = np.column_stack([has, ~has.any(axis=1)])
    if (strata.sum(axis=1) == 1).all():
        chosen = _by_class(strata.argmax(axis=1), size, seed)
        return np.sort(chosen) if len(chosen) else _by_chance(rows, size, seed)
    # It brings scikit-learn, whose half a second a sheet that has all parts does not wait for.
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    left, chosen = next(splitter.split(np.zeros((rows, 1)), strata))
    # The stratification meets the size only nearly; it matters in tiny data.
    return np.sort(chosen) if len(left) and len(chosen) else _by_chance(rows, size, seed)


def _by_class(classes: NDArray[np.intp], size: int, seed: int) -> NDArray[np.intp]:
    """Rows of each class in proportion, what is left over to the largest remainders; ties are drawn."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(classes)
    share = counts * size / len(classes)
    # scikit-learn raises where a class has one image only; here one of each class, the only one too, stays behind.
    room = np.maximum(counts - 1, 0)
    take = np.minimum(np.floor(share).astype(np.intp), room)
    ties = rng.permutation(len(counts))
    for one in ties[np.argsort(-(share - take)[ties], kind="stable")]:
        take[one] += int(take.sum() < size and take[one] < room[one])
    return np.concatenate([rng.permutation(np.flatnonzero(classes == one))[:n] for one, n in enumerate(take)])


def _by_chance(rows: int, size: int, seed: int) -> NDArray[np.intp]:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:size])
