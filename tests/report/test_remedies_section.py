from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.base.outputs import read_label_table, write_table
from counterweight.images import codec
from counterweight.report.remedies_section import METRICS, affinity_section, remedies_section

SUMMARY = {
    "no_signal": None, "sentence": "Recommended: weights.", "if_balanced": "",
    "settings": {"train.arms": ["nothing", "weights", "copies"], "augment.strategy": "none"},
}  # fmt: skip

TABLE = manifest.build(["a"], ["a"], ["train"], ["sea", "ice"], np.zeros((1, 2), np.int8), ["a"])
AFFINITY_COLUMNS = [
    "pipeline", "augmenter", "copies", "labels", "seen_on_sources", "seen_on_copies", "affinity", "diversity",
]  # fmt: skip


@pytest.fixture
def remedies() -> pd.DataFrame:
    """Two remedies, and an answer that ignores the images."""
    rows = [("remedy", "nothing", 0.5), ("remedy", "weights", 0.6), ("chance", "every label", 0.4)]
    columns = ("macro_f1_difference", "macro_f1_low", "macro_f1_high")
    return pd.DataFrame(
        {"kind": kind, "remedy": name, **dict.fromkeys(METRICS, f1), **dict.fromkeys(columns, f1 - 0.5)}
        for kind, name, f1 in rows
    )


def curve(tmp_path: Path, *rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Average precision of labels at 30, 60 and 100 %, written and read as by the stages."""
    points = [
        (label, fraction, value)
        for label, *values in rows
        for fraction, value in zip((0.3, 0.6, 1.0), values, strict=True)
    ]
    write_table(pd.DataFrame(points, columns=["label", "fraction", "average_precision"]), tmp_path / "curve.csv")
    return read_label_table(tmp_path / "curve.csv")


def test_the_command_sets_what_is_recommended(remedies: pd.DataFrame, tmp_path: Path) -> None:
    points = curve(tmp_path, ("sea", 0.5, 0.6, 0.6))
    section = remedies_section(remedies, SUMMARY, points, TABLE)
    assert section["command"] == ("dvc exp run -S 'train.arms=[nothing,weights,copies]' -S augment.strategy=none")
    assert [row[:2] for row in section["rows"]] == [
        ["nothing", "0.500"], ["weights", "0.600"], ["chance: every label", "0.400"],
    ]  # fmt: skip


def test_labels_that_still_gain_are_named(remedies: pd.DataFrame, tmp_path: Path) -> None:
    points = curve(tmp_path, ("sea", 0.5, 0.6, 0.7), ("ice", 0.5, 0.6, 0.61))
    section = remedies_section(remedies, SUMMARY, points, TABLE)
    assert section["growth"] == (
        "More images would help 1 of 2 labels, whose average precision still grows from 60 to 100 % of the train "
        "images: sea (+0.10)."
    )


def test_a_label_of_no_train_image_has_no_curve(remedies: pd.DataFrame, tmp_path: Path) -> None:
    points = curve(tmp_path, ("sea", 0.5, 0.6, 0.6), ("ice", np.nan, np.nan, np.nan))
    section = remedies_section(remedies, SUMMARY, points, TABLE)
    assert section["growth"].endswith("no label gains: better features would help more than more images.")


def test_what_copies_still_show_is_said_with_the_augmenters_that_hide_most(tmp_path: Path) -> None:
    rows = [
        ["article", "", 1_200, 2_400, 0.91, 0.55, 0.604, 1.5],
        ["article", "1. Fliplr", 40, 80, 0.9, 0.9, 1.0, 1.02],
        ["article", "2. AverageBlur", 40, 80, 0.9, 0.72, 0.8, 1.1],
        ["article", "3. Cutout", 40, 80, 0.9, 0.45, 0.5, 1.2],
        ["mine", "", 9, 0, 0.0, 0.0, np.nan, np.nan],
    ]
    codec.write(np.zeros((96, 288, 3), np.uint8), tmp_path / "3.jpg", "jpg")
    section = affinity_section(pd.DataFrame(rows, columns=AFFINITY_COLUMNS), tmp_path)
    assert section["sentences"] == [
        "Copies by article still show 55% of the labels that they inherit; their sources show 91%. Of its augmenters "
        "alone, these leave least of what sources show: Cutout 50%, AverageBlur 80%.",
        "Copies by mine still show 0% of the labels that they inherit; their sources show 0%.",
    ]
    assert section["rows"][0] == ["article", "1,200", "2,400", "91%", "55%", "60%", "1.50"]
    assert section["rows"][3] == ["article: 3. Cutout", "40", "80", "90%", "45%", "50%", "1.20"]
    assert section["rows"][4] == ["mine", "9", "0", "0%", "0%", "", ""]
    assert [caption for _, caption in section["strips"]] == ["article: 3. Cutout, affinity 50%"]
    assert section["strips"][0][0].startswith("data:image/jpeg;base64,")


def test_without_pipelines_there_is_no_chart(tmp_path: Path) -> None:
    section = affinity_section(pd.DataFrame(columns=AFFINITY_COLUMNS), tmp_path)
    assert section == {"sentences": [], "chart": "", "strips": [], "rows": []}
