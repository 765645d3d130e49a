import numpy as np
import pandas as pd
import pytest

from counterweight.evidence.comparison import (
    ArmDifference,
    arm_differences,
    arm_table,
    arm_to_deploy,
    compare,
    compare_aggregates,
    summarize,
)
from counterweight.metrics.bootstrap import Interval


@pytest.fixture
def two_arms() -> dict[str, tuple[dict[str, object], pd.DataFrame]]:
    """Metrics and label table of each arm; no test image has the second label."""
    return {
        arm: (
            {"map": score, "tuned_threshold": 0.4, "threshold_0.5": {"micro_f1": score / 2}},
            pd.DataFrame({"label": ["sea", "zoo"], "train": [9, 3], "average_precision": [score, np.nan]}),
        )
        for arm, score in (("nothing", 0.5), ("copies", 0.75))
    }


def test_comparison_has_one_column_per_arm_and_the_aggregates_first(
    two_arms: dict[str, tuple[dict[str, object], pd.DataFrame]],
) -> None:
    table = compare(
        {arm: metrics for arm, (metrics, _) in two_arms.items()},
        {arm: labels for arm, (_, labels) in two_arms.items()},
    )
    assert table.columns.tolist() == ["label", "measure", "nothing", "copies"]
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
    assert last[["nothing", "copies"]].isna().all()


def test_validation_metrics_have_a_prefix() -> None:
    arm = {"map": 0.5, "threshold_argmax": {"macro_f1": 0.25}}
    table = compare_aggregates({"nothing": {**arm, "validation": arm}})
    assert table.to_numpy().tolist() == [
        ["map", 0.5],
        ["macro_f1_argmax", 0.25],
        ["validation_map", 0.5],
        ["validation_macro_f1_argmax", 0.25],
    ]


def test_text_and_label_thresholds_are_left_out() -> None:
    metrics = {"headline": "tuned", "positive": "dog", "map": 0.5, "thresholds": {"dog": 0.3}}
    assert compare_aggregates({"nothing": metrics})["measure"].tolist() == ["map"]


def test_metric_that_an_arm_lacks_is_nan() -> None:
    table = compare_aggregates({"nothing": {"macro_auc": None, "map": 0.5}, "copies": {"map": 0.75, "more": 1.0}})
    assert table["measure"].tolist() == ["macro_auc", "map", "more"]
    assert table["nothing"].isna().tolist() == [True, False, True]
    assert table["copies"].isna().tolist() == [True, False, False]


def test_label_named_all_is_kept_apart_from_the_aggregates() -> None:
    labels = pd.DataFrame({"label": ["all"], "map": [0.25]})
    table = compare({"nothing": {"map": 0.5}}, {"nothing": labels})
    assert table.to_numpy().tolist() == [["all", "map", 0.5], ["all", "map", 0.25]]


TRUE = np.array([[1, 0], [1, 0], [1, 1], [0, 1]] * 5)
RIGHT = (TRUE == 1)[np.newaxis]
ALL = np.ones_like(RIGHT)
# Misses the first label of each first image.
MISSES = np.where(np.arange(20)[:, np.newaxis] % 4 == 0, [[False, False]], RIGHT)
SAMPLES = {"n_samples": 100, "seed": 0}


def test_each_arm_is_compared_with_nothing_whatever_the_order_of_the_arms() -> None:
    predictions = {"copies+weights": RIGHT, "weights": ALL, "nothing": MISSES, "copies": ALL}
    differences = arm_differences(TRUE, predictions, np.array([1]), **SAMPLES)
    assert list(differences) == list(predictions)
    of_nothing = (0.8 + 1) / 2  # Two of three images with the first label are found.
    of_all = (6 / 7 + 2 / 3) / 2
    for arm, f1 in (("nothing", of_nothing), ("weights", of_all), ("copies", of_all), ("copies+weights", 1.0)):
        assert differences[arm].macro_f1.value == pytest.approx(f1)
        assert differences[arm].difference.value == pytest.approx(round(f1, 3) - round(of_nothing, 3))
    assert differences["copies+weights"].difference.low > 0
    assert differences["copies"].difference.high < 0
    assert differences["nothing"].difference == Interval(0.0, 0.0, 0.0)


