from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from stages.core.charts import comparison_chart

SVG = "{http://www.w3.org/2000/svg}"


def arm(labels: list[str], train: list[int], f1: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"label": labels, "train": train, "f1": f1})


def texts(path: Path) -> list[str]:
    """What the chart says, as a viewer would show it."""
    return ["".join(text.itertext()) for text in ElementTree.parse(path).iter(f"{SVG}text")]


@pytest.fixture
def two_arms() -> dict[str, pd.DataFrame]:
    return {
        "original": arm(["desert", "sea"], [57, 350], [0.25, 0.75]),
        "balanced": arm(["desert", "sea"], [301, 360], [0.5, 0.875]),
    }


def test_same_values_give_the_same_bytes(two_arms: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        comparison_chart(two_arms, "f1", "F1 on test", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_chart_names_each_label_and_its_train_images_the_commonest_first(
    two_arms: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    comparison_chart(two_arms, "f1", "F1 on test", tmp_path / "chart.svg")
    assert texts(tmp_path / "chart.svg")[:4] == ["sea", "350 → 360", "desert", "57 → 301"]


def test_chart_has_a_title_and_a_legend_with_the_mean_of_each_arm(
    two_arms: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    comparison_chart(two_arms, "f1", "F1 on test", tmp_path / "chart.svg")
    assert texts(tmp_path / "chart.svg")[-3:] == ["F1 on test", "original, mean 0.500", "balanced, mean 0.688"]


def test_equally_common_labels_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    comparison_chart({"original": arm(["sun", "fog", "ice"], [5, 5, 9], [0, 0, 0])}, "f1", "", tmp_path / "chart.svg")
    said = texts(tmp_path / "chart.svg")
    assert [text for text in said if text in {"sun", "fog", "ice"}] == ["ice", "fog", "sun"]


def test_rows_of_the_arms_are_put_together_by_label_not_by_place(tmp_path: Path) -> None:
    tables = {"original": arm(["a", "b"], [9, 1], [1, 0]), "balanced": arm(["b", "a"], [5, 10], [0, 1])}
    comparison_chart(tables, "f1", "", tmp_path / "chart.svg")
    assert texts(tmp_path / "chart.svg")[:4] == ["a", "9 → 10", "b", "1 → 5"]


def test_measure_that_is_not_a_number_is_left_out_of_the_mean(tmp_path: Path) -> None:
    comparison_chart({"original": arm(["a", "b"], [9, 1], [0.5, np.nan])}, "f1", "", tmp_path / "chart.svg")
    assert "original, mean 0.500" in texts(tmp_path / "chart.svg")


@pytest.mark.parametrize(
    "label",
    ["<b>sea</b>", "sea & sun", "5 < 6", '"sea"', "a_b^c", "$5", "$x$ and $y$", r"$\frac{$", "sea\\sun", "_sea"],
)
def test_label_is_drawn_as_it_is_written(label: str, tmp_path: Path) -> None:
    comparison_chart({"original": arm([label], [7], [0.5])}, "f1", "F1 on test", tmp_path / "chart.svg")
    assert texts(tmp_path / "chart.svg")[:2] == [label, "7"]


def test_chart_of_many_labels_is_wider(tmp_path: Path) -> None:
    widths = {}
    for count in (2, 40):
        names = [f"label {i}" for i in range(count)]
        comparison_chart({"original": arm(names, [1] * count, [0.5] * count)}, "f1", "", tmp_path / "chart.svg")
        widths[count] = ElementTree.parse(tmp_path / "chart.svg").getroot().get("width")
    # 0.7 inches of 72 points a label, and 2 more; at least 6.
    assert widths == {2: "432pt", 40: "2160pt"}


def test_folder_of_the_chart_is_made(two_arms: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    comparison_chart(two_arms, "f1", "F1", tmp_path / "results" / "chart.svg")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["chart.svg"]
