"""How well scores agree with labels: F1, precision, recall, average precision, and a threshold tuned on validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1 of one or more counts of true positives, false positives and false negatives.

    Each is 0 where its denominator is: for a label that is never given, or never there.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def rates(targets: NDArray[np.integer], given: NDArray[np.bool_], *, micro: bool = False) -> Rates:
    """Rates of each label, or of all cells together.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    given : array of bool, shape (n_images, n_labels)
        Where the classifier gives it.
    micro : bool
        Count over all labels together; the rates then have one element.

    Examples
    --------
    >>> rates(np.array([[1], [1], [0]]), np.array([[True], [False], [False]])).f1
    array([0.66666667])
    """
    present = targets.astype(bool)
    axis = None if micro else 0
    both = np.atleast_1d((present & given).sum(axis=axis))
    there, said = np.atleast_1d(present.sum(axis=axis)), np.atleast_1d(given.sum(axis=axis))
    return Rates(both / np.maximum(said, 1), both / np.maximum(there, 1), 2 * both / np.maximum(there + said, 1))


def tuned_threshold(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> float:
    """The threshold, in steps of 0.01, with the best macro F1; among equals the one nearest to 0.5.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    scores : array of float in [0, 1], shape (n_images, n_labels)
        What the network gives.
    """
    macro = [rates(targets, scores >= threshold).f1.mean() for threshold in THRESHOLDS]
    return float(max(zip(macro, -np.abs(THRESHOLDS - 0.5), THRESHOLDS, strict=True))[2])


def average_precisions(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Average precision of each label, not a number for a label that no image has; mAP is its mean over the rest."""
    return np.array(
        [
            average_precision_score(targets[:, j], scores[:, j]) if targets[:, j].any() else np.nan
            for j in range(targets.shape[1])
        ]
    )


def measures(
    targets: NDArray[np.integer], scores: NDArray[np.floating], thresholds: Mapping[str, float]
) -> dict[str, float | dict[str, float]]:
    """Measures over all labels, for a metrics file.

    Parameters
    ----------
    targets, scores : arrays, shape (n_images, n_labels)
        As in `tuned_threshold`.
    thresholds : mapping of str to float
        A label counts as given from this score on; by the name under which its measures stand. One is ``tuned``.

    Returns
    -------
    dict
        ``map``, ``tuned_threshold``, and for each threshold F1, precision and recall, micro and macro. A label that is
        never given, or never there, has F1 0.
    """
    result: dict[str, float | dict[str, float]] = {
        "map": float(np.nanmean(average_precisions(targets, scores))),
        "tuned_threshold": thresholds["tuned"],
    }
    for name, threshold in thresholds.items():
        row: dict[str, float] = {}
        for average in ("micro", "macro"):
            of = rates(targets, scores >= threshold, micro=average == "micro")
            row |= {
                f"{average}_f1": float(of.f1.mean()),
                f"{average}_precision": float(of.precision.mean()),
                f"{average}_recall": float(of.recall.mean()),
            }
        result[f"threshold_{name}"] = row
    return result


def label_measures(
    labels: Sequence[str],
    train_counts: NDArray[np.integer],
    targets: NDArray[np.integer],
    scores: NDArray[np.floating],
    thresholds: Mapping[str, float],
) -> pd.DataFrame:
    """Measures of each label.

    Parameters
    ----------
    labels : sequence of str
        Their names.
    train_counts : array of int, shape (n_labels,)
        Train images with the label, copies among them.
    targets, scores, thresholds
        As in `measures`.

    Returns
    -------
    pandas.DataFrame
        A row a label: ``label``, ``train``, ``test`` (images), ``average_precision``, and for each threshold
        ``precision_NAME``, ``recall_NAME`` and ``f1_NAME``.
    """
    table = pd.DataFrame(
        {
            "label": list(labels),
            "train": train_counts,
            "test": targets.sum(axis=0, dtype=np.int64),
            "average_precision": average_precisions(targets, scores),
        }
    )
    for name, threshold in thresholds.items():
        of = rates(targets, scores >= threshold)
        table[f"precision_{name}"], table[f"recall_{name}"], table[f"f1_{name}"] = of.precision, of.recall, of.f1
    return table


def compare(metrics: Mapping[str, Mapping[str, Any]], label_tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the measures of several arms side by side.

    Parameters
    ----------
    metrics : mapping of str to mapping
        For each arm what `measures` returned.
    label_tables : mapping of str to pandas.DataFrame
        For each arm what `label_measures` returned.

    Returns
    -------
    pandas.DataFrame
        A row a measure: ``label`` (``all`` first, then each), ``measure``, and a column an arm.
    """
    columns = {}
    for arm in metrics:
        overall = {
            ("all", name if name == key else f"{name}_{key.removeprefix('threshold_')}"): value
            for key, entry in metrics[arm].items()
            for name, value in (entry.items() if isinstance(entry, Mapping) else [(key, entry)])
        }
        single = {
            (row["label"], measure): row[measure]
            for row in label_tables[arm].to_dict("records")
            for measure in label_tables[arm].columns.drop("label")
        }
        columns[arm] = pd.Series({**overall, **single})
    table = pd.DataFrame(columns)
    table.index.names = ["label", "measure"]
    return table.reset_index()
