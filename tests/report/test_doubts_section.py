from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.clustering.similar_images import COLUMNS
from counterweight.images import codec
from counterweight.report.doubts_section import doubts_section

NO_ISSUES = pd.DataFrame(columns=["image_id", "issue", "label", "score", "margin", "duplicate"])
COMPARED = {"compared": 1_000, "held_out": 2_500, "similar": 0}
NO_LEAKS = pd.DataFrame(columns=list(COLUMNS))


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Two train images."""
    names = ["a.png", "b.png"]
    sums = [codec.write(np.full((8, 8, 3), 90 * i, np.uint8), tmp_path / name, "png") for i, name in enumerate(names)]
    return manifest.build(names, names, ["train"] * 2, ["sea", "ice"], np.eye(2, dtype=np.int8), sums)


def test_likely_wrong_labels_are_pictured(table: pd.DataFrame, tmp_path: Path) -> None:
    issues = pd.DataFrame([["b.png", "surplus", "ice", 0.04, 0.9, ""]], columns=NO_ISSUES.columns)
    section = doubts_section(issues, NO_LEAKS, COMPARED, table, folder=tmp_path, images_per_group=2)
    assert [caption for _, caption in section["pictures"]] == ["b.png: ice surplus, score 0.04"]


def test_images_that_look_alike_and_differ_in_labels_are_pictured_in_pairs(table: pd.DataFrame, tmp_path: Path) -> None:
    rows = [
        ["b.png", "surplus", "ice", 0.04, 0.9, ""],
        ["a.png", "contradiction", "sea", 0.9, np.nan, "b.png"],
        ["b.png", "contradiction", "sea", 0.2, np.nan, "a.png"],
    ]
    issues = pd.DataFrame(rows, columns=NO_ISSUES.columns)
    section = doubts_section(issues, NO_LEAKS, COMPARED, table, folder=tmp_path, images_per_group=1)
    assert section["issues"] == "1 label to check"
    assert [caption for _, caption in section["pictures"]] == ["b.png: ice surplus, score 0.04"]
    assert section["alike"] == "2 images look like another one, and have other labels"
    assert [pair["caption"] for pair in section["pairs"]] == ["a.png: sea; b.png: ice"]


def test_a_pair_that_differs_in_two_labels_is_pictured_once_and_each_of_three_images_is(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    third = codec.write(np.full((8, 8, 3), 9, np.uint8), tmp_path / "c.png", "png")
    names = ["a.png", "b.png", "c.png"]
    table = manifest.build(
        names, names, ["train"] * 3, ["sea", "ice"], np.array([[1, 0], [0, 1], [0, 0]], np.int8),
        [*table["checksum"], third],
    )  # fmt: skip
    rows = [
        [one, "contradiction", label, 0.9, np.nan, other]
        for one, label, other in [
            ("a.png", "sea", "b.png"), ("b.png", "sea", "a.png"), ("c.png", "sea", "a.png"),
            ("a.png", "ice", "b.png"), ("b.png", "ice", "a.png"), ("c.png", "ice", "b.png"),
        ]
    ]  # fmt: skip
    issues = pd.DataFrame(rows, columns=NO_ISSUES.columns)
    section = doubts_section(issues, NO_LEAKS, COMPARED, table, folder=tmp_path, images_per_group=6)
    assert [pair["caption"] for pair in section["pairs"]] == [
        "a.png: sea; b.png: ice", "a.png: sea; c.png: no label", "b.png: ice; c.png: no label",
    ]  # fmt: skip


def test_images_that_are_similar_to_a_train_image_are_pictured_with_it(table: pd.DataFrame, tmp_path: Path) -> None:
    leaks = pd.DataFrame([["b.png", "test", "a.png", 0.913, 1]], columns=list(COLUMNS))
    section = doubts_section(NO_ISSUES, leaks, COMPARED, table, folder=tmp_path, images_per_group=2)
    assert section["leaks"] == "Validation and test images that look like a train image: 1"
    assert [pair["caption"] for pair in section["leaking"]] == ["b.png: ice; a.png: sea; cosine 0.91"]


def test_without_doubts_nothing_is_shown(table: pd.DataFrame, tmp_path: Path) -> None:
    section = doubts_section(NO_ISSUES, NO_LEAKS, COMPARED, table, folder=tmp_path, images_per_group=2)
    compared = "By their features, 1,000 of 2,500 validation and test images were compared with the train images."
    assert section == {
        "issues": "", "pictures": [], "alike": "", "pairs": [], "compared": compared, "leaks": "", "leaking": [],
    }  # fmt: skip
