import numpy as np
import pandas as pd
import pytest

from counterweight.evidence.comparison import compare, compare_aggregates


@pytest.fixture
def two_arms() -> dict[str, tuple[dict[str, object], pd.DataFrame]]:
    """Metrics and label table of each arm; no test image has the second label."""
    return {
        arm: (
            {"map": score, "tuned_threshold": 0.4, "threshold_0.5": {"micro_f1": score / 2}},
            pd.DataFrame({"label": ["sea", "zoo"], "train": [9, 3], "average_precision": [score, np.nan]}),
        )
        for arm, score in (("original", 0.5), ("balanced", 0.75))
    }


def test_comparison_has_one_column_per_arm_and_the_aggregates_first(
    two_arms: dict[str, tuple[dict[str, object], pd.DataFrame]],
) -> None:
    table = compare(
        {arm: metrics for arm, (metrics, _) in two_arms.items()},
        {arm: labels for arm, (_, labels) in two_arms.items()},
    )
    assert table.columns.tolist() == ["label", "measure", "original", "balanced"]
    assert table.iloc[:-1].to_numpy().tolist() == [
        ["all", "map", 0.5, 0.75],
        ["all", "tuned_threshold", 0.4, 0.4],
        ["all", "micro_f1_0.5", 0.25, 0.375],
        ["sea", "train", 9, 9],
        ["sea", "average_precision", 0.5, 0.75],
        ["zoo", "train", 3, 3],
    ]


def test_comparison_keeps_rows_of_nan(
    two_arms: dict[str, tuple[dict[str, object], pd.DataFrame]],
) -> None:
    table = compare(
        {arm: metrics for arm, (metrics, _) in two_arms.items()},
        {arm: labels for arm, (_, labels) in two_arms.items()},
    )
    last = table.iloc[-1]
    assert (last["label"], last["measure"]) == ("zoo", "average_precision")
    assert last[["original", "balanced"]].isna().all()


def test_validation_metrics_have_a_prefix() -> None:
    arm = {"map": 0.5, "threshold_argmax": {"macro_f1": 0.25}}
    table = compare_aggregates({"original": {**arm, "validation": arm}})
    assert table.to_numpy().tolist() == [
        ["map", 0.5],
        ["macro_f1_argmax", 0.25],
        ["validation_map", 0.5],
        ["validation_macro_f1_argmax", 0.25],
    ]


def test_text_and_label_thresholds_are_left_out() -> None:
    metrics = {"headline": "tuned", "positive": "dog", "map": 0.5, "thresholds": {"dog": 0.3}}
    assert compare_aggregates({"original": metrics})["measure"].tolist() == ["map"]


def test_metric_that_an_arm_lacks_is_nan() -> None:
    table = compare_aggregates({"original": {"macro_auc": None, "map": 0.5}, "balanced": {"map": 0.75, "more": 1.0}})
    assert table["measure"].tolist() == ["macro_auc", "map", "more"]
    assert table["original"].isna().tolist() == [True, False, True]
    assert table["balanced"].isna().tolist() == [True, False, False]


def test_label_named_all_is_kept_apart_from_the_aggregates() -> None:
    labels = pd.DataFrame({"label": ["all"], "map": [0.25]})
    table = compare({"original": {"map": 0.5}}, {"original": labels})
    assert table.to_numpy().tolist() == [["all", "map", 0.5], ["all", "map", 0.25]]
