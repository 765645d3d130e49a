"""Comparison of the arms: a table of all metrics, intervals of macro F1, and the arm to deploy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.metrics.bootstrap import Interval, macro_f1_intervals

# Each arm is compared with this one.
BASELINE = "nothing"
OTHER_METRICS = ("map", "macro_auc", "brier", "calibration_error", "calibrated_error")
_DECISION = "threshold_"


@dataclass(frozen=True)
class ArmDifference:
    """Macro F1 of an arm on the test images, and by how much it differs from that of the baseline.

    Attributes
    ----------
    macro_f1, difference : Interval
        Over all labels.
    rare_f1, rare_difference : Interval
        Over the rarest third of the labels.
    """

    macro_f1: Interval
    difference: Interval
    rare_f1: Interval
    rare_difference: Interval


def arm_differences(
    y_true: NDArray[np.integer],
    predictions: Mapping[str, NDArray[np.bool_]],
    rare: NDArray[np.intp],
    *,
    n_samples: int,
    seed: int,
) -> dict[str, ArmDifference]:
    """Compare each arm with the baseline, by `macro_f1_intervals`.

    Parameters
    ----------
    y_true : array of int, shape (n_images, n_labels)
        1 if the test image has the label, 0 if not, -1 if unknown.
    predictions : mapping of str to array of bool, shape (n_seeds, n_images, n_labels)
        Predictions of each arm.
    rare : array of int
        Columns of the rarest third of the labels.
    n_samples, seed : int
        Number and seed of the bootstrap samples.
    """
    baseline = predictions[BASELINE]
    differences = {}
    for arm, predicted in predictions.items():
        overall, of_rare = (
            macro_f1_intervals(
                y_true[:, columns], baseline[:, :, columns], predicted[:, :, columns], n_samples=n_samples, seed=seed
            )
            for columns in (np.arange(y_true.shape[1]), rare)
        )
        differences[arm] = ArmDifference(overall[1], overall[2], of_rare[1], of_rare[2])
    return differences


def arm_table(differences: Mapping[str, ArmDifference], metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Tabulate the arms: intervals on the test images, the other headline metrics, and macro F1 on validation.

    Parameters
    ----------
    differences : mapping of str to ArmDifference
        The result of `arm_differences`.
    metrics : mapping of str to mapping
        Content of the metrics file of each arm.
    """
    rows = []
    for arm, difference in differences.items():
        content = metrics[arm]
        decision = f"{_DECISION}{content['headline']}"
        row: dict[str, Any] = {"arm": arm, "seeds": content["seeds"]}
        for name in ("macro_f1", "difference", "rare_f1", "rare_difference"):
            interval = getattr(difference, name)
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        row |= {name: content[name] for name in OTHER_METRICS}
        rows.append(row | {"validation_macro_f1": content["validation"][decision]["macro_f1"]})
    return pd.DataFrame(rows).astype({name: "float64" for name in rows[0] if name not in ("arm", "seeds")})


def arm_to_deploy(table: pd.DataFrame) -> str:
    """Choose the arm with the best macro F1 on validation, but none that did harm on the test images.

    ``table`` is the result of `arm_table`, the simplest arm first, which wins among equals.
    """
    harmless = table[~(table["difference_high"] < 0)]
    on_validation = harmless.set_index("arm")["validation_macro_f1"].dropna()
    return str(on_validation.idxmax()) if len(on_validation) else BASELINE


def summarize(table: pd.DataFrame) -> dict[str, Any]:
    """Return the few numbers of the arms that fit a screen, with the digits of the page, for a metrics file."""
    names = ("macro_f1", "map", "validation_macro_f1")
    arms = {
        str(row["arm"]): {name: None if pd.isna(row[name]) else round(float(row[name]), 3) for name in names}
        for _, row in table.iterrows()
    }
    copies = table[table["arm"] == "copies"].iloc[0]
    interval = {name: round(float(copies[name]), 3) for name in ("difference", "difference_low", "difference_high")}
    return {**arms, "copies_against_nothing": interval}


def compare(metrics: Mapping[str, Mapping[str, Any]], label_tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tabulate the metrics over all labels, then those of each label.

    Parameters
    ----------
    metrics : mapping of str to mapping
        Content of the metrics file of each arm.
    label_tables : mapping of str to pandas.DataFrame
        The result of `counterweight.metrics.classification.label_metrics` for each arm.

    Returns
    -------
    pandas.DataFrame
        One row per metric: ``label``, ``measure``, and one column per arm. The rows of `compare_aggregates` come first,
        with the label ``all``.
    """
    by_label = _side_by_side(
        {arm: pd.concat(dict(table.set_index("label").T.items())) for arm, table in label_tables.items()}
    )
    by_label.index.names = ["label", "measure"]
    aggregates = compare_aggregates(metrics)
    aggregates.insert(0, "label", "all")
    return pd.concat([aggregates, by_label.reset_index()], ignore_index=True)


def compare_aggregates(metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Tabulate the metrics over all labels.

    Returns
    -------
    pandas.DataFrame
        One row per metric: ``measure``, such as ``map``, ``macro_f1_tuned`` or ``validation_macro_f1_tuned``, and one
        column per arm, NaN if the arm lacks the metric. Text and the thresholds of single labels are left out.
    """
    numbers = {arm: pd.Series(dict(_numbers(content)), dtype="float64") for arm, content in metrics.items()}
    return _side_by_side(numbers).rename_axis("measure").reset_index()


def _side_by_side(columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Combine columns of numbers; rows keep the order in which they first appear."""
    return pd.concat(columns, axis=1, sort=False).astype("float64")


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    for key, value in content.items():
        if key == "validation":
            yield from _numbers(value, f"{key}_")
        elif key.startswith(_DECISION):
            yield from ((f"{prefix}{name}_{key.removeprefix(_DECISION)}", number) for name, number in value.items())
        elif value is None or isinstance(value, (int, float)):
            yield prefix + key, value
