import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.report.run_warnings import cautions

NOTHING = {"dropped_rows": 0, "unlisted_files": 0, "duplicates": {"groups": 0, "leaks": 0, "other_labels": 0}}


@pytest.fixture
def table() -> pd.DataFrame:
    """An image of each split, all with the one label."""
    ids = ["a.png", "b.png", "c.png"]
    return manifest.build(ids, ids, ["train", "val", "test"], ["sea"], np.ones((3, 1), dtype=np.int8), [""] * 3)


def test_run_in_which_nothing_is_odd_has_none(table: pd.DataFrame) -> None:
    assert cautions(table, NOTHING, {"unfit_images": 0}, "IMAGENET1K_V1") == []


def test_gravest_comes_first(table: pd.DataFrame) -> None:
    odd = {"dropped_rows": 3, "unlisted_files": 4, "duplicates": {"groups": 9, "leaks": 1, "other_labels": 2}}
    assert cautions(table, odd, {"unfit_images": 5}, "random") == [
        "1 images stand in a part that is judged later too: results there look better than they are.",
        "2 images have other labels than a duplicate of theirs.",
        "3 rows were dropped.",
        "4 images have no row, and took no part.",
        "5 images gave no good copy, and others took their turns.",
        "The features are of random weights: they see colour and texture, and not what an image shows.",
    ]


def test_label_that_a_part_has_no_image_of_is_named(table: pd.DataFrame) -> None:
    less = table.assign(**{"label:sea": [1, 1, 0]})
    assert cautions(less, NOTHING, {"unfit_images": 0}, "weights.pth") == [
        "No image of test has 'sea': nothing can be said of how well it is found."
    ]
