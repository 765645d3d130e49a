import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.report.run_warnings import run_warnings

NOTHING = {"dropped_rows": 0, "unlisted_files": 0, "duplicates": {"groups": 0, "leaks": 0, "other_labels": 0}}


@pytest.fixture
def table() -> pd.DataFrame:
    """One image per split, all with the same label."""
    ids = ["a.png", "b.png", "c.png"]
    return manifest.build(ids, ids, ["train", "val", "test"], ["sea"], np.ones((3, 1), dtype=np.int8), [""] * 3)


def test_normal_run_has_no_warnings(table: pd.DataFrame) -> None:
    assert run_warnings(table, NOTHING, {"unfit_images": 0}, "IMAGENET1K_V1") == []


def test_most_serious_warning_comes_first(table: pd.DataFrame) -> None:
    odd = {"dropped_rows": 3, "unlisted_files": 4, "duplicates": {"groups": 9, "leaks": 1, "other_labels": 2}}
    assert run_warnings(table, odd, {"unfit_images": 5}, "random") == [
        "1 images also appear in a later split (leak): results there look better than they are.",
        "2 images have other labels than a duplicate.",
        "3 rows were dropped.",
        "4 images have no row and were left out.",
        "5 images gave no usable copy, so others were copied instead.",
        "The features come from random weights: they capture color and texture, not content.",
    ]


def test_label_without_an_image_in_a_split_is_named(table: pd.DataFrame) -> None:
    less = table.assign(**{"label:sea": [1, 1, 0]})
    assert run_warnings(less, NOTHING, {"unfit_images": 0}, "weights.pth") == [
        "No test image has 'sea': recall cannot be measured."
    ]
