"""What was taken for what: tables of counts, and scikit-learn's classification report.

Arrays are as in `counterweight.metrics.per_label`; a cell that is not known takes no part.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import classification_report, confusion_matrix

from counterweight.metrics.per_label import Given, Targets, comparable, rates

COLUMNS = ("decision", "label", "actual", "predicted", "count")


def confusions(
    labels: Sequence[str], targets: Targets, given: Mapping[str, Given], one_each: Collection[str]
) -> dict[str, NDArray[np.int64]]:
    """Counts of each decision.

    Parameters
    ----------
    labels : sequence of str
        Names of the columns.
    targets : array
        What is there.
    given : mapping of str to array
        What each decision gives, by its name.
    one_each : collection of str
        Names of the decisions that give exactly one label to every image, of a task where an image has exactly one.

    Returns
    -------
    dict of str to array of int
        Of those a matrix (n_labels, n_labels), a row an actual class and a column a predicted one. Of the others a
        matrix a label, (n_labels, 2, 2): images without and with it, not given and given it.
    """
    found = {}
    known = (targets >= 0).all(axis=1)
    for name, decided in given.items():
        of = rates(targets, decided)
        matrices = np.stack([of.tn, of.fp, of.fn, of.tp], axis=1).reshape(-1, 2, 2)
        if name in one_each:
            matrices = np.zeros((len(labels), len(labels)), np.int64)
            if known.any():  # Of no rows scikit-learn makes no matrix.
                classes = (cells[known].argmax(axis=1) for cells in (targets, decided))
                matrices = confusion_matrix(*classes, labels=np.arange(len(labels)))
        found[name] = matrices
    return found


def confusion_table(labels: Sequence[str], matrices: Mapping[str, NDArray[np.int64]]) -> pd.DataFrame:
    """The counts of `confusions` as a table.

    Returns
    -------
    pandas.DataFrame
        A row a count: ``decision``, ``label``, ``actual``, ``predicted``, ``count``. Of a matrix of classes, actual and
        predicted are their names, and label is empty; of a label, they are 0 and 1.
    """
    rows: list[tuple[str, str, str, str, int]] = []
    for name, matrix in matrices.items():
        if matrix.ndim == 2:
            rows += [
                (name, "", labels[i], labels[j], int(matrix[i, j])) for i, j in product(range(len(labels)), repeat=2)
            ]
        else:
            rows += [
                (name, label, str(i), str(j), int(matrix[k, i, j]))
                for k, label in enumerate(labels)
                for i, j in product((0, 1), repeat=2)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def report(labels: Sequence[str], targets: Targets, given: Mapping[str, Given], titles: Mapping[str, str]) -> str:
    """scikit-learn's classification report of each decision, under its title.

    Parameters
    ----------
    labels, targets, given
        As in `confusions`.
    titles : mapping of str to str
        What to write above the report of each decision.
    """
    some = (targets >= 0).any(axis=1)
    parts = []
    for name, decided in given.items():
        there, said, columns = comparable(targets[some], decided[some])
        text = (
            classification_report(there, said, labels=columns, target_names=list(labels), digits=3, zero_division=0)
            if some.any()
            else "nothing is known of these images\n"
        )
        parts.append(f"{titles[name]}\n\n{text}")
    return "\n\n".join(parts)
