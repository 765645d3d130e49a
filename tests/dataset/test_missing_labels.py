import numpy as np
import pytest

from counterweight.dataset.missing_labels import Filling, Quality, filled_table, nothing_filled, summary


def test_every_cell_that_was_filled_is_listed() -> None:
    probabilities = np.array([[np.nan, 0.25], [0.75, 0.5]])
    filling = Filling(np.array([[1, 0], [1, 1]], np.int8), probabilities, {}, [])
    assert filled_table(["x", "y"], ["sea", "sky"], filling).to_dict("list") == {
        "image_id": ["x", "y", "y"],
        "label": ["sky", "sea", "sky"],
        "probability": [0.25, 0.75, 0.5],
        "value": [0, 1, 1],
    }


def test_the_summary_has_counts_and_qualities_and_their_means() -> None:
    probabilities = np.array([[np.nan, 0.25, np.nan], [0.75, 0.5, np.nan]])
    qualities = {"sea": Quality(0.9, 0.5), "sky": Quality(0.7, 0.25)}
    filling = Filling(np.zeros((2, 3), np.int8), probabilities, qualities, ["sun"])
    assert summary(filling, ["sea", "sky", "sun"]) == {
        "filled": 3,
        "auc": pytest.approx(0.8),
        "average_precision": 0.375,
        "labels": {
            "sea": {"filled": 1, "auc": 0.9, "average_precision": 0.5},
            "sky": {"filled": 2, "auc": 0.7, "average_precision": 0.25},
        },
    }


def test_where_nothing_is_filled_the_summary_says_so() -> None:
    filling = nothing_filled(np.array([[0], [-1]], dtype=np.int8))
    assert summary(filling, ["sea"]) == {"filled": 0, "labels": {}}
    assert filled_table(["x", "y"], ["sea"], filling).to_csv(index=False) == "image_id,label,probability,value\n"
