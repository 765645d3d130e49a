"""Measures of imbalance in multi-label data.

IRLbl, MeanIR, CVIR: F. Charte, A. J. Rivera, M. J. del Jesus, F. Herrera, "Addressing imbalance in multilabel
classification: Measures and random resampling algorithms", Neurocomputing 163 (2015), 3-16, equations 1 to 4.
SCUMBLE: the same authors, "Concurrence among imbalanced labels and its influence on multilabel resampling
algorithms", HAIS 2014, LNCS 8480, 110-121, equation 3.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def irlbl(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """Imbalance ratio of each label: the count of the commonest label over the label's own.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.

    Returns
    -------
    array of float, shape (n_labels,)
        1 for the commonest label; infinite for a label that no image has.

    Examples
    --------
    >>> irlbl(np.array([[1, 0], [1, 0], [1, 1], [1, 0]]))
    array([1., 4.])
    """
    counts = targets.sum(axis=0, dtype=np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: NDArray[np.float64] = counts.max() / counts
    return np.where(counts == 0, np.inf, ratios)


def mean_ir(targets: NDArray[np.integer]) -> float:
    """Mean of IRLbl over the labels that occur."""
    return float(_finite_irlbl(targets).mean())


def cvir(targets: NDArray[np.integer]) -> float:
    """Coefficient of variation of IRLbl over the labels that occur: sample standard deviation over mean."""
    ratios = _finite_irlbl(targets)
    return float(ratios.std(ddof=1) / ratios.mean()) if len(ratios) > 1 else 0.0


def scumble(targets: NDArray[np.integer]) -> float:
    """How much rare and common labels stand on the same images: 0 not at all, towards 1 everywhere.

    Over the labels of one image, it is 1 minus the ratio of the geometric to the arithmetic mean of their IRLbl;
    SCUMBLE is its mean over all images. As in the authors' reference code (the R package mldr), the means are taken
    over the labels that the image has: over all labels the product would be 0 on any image that lacks one.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    """
    ratios = irlbl(targets)
    present = targets.astype(bool)
    count = present.sum(axis=1)
    some = count > 0
    usable = np.where(np.isfinite(ratios), ratios, 1.0)
    arithmetic = (present * usable).sum(axis=1)[some] / count[some]
    # The ratio of the two means is the geometric mean of the parts by the arithmetic mean: exactly 1 for one label.
    relative = np.where(present[some], usable / arithmetic[:, None], 1.0)
    ratio = np.exp(np.log(relative).sum(axis=1) / count[some])
    return float((1.0 - ratio).sum() / len(targets))


def summary(targets: NDArray[np.integer]) -> dict[str, float]:
    """Number of images and all measures of one set of images, for a metrics file."""
    return {
        "images": len(targets),
        "mean_ir": mean_ir(targets),
        "cvir": cvir(targets),
        "scumble": scumble(targets),
    }


def label_table(parts: Mapping[str, NDArray[np.integer]], labels: Sequence[str]) -> pd.DataFrame:
    """Count and IRLbl of each label in several sets of images.

    Parameters
    ----------
    parts : mapping of str to array of int, shape (n_images, n_labels)
        Targets of each set, by the name that its columns begin with.
    labels : sequence of str
        Names of the labels.

    Returns
    -------
    pandas.DataFrame
        A row a label: ``label``, then ``NAME_count`` and ``NAME_irlbl`` for each set.
    """
    table = pd.DataFrame({"label": list(labels)})
    for name, targets in parts.items():
        table[f"{name}_count"] = targets.sum(axis=0, dtype=np.int64)
        table[f"{name}_irlbl"] = irlbl(targets)
    return table


def _finite_irlbl(targets: NDArray[np.integer]) -> NDArray[np.float64]:
    ratios = irlbl(targets)
    return ratios[np.isfinite(ratios)]
