import numpy as np
import pandas as pd
import pytest

from counterweight.dataset.missing_labels import Imputation, imputed_table, summary, unchanged


def test_every_imputed_cell_is_listed() -> None:
    probabilities = np.array([[np.nan, 0.25], [0.75, 0.5]])
    imputation = Imputation(np.array([[1, 0], [1, 1]], np.int8), probabilities, {}, [])
    assert imputed_table(pd.Series(["x", "y"]), ["sea", "sky"], imputation).to_dict("list") == {
        "image_id": ["x", "y", "y"],
        "label": ["sky", "sea", "sky"],
        "probability": [0.25, 0.75, 0.5],
        "value": [0, 1, 1],
    }


def test_the_summary_has_counts_and_scores_per_label_and_on_average() -> None:
    probabilities = np.array([[np.nan, 0.25, np.nan], [0.75, 0.5, np.nan]])
    scores = {"sea": {"auc": 0.9, "average_precision": 0.5}, "sky": {"auc": 0.7, "average_precision": 0.25}}
    imputation = Imputation(np.zeros((2, 3), np.int8), probabilities, scores, ["sun"])
    assert summary(imputation, ["sea", "sky", "sun"]) == {
        "filled": 3,
        "auc": pytest.approx(0.8),
        "average_precision": 0.375,
        "labels": {
            "sea": {"filled": 1, "auc": 0.9, "average_precision": 0.5},
            "sky": {"filled": 2, "auc": 0.7, "average_precision": 0.25},
        },
    }


def test_without_imputed_cells_the_summary_counts_none() -> None:
    imputation = unchanged(np.array([[0], [-1]], dtype=np.int8))
    assert summary(imputation, ["sea"]) == {"filled": 0, "labels": {}}
    assert (
        imputed_table(pd.Series(["x", "y"]), ["sea"], imputation).to_csv(index=False)
        == "image_id,label,probability,value\n"
    )
