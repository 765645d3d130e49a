"""Stratified splits of multi-label data.

Iterative stratification: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data",
ECML PKDD 2011, LNCS 6913, 145-158. If no image has several labels, each class is sampled in proportion, as in
scikit-learn's StratifiedShuffleSplit. A missing label (-1) counts as 0.
"""

import numpy as np
from numpy.typing import NDArray


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
