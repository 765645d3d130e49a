"""Tables of the metrics of several arms, one column per arm."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

_DECISION = "threshold_"


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
