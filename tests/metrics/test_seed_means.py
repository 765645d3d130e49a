from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base.outputs import write_table
from counterweight.metrics.classification import LabelRoles
from counterweight.metrics.decisions import DecisionRule, decision_names
from counterweight.metrics.seed_means import (
    deviations,
    evaluate_seed,
    mean_metrics,
    mean_table,
    score_table,
    scores_by_seed,
)


def test_metrics_are_averaged_at_every_depth_and_text_is_that_of_the_first_seed() -> None:
    first = {"headline": "tuned", "map": 0.25, "thresholds": {"sea": 0.2}, "validation": {"threshold_0.5": {"f1": 1}}}
    second = {"headline": "other", "map": 0.75, "thresholds": {"sea": 0.6}, "validation": {"threshold_0.5": {"f1": 0}}}
    assert mean_metrics([first, second]) == {
        "headline": "tuned",
        "map": 0.5,
        "thresholds": {"sea": pytest.approx(0.4)},
        "validation": {"threshold_0.5": {"f1": 0.5}},
    }


def test_a_metric_that_one_seed_lacks_is_averaged_over_the_others() -> None:
    assert mean_metrics([{"map": None}, {"map": 0.25}, {"map": 0.75}]) == {"map": 0.5}
    assert mean_metrics([{"map": None}, {"map": None}]) == {"map": None}


def metrics_of(score: float | None) -> dict[str, object]:
    return {"map": score, "macro_auc": 0.5, "threshold_0.5": {"macro_f1": 0.0}, "threshold_tuned": {"macro_f1": score}}


def test_the_deviation_is_the_sample_standard_deviation_of_the_headline_decision() -> None:
    # The deviations from 0.5 are 0.25, 0 and 0.25; the sum of squares is divided by 2.
    found = deviations([metrics_of(score) for score in (0.25, 0.5, 0.75)], "tuned")
    assert found == {"map": 0.25, "macro_auc": 0.0, "macro_f1": 0.25}


def test_one_seed_has_no_deviation_and_neither_has_what_is_unknown() -> None:
    assert deviations([metrics_of(0.5)], "tuned") == {"map": None, "macro_auc": None, "macro_f1": None}
    assert deviations([metrics_of(None), metrics_of(0.5)], "tuned")["map"] is None


def label_table(f1: list[float], tp: list[int], train: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"label": ["sea", "0"], "train": train, "f1": f1, "tp": tp})


def test_label_tables_are_averaged_and_equal_counts_stay_whole() -> None:
    mean = mean_table([label_table([0.25, np.nan], [1, 3], [9, 4]), label_table([0.75, 0.5], [2, 3], [9, 4])])
    expected = pd.DataFrame({"label": ["sea", "0"], "train": [9, 4], "f1": [0.5, np.nan], "tp": [1.5, 3.0]})
    pd.testing.assert_frame_equal(mean, expected)


def test_the_table_of_one_seed_stays_as_it_is() -> None:
    table = label_table([0.25, np.nan], [1, 3], [9, 4])
    pd.testing.assert_frame_equal(mean_table([table]), table)


def test_scores_come_back_by_seed_though_labels_have_the_names_of_other_columns(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["007", "NA"], "split": ["val", "test"], "path": ["a", "b"]})
    scores = {3: np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), 4: np.array([[0.7, 0.8, 0.9], [0.0, 1.0, 0.5]])}
    write_table(score_table(table, ["seed", "split", "image_id"], scores), tmp_path / "scores.csv")
    read = pd.read_csv(tmp_path / "scores.csv", dtype={"image_id": "str"}, keep_default_na=False)
    assert read.iloc[:, :3].to_numpy().tolist() == [
        ["007", "val", 3], ["NA", "test", 3], ["007", "val", 4], ["NA", "test", 4],
    ]  # fmt: skip
    found = scores_by_seed(read)
    assert list(found) == [3, 4]
    for seed, values in scores.items():
        assert found[seed].loc[["NA", "007"]].to_numpy(dtype=np.float64).tolist() == values[::-1].tolist()


def test_the_metrics_of_a_seed_are_those_of_its_own_rule_on_test_and_on_validation() -> None:
    rule = DecisionRule("multilabel", ["sea", "sun"], None, 0.25, {"sea": 0.25, "sun": 0.75})
    y_true = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    test = np.array([[0.3, 0.1], [0.1, 0.6], [0.9, 0.8], [0.2, 0.2]])
    roles = LabelRoles.from_train_targets("multilabel", rule.labels, None, y_true)
    metrics, labels = evaluate_seed(
        rule, decision_names("multilabel", [0.5]), roles, np.array([7, 5]), test=(y_true, test), val=(y_true, 1 - test)
    )
    assert (metrics["headline"], metrics["tuned_threshold"]) == ("tuned", 0.25)
    assert metrics["threshold_tuned"]["macro_f1"] == 1.0
    # At 0.5 one of two images with the first label is missed, at its own threshold one of two with the second.
    assert metrics["threshold_0.5"]["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["threshold_per_label"]["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["validation"]["threshold_0.5"]["macro_f1"] == pytest.approx((2 * 1 / (2 * 1 + 2 + 1) + 0) / 2)
    assert metrics["map"] == 1.0
    # Without a calibration, the probabilities are the scores.
    assert metrics["calibrated_error"] == metrics["calibration_error"]
    assert labels[["label", "train", "test", "tp_tuned", "tp_per_label"]].to_numpy().tolist() == [
        ["sea", 7, 2, 2, 2], ["sun", 5, 2, 2, 1],
    ]  # fmt: skip
