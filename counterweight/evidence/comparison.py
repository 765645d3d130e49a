"""The measures of several arms side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

_DECISION = "threshold_"


def compare(metrics: Mapping[str, Mapping[str, Any]], label_tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the measures of several arms side by side.

    Parameters
    ----------
    metrics : mapping of str to mapping
        For each arm the content of its metrics file.
    label_tables : mapping of str to pandas.DataFrame
        For each arm what `counterweight.metrics.classification.label_measures` returned.

    Returns
    -------
    pandas.DataFrame
        A row a measure: ``label`` (``all`` first, then each), ``measure``, and a column an arm. The rows of ``all`` are
        those of `compare_overall`.
    """
    single = {
        arm: {(row["label"], name): row[name] for row in table.to_dict("records") for name in table.columns[1:]}
        for arm, table in label_tables.items()
    }
    by_label = _side_by_side(single)
    by_label.index.names = ["label", "measure"]
    overall = compare_overall(metrics)
    overall.insert(0, "label", "all")
    return pd.concat([overall, by_label.reset_index()], ignore_index=True)


def compare_overall(metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Put the measures over all labels side by side.

    Parameters
    ----------
    metrics : mapping of str to mapping
        As in `compare`.

    Returns
    -------
    pandas.DataFrame
        A row a measure: ``measure``, such as ``map``, ``macro_f1_tuned`` and ``validation_macro_f1_tuned``, and a
        column an arm, not a number where an arm lacks it. Words are left out, and thresholds of single labels.
    """
    table = _side_by_side({arm: dict(_numbers(content)) for arm, content in metrics.items()})
    return table.rename_axis("measure").reset_index()


def _side_by_side(columns: Mapping[str, Mapping[Any, float | None]]) -> pd.DataFrame:
    """Columns of numbers, their rows in the order in which they come."""
    rows = list(dict.fromkeys(key for values in columns.values() for key in values))
    index = pd.MultiIndex.from_tuples(rows) if rows and isinstance(rows[0], tuple) else pd.Index(rows)
    return pd.DataFrame(
        {arm: [values.get(key) for key in rows] for arm, values in columns.items()}, index=index, dtype="float64"
    )


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    for key, value in content.items():
        if key == "validation":
            yield from _numbers(value, f"{key}_")
        elif key.startswith(_DECISION):
            yield from ((f"{prefix}{name}_{key.removeprefix(_DECISION)}", number) for name, number in value.items())
        elif value is None or isinstance(value, (int, float)):
            yield prefix + key, value
