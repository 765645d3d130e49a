"""The results of an arm on the test images, and tables of what its networks confuse."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.outputs import read_label_table
from counterweight.explanation.chosen_images import wrong_cells
from counterweight.metrics import decisions
from counterweight.metrics.decisions import HEADLINE, DecisionRule, is_single_label
from counterweight.metrics.seed_means import scores_by_seed

_TEXT = {"image_id": "str", "label": "str"}
# What the page calls the networks of the two arms that it shows side by side.
NETWORKS = {"nothing": "without copies", "copies": "with copies"}
# The confusion matrices and tables of more labels would fill pages.
MAX_CONFUSED = 20


@dataclass(frozen=True)
class Arm:
    """Results of one arm. Curves and images are those of the first seed.

    Attributes
    ----------
    decisions : DecisionRule
        Of the first seed.
    scores : pandas.DataFrame
        Scores of the first seed, indexed by image id, for validation and test images.
    labels, curve : pandas.DataFrame
        The results of `counterweight.metrics.classification.label_metrics` (means over the seeds) and of
        `counterweight.metrics.plot_tables.precision_recall_table`.
    histories : mapping of int to pandas.DataFrame
        For each seed one row per epoch.
    confusion : str
        SVG of its confusion matrices.
    """

    decisions: DecisionRule
    scores: pd.DataFrame
    labels: pd.DataFrame
    histories: Mapping[int, pd.DataFrame]
    curve: pd.DataFrame
    confusion: str

    @property
    def history(self) -> pd.DataFrame:
        """The history of the first seed."""
        return next(iter(self.histories.values()))

    def scores_of(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the scores of images, shape (n_images, n_labels)."""
        scores: NDArray[np.float64] = self.scores.loc[rows["image_id"]].to_numpy(dtype=np.float64)
        return scores

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the results that the stages train and evaluate wrote for one arm."""
        models = decisions.seed_folders(folder / "models")
        scores = scores_by_seed(pd.read_csv(folder / "scores.csv", dtype=_TEXT, keep_default_na=False))
        curve = folder / "precision_recall.csv"
        return cls(
            decisions.read(next(iter(models.values()))),
            next(iter(scores.values())),
            read_label_table(folder / "labels.csv"),
            {seed: pd.read_csv(model / "history.csv") for seed, model in models.items()},
            pd.read_csv(curve, dtype=_TEXT, keep_default_na=False, na_values={"threshold": [""]}),
            (folder / "confusion.svg").read_text(encoding="utf-8"),
        )

    def predictions(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return the labels that images get by the task's headline decision, shape (n_images, n_labels)."""
        return self.decisions.apply(self.scores_of(rows), HEADLINE[self.decisions.task])


def gets_right(arm: Arm, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return whether an arm gives each image exactly its labels, as far as they are known, shape (n_images,)."""
    return np.asarray(~wrong_cells(manifest.targets(rows), arm.predictions(rows)).any(axis=1))


def confusion_tables(table: pd.DataFrame, arms: Mapping[str, Arm]) -> list[dict[str, Any]]:
    """Count the predictions of each arm on the test images, by the headline decision.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest.
    arms : mapping of str to Arm
        The arms.

    Returns
    -------
    list of dict
        Per arm its name, the ``head`` of its table, and ``rows``: a label, and pairs of a count and what the page's
        script filters images by. With exactly one label per image, there is a column per class; otherwise there are
        columns for images with the label that are found and missed, and for images without it that get it. Empty with
        more than 20 labels.
    """
    names = manifest.label_names(table)
    if len(names) > MAX_CONFUSED:
        return []
    test = manifest.rows_of_split(table, "test")
    targets = manifest.targets(test)
    tables = []
    for number, (name, arm) in enumerate(arms.items()):
        predicted, task = arm.predictions(test), arm.decisions.task
        single = is_single_label(task, HEADLINE[task])
        rows: list[list[Any]] = []
        for i, label in enumerate(names):
            has, lacks = targets[:, i] == 1, targets[:, i] == 0
            of_label = f"label={i}&split=test"
            if single:
                cells = [(has & predicted[:, j], f"{of_label}&predicted={number}:{j}") for j in range(len(names))]
            else:
                cells = [
                    (has & predicted[:, i], f"{of_label}&predicted={number}:{i}"),
                    (has & ~predicted[:, i], f"{of_label}&answer=wrong:{number}"),
                    (lacks & predicted[:, i], f"lacks={i}&split=test&predicted={number}:{i}"),
                ]
            rows.append([label, *((int(np.count_nonzero(images)), query) for images, query in cells)])
        head = ["actual \\ predicted", *names] if single else ["label", "found", "missed", "false alarms"]
        tables.append({"arm": name, "head": head, "rows": rows})
    return tables
