from pathlib import Path

import pandas as pd

from recipes.chart import approaches_chart


def test_a_measure_of_nothing_has_no_number_in_the_chart(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "approach": ["naive", "a & b"],
            "minority_recall": [0.125, None],
            "majority_recall": [0.5, 0.25],
            "accuracy": [0.75, 1.0],
        }
    )
    approaches_chart(table, tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text()
    assert "a &amp; b" in drawn
    assert [number in drawn for number in (">0.125<", ">0.500<", ">0.250<", ">0.750<", ">1.000<", ">nan<")] == [
        *[True] * 5, False,
    ]  # fmt: skip
