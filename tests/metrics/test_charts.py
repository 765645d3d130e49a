import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from counterweight.metrics.charts import COLORS, bar_chart, chart_style, comparison_chart, confusion_chart

SVG = "{http://www.w3.org/2000/svg}"


def arm(labels: list[str], train: list[int], f1: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"label": labels, "train": train, "f1": f1})


def texts(path: Path) -> list[str]:
    """The texts of the chart, as a viewer shows them."""
    return ["".join(text.itertext()) for text in ElementTree.parse(path).iter(f"{SVG}text")]


def after_ticks(path: Path) -> list[str]:
    """The texts after the six ticks of the axis, 0.0 to 1.0."""
    drawn = texts(path)
    assert drawn[:6] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    return drawn[6:]


@pytest.fixture
def two_arms() -> dict[str, pd.DataFrame]:
    return {
        "nothing": arm(["desert", "sea"], [57, 350], [0.25, 0.75]),
        "copies": arm(["desert", "sea"], [301, 360], [0.5, 0.875]),
    }


def test_same_values_give_the_same_bytes(two_arms: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        comparison_chart(two_arms, "f1", "F1 on test", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_chart_lists_labels_and_their_train_images_commonest_first(
    two_arms: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    comparison_chart(two_arms, "f1", "F1 on test", tmp_path / "chart.svg")
    assert after_ticks(tmp_path / "chart.svg")[:4] == ["sea", "350 → 360", "desert", "57 → 301"]


def test_chart_has_a_title_and_a_legend_with_the_mean_of_each_arm(
    two_arms: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    comparison_chart(two_arms, "f1", "F1 on test", tmp_path / "chart.svg")
    assert texts(tmp_path / "chart.svg")[-4:] == [
        "F1 on test", "below each label its train images, without and with copies",
        "nothing, mean 0.500", "copies, mean 0.688",
    ]  # fmt: skip


def test_train_images_that_arms_have_in_common_are_given_once(tmp_path: Path) -> None:
    tables = {
        name: arm(["desert", "sea"], [copied, 350], [0.5, 0.5])
        for name, copied in (("nothing", 57), ("weights", 57), ("copies", 301), ("copies+weights", 301))
    }
    comparison_chart(tables, "f1", "", tmp_path / "chart.svg")
    assert after_ticks(tmp_path / "chart.svg")[:4] == ["sea", "350", "desert", "57 → 301"]


def test_equally_common_labels_are_sorted_by_name(tmp_path: Path) -> None:
    comparison_chart({"nothing": arm(["sun", "fog", "ice"], [5, 5, 9], [0, 0, 0])}, "f1", "", tmp_path / "chart.svg")
    drawn = texts(tmp_path / "chart.svg")
    assert [text for text in drawn if text in {"sun", "fog", "ice"}] == ["ice", "fog", "sun"]


def test_arms_are_joined_by_label_not_by_position(tmp_path: Path) -> None:
    tables = {"nothing": arm(["a", "b"], [9, 1], [1, 0]), "copies": arm(["b", "a"], [5, 10], [0, 1])}
    comparison_chart(tables, "f1", "", tmp_path / "chart.svg")
    assert after_ticks(tmp_path / "chart.svg")[:4] == ["a", "9 → 10", "b", "1 → 5"]


def test_nan_is_left_out_of_the_mean(tmp_path: Path) -> None:
    comparison_chart({"nothing": arm(["a", "b"], [9, 1], [0.5, np.nan])}, "f1", "", tmp_path / "chart.svg")
    assert "nothing, mean 0.500" in texts(tmp_path / "chart.svg")


@pytest.mark.parametrize(
    "label",
    ["<b>sea</b>", "sea & sun", "5 < 6", '"sea"', "a_b^c", "$5", "$x$ and $y$", r"$\frac{$", "sea\\sun", "_sea"],
)
def test_label_is_drawn_verbatim(label: str, tmp_path: Path) -> None:
    comparison_chart({"nothing": arm([label], [7], [0.5])}, "f1", "F1 on test", tmp_path / "chart.svg")
    assert after_ticks(tmp_path / "chart.svg")[:2] == [label, "7"]


def test_chart_height_grows_with_the_number_of_labels(tmp_path: Path) -> None:
    heights = {}
    for count in (2, 40):
        names = [f"label {i}" for i in range(count)]
        comparison_chart({"nothing": arm(names, [1] * count, [0.5] * count)}, "f1", "", tmp_path / "chart.svg")
        heights[count] = ElementTree.parse(tmp_path / "chart.svg").getroot().get("height")
    # 0.28 inches per label plus 1.2, at 72 points per inch.
    assert heights == {2: "126.72pt", 40: "892.8pt"}


def test_nan_has_no_number_in_the_chart(tmp_path: Path) -> None:
    bar_chart(["naive", "tuned"], {"recall": [0.125, np.nan], "accuracy": [0.75, 1.0]}, "", tmp_path / "chart.svg")
    drawn = after_ticks(tmp_path / "chart.svg")
    assert [text for text in drawn if text[0].isdigit()] == ["0.125", "0.750", "1.000"]


def test_folder_of_the_chart_is_created(two_arms: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    comparison_chart(two_arms, "f1", "F1", tmp_path / "results" / "chart.svg")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["chart.svg"]


@pytest.fixture
def counts() -> dict[str, NDArray[np.int64]]:
    """Confusion matrices between three classes, and of each class at a threshold."""
    classes = np.array([[31, 2, 3], [4, 25, 6], [7, 8, 19]])
    return {"argmax": classes, "0.5": np.array([[[71, 9], [10, 11]], [[62, 12], [13, 14]], [[53, 15], [16, 17]]])}


def test_same_counts_give_the_same_bytes(counts: dict[str, NDArray[np.int64]], tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        confusion_chart(["fig", "kiwi", "pear"], counts, "Counts", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_confusion_chart_shows_every_count_once(counts: dict[str, NDArray[np.int64]], tmp_path: Path) -> None:
    confusion_chart(["fig", "kiwi", "pear"], counts, "Counts", tmp_path / "chart.svg")
    shown = [int(text) for text in texts(tmp_path / "chart.svg") if text.isdecimal()]
    assert sorted(shown) == sorted([*counts["argmax"].ravel().tolist(), *counts["0.5"].ravel().tolist()])


def test_confusion_chart_names_its_decisions_and_labels(counts: dict[str, NDArray[np.int64]], tmp_path: Path) -> None:
    confusion_chart(["fig", "kiwi", "pear"], counts, "Counts", tmp_path / "chart.svg")
    drawn = [text for text in texts(tmp_path / "chart.svg") if not text.isdecimal()]
    assert drawn == [
        "Counts",
        "argmax: rows actual, columns predicted",
        *("fig", "fig", "kiwi", "kiwi", "pear", "pear"),
        "per label: rows actual no and yes, columns predicted no and yes",
        "0.5",
        *("fig", "kiwi", "pear"),
    ]


@pytest.mark.parametrize("label", ["<b>sea</b>", "sea & sun", '"sea"', "$5", r"$\\frac{$", "_sea", "Straße 7"])
def test_confusion_chart_has_a_label_verbatim(label: str, tmp_path: Path) -> None:
    matrices = {"tuned": np.array([[[5, 1], [2, 3]]]), "argmax": np.array([[4]])}
    confusion_chart([label], matrices, "Counts", tmp_path / "chart.svg")
    assert texts(tmp_path / "chart.svg").count(label) == 3


def test_confusion_chart_grows_in_height_not_in_width(tmp_path: Path) -> None:
    sizes = {}
    for n_labels in (2, 30):
        matrices = {"tuned": np.tile([[5, 1], [2, 3]], (n_labels, 1, 1))}
        confusion_chart(["label"] * n_labels, matrices, "Counts", tmp_path / "chart.svg")
        root = ElementTree.parse(tmp_path / "chart.svg").getroot()
        sizes[n_labels] = [float(root.attrib[side].removesuffix("pt")) for side in ("width", "height")]
    # 0.6 inches per label, at 72 points per inch.
    assert sizes[30][0] == sizes[2][0]
    assert sizes[30][1] - sizes[2][1] == pytest.approx(28 * 0.6 * 72)


def test_of_many_labels_the_commonest_and_the_rarest_are_drawn(tmp_path: Path) -> None:
    labels = [f"label {i:03}" for i in range(100)]
    classes = np.diag(np.arange(100))
    per_label = np.array([[[100 - i, 0], [0, i]] for i in range(100)])
    for matrices in ({"argmax": classes}, {"0.5": per_label}):
        confusion_chart(labels, matrices, "Counts", tmp_path / "chart.svg")
        drawn = texts(tmp_path / "chart.svg")
        assert drawn[0] == "Counts, for the 30 commonest and the 30 rarest of 100 labels"
        named = {text for text in drawn if text.startswith("label ")}
        assert named == {f"label {i:03}" for i in [*range(30), *range(70, 100)]}


def test_a_comparison_of_many_labels_shows_both_ends_and_the_mean_of_all(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"label": [f"l{i:03}" for i in range(100)], "train": range(100), "f1": [0.2] * 50 + [0.6] * 50}
    )
    comparison_chart({"nothing": table}, "f1", "F1 on test", tmp_path / "chart.svg")
    drawn = texts(tmp_path / "chart.svg")
    assert "F1 on test, the 30 commonest and the 30 rarest of 100 labels" in drawn
    assert "nothing, mean 0.400" in drawn
    assert sum(text.startswith("l0") for text in drawn) == 60


def test_row_without_images_is_drawn(tmp_path: Path) -> None:
    confusion_chart(["sea", "sun"], {"argmax": np.array([[0, 0], [2, 3]])}, "Counts", tmp_path / "chart.svg")
    assert texts(tmp_path / "chart.svg")[-4:] == ["0", "0", "2", "3"]


def test_arms_have_the_first_colors_of_the_palette(two_arms: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    comparison_chart(two_arms, "f1", "F1 on test", tmp_path / "chart.svg")
    fills = re.findall(r"fill: (#\w{6})", (tmp_path / "chart.svg").read_text())
    # Two bars per arm, then the legend.
    assert [fill for fill in fills if fill in COLORS] == [*([COLORS[0]] * 2), *([COLORS[1]] * 2), COLORS[0], COLORS[1]]


def test_bars_are_in_the_order_of_groups_and_legend_from_top_to_bottom(tmp_path: Path) -> None:
    bars = {"recall": [0.125, 0.25], "accuracy": [0.75, 0.875]}
    bar_chart(["naive", "tuned"], bars, "", tmp_path / "chart.svg")
    heights = {}
    for text in ElementTree.parse(tmp_path / "chart.svg").iter(f"{SVG}text"):
        heights["".join(text.itertext())] = float(str(text.get("y")))
    assert sorted(["0.125", "0.250", "0.750", "0.875"], key=heights.__getitem__) == ["0.125", "0.750", "0.250", "0.875"]


def test_counts_are_drawn_row_by_row(counts: dict[str, NDArray[np.int64]], tmp_path: Path) -> None:
    confusion_chart(["fig", "kiwi", "pear"], counts, "Counts", tmp_path / "chart.svg")
    drawn = [int(text) for text in texts(tmp_path / "chart.svg") if text.isdecimal()]
    assert drawn == [*counts["argmax"].ravel().tolist(), *counts["0.5"].ravel().tolist()]


def test_cells_with_more_than_half_of_their_row_have_white_text(tmp_path: Path) -> None:
    confusion_chart(["sea", "sun"], {"argmax": np.array([[9, 11], [1, 13]])}, "Counts", tmp_path / "chart.svg")
    elements = ElementTree.parse(tmp_path / "chart.svg").iter(f"{SVG}text")
    assert [text.text for text in elements if "fill: #ffffff" in str(text.get("style"))] == ["11", "13"]


def test_chart_style_has_the_given_text_color_and_ends_with_the_block() -> None:
    before = mpl.rcParams["text.color"]
    with chart_style("#010203"):
        assert {mpl.rcParams[key] for key in ("text.color", "axes.edgecolor", "xtick.color")} == {"#010203"}
        assert mpl.rcParams["svg.fonttype"] == "none"
    assert mpl.rcParams["text.color"] == before


def test_cells_are_shaded_from_none_of_their_row_to_all_of_it(tmp_path: Path) -> None:
    confusion_chart(["sea", "sun"], {"argmax": np.array([[5, 0], [0, 3]])}, "Counts", tmp_path / "chart.svg")
    fills = re.findall(r"fill: (#\w{6})", (tmp_path / "chart.svg").read_text())
    none, everything = "#f7fbff", "#08306b"
    assert [fill for fill in fills if fill != "#ffffff"] == [everything, none, none, everything]