def test_the_rarest_labels_have_differences_of_their_own() -> None:
    predictions = {"nothing": MISSES, "copies": ALL}
    copies = arm_differences(TRUE, predictions, np.array([1]), **SAMPLES)["copies"]
    assert copies.rare_f1.value == pytest.approx(2 / 3)
    assert copies.rare_difference.value == pytest.approx(0.667 - 1)
    first = arm_differences(TRUE, predictions, np.array([0]), **SAMPLES)["copies"]
    assert first.rare_f1.value == pytest.approx(6 / 7)
    assert first.rare_difference.value == pytest.approx(0.857 - 0.8)


def metrics_file(score: float, validation: float | None, decision: str = "tuned") -> dict[str, object]:
    """What arm_table reads of a metrics file."""
    return {
        "headline": decision,
        "seeds": 3,
        "map": score,
        "macro_auc": None,
        "brier": score / 2,
        "calibration_error": score / 4,
        "calibrated_error": score / 8,
        "threshold_0.5": {"macro_f1": 0.0},
        "validation": {"threshold_0.5": {"macro_f1": 0.0}, f"threshold_{decision}": {"macro_f1": validation}},
    }


def difference(change: float, spread: float = 0.125) -> ArmDifference:
    interval = Interval(change, change - spread, change + spread)
    return ArmDifference(Interval(0.5, 0.25, 0.75), interval, Interval(0.4, 0.2, 0.6), Interval(0.1, 0.0, 0.2))


@pytest.mark.parametrize("decision", ["tuned", "argmax"])
def test_the_table_of_arms_has_their_intervals_and_headline_metrics(decision: str) -> None:
    table = arm_table({"copies": difference(0.25)}, {"copies": metrics_file(0.5, 0.875, decision)})
    assert table.iloc[0].to_dict() == {
        "arm": "copies", "seeds": 3,
        "macro_f1": 0.5, "macro_f1_low": 0.25, "macro_f1_high": 0.75,
        "difference": 0.25, "difference_low": 0.125, "difference_high": 0.375,
        "rare_f1": 0.4, "rare_f1_low": 0.2, "rare_f1_high": 0.6,
        "rare_difference": 0.1, "rare_difference_low": 0.0, "rare_difference_high": 0.2,
        "map": 0.5, "macro_auc": pytest.approx(np.nan, nan_ok=True), "brier": 0.25, "calibration_error": 0.125,
        "calibrated_error": 0.0625, "validation_macro_f1": 0.875,
    }  # fmt: skip


def arms(**validation_and_change: tuple[float | None, float]) -> pd.DataFrame:
    """A table of arms with these macro F1 on validation, and differences of macro F1 on test."""
    return arm_table(
        {arm: difference(change) for arm, (_, change) in validation_and_change.items()},
        {arm: metrics_file(0.5, validation) for arm, (validation, _) in validation_and_change.items()},
    )


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (arms(nothing=(0.5, 0.0), weights=(0.7, 0.0), copies=(0.6, 0.3)), "weights"),  # The test rows do not choose.
        (arms(nothing=(0.5, 0.0), weights=(0.5, 0.2), copies=(0.5, 0.3)), "nothing"),  # The simplest of equals.
        (arms(nothing=(0.5, 0.0), weights=(0.6, 0.0), copies=(0.9, -0.2)), "weights"),  # Copies did harm.
        (arms(nothing=(0.5, 0.0), copies=(0.9, -0.1)), "copies"),  # Not clearly.
        (arms(nothing=(None, 0.0), copies=(0.4, 0.0)), "copies"),
        (arms(nothing=(None, 0.0), copies=(None, 0.0)), "nothing"),
    ],
)
def test_the_best_arm_on_validation_that_did_no_harm_is_deployed(table: pd.DataFrame, expected: str) -> None:
    assert arm_to_deploy(table) == expected


def test_the_summary_is_of_copies_against_nothing() -> None:
    assert summarize(arms(nothing=(None, 0.0), weights=(0.25, -0.5), copies=(0.75, 0.125))) == {
        "nothing": {"macro_f1": 0.5, "map": 0.5, "validation_macro_f1": None},
        "weights": {"macro_f1": 0.5, "map": 0.5, "validation_macro_f1": 0.25},
        "copies": {"macro_f1": 0.5, "map": 0.5, "validation_macro_f1": 0.75},
        "copies_against_nothing": {"difference": 0.125, "difference_low": 0.0, "difference_high": 0.25},
    }
