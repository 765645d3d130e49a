"""How well scores agree with labels, by scikit-learn's measures.

Arrays are as in `counterweight.metrics.per_label`; a cell that is not known takes no part. A measure of nothing is
None, or not a number in an array or a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    hamming_loss,
    jaccard_score,
    precision_recall_fscore_support,
)

from counterweight.metrics.decisions import commonest, rarest
from counterweight.metrics.per_label import (
    BY_LABEL,
    Given,
    Scores,
    Targets,
    aucs,
    average_precisions,
    comparable,
    rates,
)

Measures = dict[str, float | None]

AVERAGES = ("micro", "macro", "weighted", "samples")
OVERALL = (
    *(f"{average}_{rate}" for average in AVERAGES for rate in ("f1", "precision", "recall")),
    *("macro_jaccard", "samples_jaccard", "hamming_loss", "accuracy", "exact_match", "balanced_accuracy", "g_mean"),
    *("sensitivity", "specificity", "minority_recall", "majority_recall"),
)
# Of the validation rows, so that a choice between recipes needs no look at the test rows.
ON_VALIDATION = ("micro_f1", "macro_f1", "balanced_accuracy", "minority_recall", "majority_recall")


@dataclass(frozen=True)
class Roles:
    """What the labels are to each other.

    Attributes
    ----------
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    labels : list of str
        In the order of the columns.
    positive : str or None
        The positive one of two classes.
    rarest, commonest : str
        Among the user's own train images.
    """

    task: str
    labels: list[str]
    positive: str | None
    rarest: str
    commonest: str

    @classmethod
    def of(cls, task: str, labels: Sequence[str], positive: str | None, train: Targets) -> Self:
        """The roles by the targets of the user's own train images."""
        counts = (train == 1).sum(axis=0)
        return cls(task, list(labels), positive, rarest(labels, counts), commonest(labels, counts))


def overall(targets: Targets, given: Given, roles: Roles) -> Measures:
    """Measures of one decision over all labels.

    Returns
    -------
    dict
        The names of `OVERALL`: F1, precision and recall over all cells (micro), as means over labels (macro; weighted
        by their images) and over images (samples); Jaccard index, macro and samples; Hamming loss; exact match, of the
        images of which all is known. Sensitivity and specificity are those of the positive class, or means over labels.
        Accuracy is the mean over labels, or the fraction of images in the right class; balanced accuracy and G-mean are
        means over labels, or the arithmetic and the geometric mean of the classes' recalls.
    """
    known = targets >= 0
    some = known.any(axis=1)
    measures: Measures = dict.fromkeys(OVERALL)
    if not some.any():
        return measures
    there, said, labels = comparable(targets[some], given[some])
    for average in AVERAGES:
        how = {"labels": labels, "average": average, "zero_division": 0}
        found = precision_recall_fscore_support(there, said, **how)
        measures |= dict(zip((f"{average}_precision", f"{average}_recall", f"{average}_f1"), found[:3], strict=True))
        if f"{average}_jaccard" in OVERALL:
            measures[f"{average}_jaccard"] = jaccard_score(there, said, **how)
    measures["hamming_loss"] = hamming_loss(targets[known] == 1, given[known])
    whole = known[some].all(axis=1)
    measures["exact_match"] = accuracy_score(there[whole], said[whole]) if whole.any() else None

    of = rates(targets, given)
    if roles.task == "multilabel":
        by_label = {name: _mean(getattr(of, name)) for name in ("accuracy", "balanced_accuracy", "g_mean")}
    else:
        recalls = of.sensitivity[~np.isnan(of.sensitivity)]
        g_mean = float(np.prod(recalls)) ** (1 / len(recalls)) if len(recalls) else None
        by_label = {"accuracy": measures["exact_match"], "balanced_accuracy": _mean(recalls), "g_mean": g_mean}
    of_interest = [roles.positive] if roles.positive is not None else roles.labels
    for name, rate, whose in (
        ("sensitivity", of.sensitivity, of_interest),
        ("specificity", of.specificity, of_interest),
        ("minority_recall", of.sensitivity, [roles.rarest]),
        ("majority_recall", of.sensitivity, [roles.commonest]),
    ):
        by_label[name] = _mean(rate[[roles.labels.index(label) for label in whose]])
    measures |= by_label
    return {name: None if value is None else float(value) for name, value in measures.items()}


def measures(
    targets: Targets, scores: Scores, given: Mapping[str, Given], roles: Roles
) -> dict[str, float | Measures | None]:
    """Measures over all labels, for a metrics file.

    Parameters
    ----------
    targets, scores : arrays
        As in `counterweight.metrics.per_label`.
    given : mapping of str to array
        Of each decision, by its name.
    roles : Roles
        What the labels are to each other.

    Returns
    -------
    dict
        ``map``, the mean average precision, ``macro_auc``, and for each decision as ``threshold_NAME`` what `overall`
        returns.
    """
    return {
        "map": _mean(average_precisions(targets, scores)),
        "macro_auc": _mean(aucs(targets, scores)),
        **{f"threshold_{name}": overall(targets, of, roles) for name, of in given.items()},
    }


def on_validation(
    targets: Targets, scores: Scores, given: Mapping[str, Given], roles: Roles
) -> dict[str, float | Measures | None]:
    """Of `measures` those that a choice between recipes needs: of the decisions, `ON_VALIDATION` alone."""
    return {
        name: {key: found[key] for key in ON_VALIDATION} if isinstance(found, dict) else found
        for name, found in measures(targets, scores, given, roles).items()
    }


def label_measures(
    labels: Sequence[str],
    train_counts: NDArray[np.integer],
    targets: Targets,
    scores: Scores,
    given: Mapping[str, Given],
) -> pd.DataFrame:
    """Measures of each label.

    Parameters
    ----------
    labels : sequence of str
        Their names.
    train_counts : array of int, shape (n_labels,)
        Train images with the label, copies among them.
    targets, scores, given
        As in `measures`.

    Returns
    -------
    pandas.DataFrame
        A row a label: ``label``, ``train``, ``test`` (images), ``average_precision``, ``auc``, and for each decision
        ``precision_NAME``, ``recall_NAME`` and so on: every rate and count of `Rates`.
    """
    table = pd.DataFrame(
        {
            "label": list(labels),
            "train": train_counts,
            "test": (targets == 1).sum(axis=0),
            "average_precision": average_precisions(targets, scores),
            "auc": aucs(targets, scores),
        }
    )
    for name, decided in given.items():
        of = rates(targets, decided)
        table = table.assign(**{f"{rate}_{name}": getattr(of, rate) for rate in BY_LABEL})
    return table


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of those that are numbers; None if none is."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else None
