from pathlib import Path

import numpy as np
import pandas as pd

from counterweight.dataset.annotations import Annotations
from counterweight.dataset.data_warnings import about_duplicates, about_files, about_labels
from counterweight.dataset.duplicates import COLUMNS
from counterweight.metrics.imbalance import about_parts

PLACES = {"unlisted": Path("unlisted.csv"), "dropped": Path("dropped.csv")}


def rows(targets: list[list[int]]) -> Annotations:
    values = np.array(targets)
    return Annotations(["a", "b"], None, ["cat", "dog"], values, values == -1, [])


def test_what_is_left_out_is_said() -> None:
    assert about_files(0, 0, PLACES) == []
    assert about_files(2, 3, PLACES) == [
        "2 images without a row are left out, listed in unlisted.csv",
        "3 rows are dropped, listed with the reason in dropped.csv",
    ]


def test_missing_cells_are_said_with_what_becomes_of_them() -> None:
    assert about_labels(rows([[1, -1], [0, -1]]), "mask") == [
        "label cells are missing, 2 of 'dog': they are left out of loss and metrics"
    ]


def test_images_without_a_label_are_said() -> None:
    assert about_labels(rows([[0, 0], [1, 0]]), "mask") == [
        "1 rows have no label; they take part as images that show none"
    ]


def test_labels_that_a_part_has_no_image_of_are_said_with_what_that_means() -> None:
    some, none = np.array([[1, 1, 0]]), np.array([[0, 1, -1]])
    assert about_parts(["a", "b", "c"], {"train": some, "val": none, "test": np.array([[1, 1, 1]])}) == [
        "no image of train has 'c': nothing can be learnt of it",
        "no image of val has 'a', 'c': no threshold can be tuned for it",
    ]


def test_duplicates_leaks_and_contradictions_are_said() -> None:
    table = pd.DataFrame(
        [(0, 2, "a", "train", "exact", "b", 0, "b", "", 0), (0, 3, "b", "test", "exact", "a", 0, "", "", 0)]
        + [(1, 4 + i, str(i), "train", "near", "9", 1, "", "9", 0) for i in range(4)],
        columns=list(COLUMNS),
    )
    assert about_duplicates(table, Path("duplicates.csv")) == [
        "6 images are 2 pictures that stand there more than once (2 with the same bytes as another), listed in "
        "duplicates.csv",
        "leak: 1 images of train or val stand in a part that is judged later too, 'a' of train is 'b': results there "
        "look better than they are. Set data.duplicates to drop",
        "4 images have other labels than a duplicate of theirs, '0' and '9', '1' and '9', '2' and '9', and others: "
        "look at them, and correct the sheet",
    ]
    assert about_duplicates(table.assign(dropped=1, other_labels=""), Path("duplicates.csv")) == [
        "6 images are 2 pictures that stand there more than once (2 with the same bytes as another), listed in "
        "duplicates.csv",
    ]
    assert about_duplicates(table[:0], Path("duplicates.csv")) == []
