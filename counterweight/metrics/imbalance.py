"""Imbalance measures of multi-label data.

IRLbl, MeanIR, CVIR: F. Charte, A. J. Rivera, M. J. del Jesus, F. Herrera, "Addressing imbalance in multilabel
classification: Measures and random resampling algorithms", Neurocomputing 163 (2015), 3-16, equations 1 to 4.
SCUMBLE: the same authors, "Concurrence among imbalanced labels and its influence on multilabel resampling
algorithms", HAIS 2014, LNCS 8480, 110-121, equation 3.

``targets`` is an array of int, shape (n_images, n_labels), 1 if the image has the label. A missing label (-1) counts as
absent.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, triu

from counterweight.base.errors import MAX_SHOWN, name_some
from counterweight.base.manifest import MISSING

# What a split cannot do for labels that none of its images has.
_CONSEQUENCE = {
    "train": "nothing to learn from",
    "val": "no threshold can be tuned",
    "test": "recall cannot be measured",
}


def irlbl(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """Imbalance ratio of each label: the count of the commonest label over the label's own.

    Returns
    -------
    array of float, shape (n_labels,)
        1 for the commonest label; infinite for a label that no image has.

    Examples
    --------
    >>> irlbl(np.array([[1, 0], [1, 0], [1, 1], [1, 0]]))
    array([1., 4.])
    """
    counts = _counts(targets)
    with np.errstate(divide="ignore"):
        ratios: NDArray[np.float64] = np.maximum(counts.max(), 1) / counts
    return ratios


def mean_ir(targets: NDArray[np.integer]) -> float:
    """Mean of IRLbl over the labels that occur; 0 if none does."""
    ratios = _finite_irlbl(targets)
    return float(ratios.mean()) if len(ratios) else 0.0


def cvir(targets: NDArray[np.integer]) -> float:
    """Coefficient of variation of IRLbl over the labels that occur: sample standard deviation over mean."""
    ratios = _finite_irlbl(targets)
    return float(ratios.std(ddof=1) / ratios.mean()) if len(ratios) > 1 else 0.0


def scumble(targets: NDArray[np.integer]) -> float:
    """Degree to which rare and common labels share images, from 0, never, towards 1, always.

    For one image it is 1 minus the ratio of the geometric to the arithmetic mean of its labels' IRLbl; SCUMBLE is the
    mean over all images. As in the authors' reference code (the R package mldr), the means are over the labels that
    the image has: over all labels the product would be 0 for any image that lacks one.
    """
    return float(_concurrence(targets).sum() / len(targets))


def label_scumble(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """SCUMBLE of each label: the mean over the images that have it; 0 for a label that no image has."""
    present = targets == 1
    counts = np.maximum(present.sum(axis=0), 1)
    means: NDArray[np.float64] = (present * _concurrence(targets)[:, None]).sum(axis=0) / counts
    return means


def rarer_label_warnings(before: NDArray[np.integer], after: NDArray[np.integer], labels: Sequence[str]) -> list[str]:
    """Return a warning for each label whose IRLbl is higher after the copies were added than before.

    Where the mean of all labels rose, too, it advises a strategy that fills labels.
    """
    advice = ". Consider augment.strategy clusters_labels or labels" if mean_ir(after) > mean_ir(before) else ""
    return [
        f"label '{label}' got relatively rarer: IRLbl {old:.2f} before, {new:.2f} after{advice}"
        for label, old, new in zip(labels, irlbl(before), irlbl(after), strict=True)
        if new > old
    ]


def absent_label_warnings(labels: Sequence[str], parts: Mapping[str, NDArray[np.integer]]) -> list[str]:
    """Return a warning for each split (``train``, ``val`` or ``test``) with labels that none of its images has."""
    return [
        f"no {split} image has {name_some([repr(name) for name in absent], MAX_SHOWN)}: {_CONSEQUENCE[split]}"
        for split, targets in parts.items()
        if (absent := [name for name, count in zip(labels, _counts(targets), strict=True) if not count])
    ]


def irlbl_weights(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """Sampling weight of each image, shape (n_images,): the mean IRLbl of its labels, 1 for an image without labels.

    With one label per image, all classes become equally frequent.

    Examples
    --------
    >>> irlbl_weights(np.array([[1, 0], [1, 0], [1, 1], [0, 0]]))
    array([1., 1., 2., 1.])
    """
    present, ratios = targets == 1, np.nan_to_num(irlbl(targets), posinf=0.0)
    counts = present.sum(axis=1)
    return np.where(counts > 0, (present * ratios).sum(axis=1) / np.maximum(counts, 1), 1.0)


def rarest_third(targets: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the columns of the third of labels with the fewest images, at least one; labels of no image are left out.

    Examples
    --------
    >>> rarest_third(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]]))
    array([2])
    """
    counts = _counts(targets)
    order = np.argsort(counts, kind="stable")
    present = order[counts[order] > 0] if counts.any() else order
    return np.sort(present[: -(-len(present) // 3)])


def summary(targets: NDArray[np.integer]) -> dict[str, float]:
    """Return the number of images and all their measures, for a metrics file."""
    return {"images": len(targets), "mean_ir": mean_ir(targets), "cvir": cvir(targets), "scumble": scumble(targets)}


def phrase(parts: Mapping[str, NDArray[np.integer]]) -> str:
    """Return the MeanIR of parts of the images in words.

    Examples
    --------
    >>> phrase({"before": np.array([[1, 0], [1, 1]]), "after": np.array([[1, 1], [1, 1]])})
    'MeanIR 1.50 before and 1.00 after'
    """
    return "MeanIR " + " and ".join(f"{mean_ir(targets):.2f} {name}" for name, targets in parts.items())


def label_table(parts: Mapping[str, NDArray[np.integer]], labels: Sequence[str]) -> pd.DataFrame:
    """Tabulate count, IRLbl and SCUMBLE of each label in several sets of images.

    Returns
    -------
    pandas.DataFrame
        One row per label: ``label``, then ``NAME_count``, ``NAME_irlbl`` and ``NAME_scumble`` for each name in
        ``parts``, and ``NAME_missing`` (images on which the label is missing) if any label is missing anywhere.
    """
    some_missing = any((targets == MISSING).any() for targets in parts.values())
    table = pd.DataFrame({"label": list(labels)})
    for name, targets in parts.items():
        table[f"{name}_count"] = _counts(targets)
        table[f"{name}_irlbl"] = irlbl(targets)
        table[f"{name}_scumble"] = label_scumble(targets)
        if some_missing:
            table[f"{name}_missing"] = (targets == MISSING).sum(axis=0)
    return table


def _concurrence(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """SCUMBLE of each image; 0 for an image without labels."""
    present = targets == 1
    # Dividing by the arithmetic mean before taking the geometric one gives exactly 0 for an image with one label.
    relative = np.where(present, irlbl(targets) / irlbl_weights(targets)[:, None], 1.0)
    geometric: NDArray[np.float64] = np.exp(np.log(relative).sum(axis=1) / np.maximum(present.sum(axis=1), 1))
    return 1.0 - geometric


def _counts(targets: NDArray[np.integer]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = (targets == 1).sum(axis=0, dtype=np.int64)
    return counts


def _finite_irlbl(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    ratios = irlbl(targets)
    return ratios[np.isfinite(ratios)]


def frequent_pairs(targets: NDArray[np.integer], most: int) -> list[tuple[int, int, int, float]]:
    """Return the labels that most often stand on the same image.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1, 0, or -1 where missing.
    most : int
        Number of pairs.

    Returns
    -------
    list of (int, int, int, float)
        Columns of the labels, images with both, and their share of the images with the rarer label.

    Examples
    --------
    >>> frequent_pairs(np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0]]), 1)
    [(0, 1, 2, 1.0)]
    """
    positive = csr_array((targets == 1).astype(np.int64))
    counts, both = positive.sum(axis=0), triu(positive.T @ positive, k=1).tocoo()
    pairs = sorted(zip((-both.data).tolist(), both.row.tolist(), both.col.tolist(), strict=True))[:most]
    return [(i, j, -n, -n / int(min(counts[i], counts[j]))) for n, i, j in pairs]
