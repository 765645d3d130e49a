from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.provenance import append_copies, arm_table, cluster_sizes, copies_table, train_sources
from counterweight.base import manifest
from counterweight.base.errors import InputError


def copy_of(source: Source, number: int) -> MadeCopy:
    name = source.path.replace(".jpg", f"__copy{number}.jpg")
    return MadeCopy(name, name, source, f"sum of {name}", ())


@pytest.fixture
def table() -> pd.DataFrame:
    """Two clusters of train images, a validation image and a test image."""
    return manifest.build(
        image_ids=["a.jpg", "b.jpg", "c.jpg", "t.jpg", "v.jpg"],
        paths=["a.jpg", "b.jpg", "c.jpg", "t.jpg", "v.jpg"],
        splits=["train", "train", "train", "test", "val"],
        labels=["cat", "dog"],
        targets=np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0, 1]]),
        checksums=["sum a", "sum b", "sum c", "sum t", "sum v"],
        clusters=[0, 0, 1, pd.NA, pd.NA],
    )


@pytest.fixture
def with_two_copies(table: pd.DataFrame) -> pd.DataFrame:
    c = Source("c.jpg", "c.jpg", "sum c")
    return append_copies(table, [copy_of(c, 1), copy_of(c, 2)])


def test_the_draws_of_each_copy_are_counted_by_reason() -> None:
    c = Source("c.jpg", "c.jpg", "sum c")
    third, first = ("contrast",), ("uniform", "contrast", "uniform")
    copies = [
        replace(copy_of(c, 3), rejections=third, by_fallback=True, shown=0.99996),
        copy_of(c, 2),
        replace(copy_of(c, 1), rejections=first, shown=1.25),
    ]
    expected = pd.DataFrame(
        {"image_id": [f"c__copy{i}.jpg" for i in (1, 2, 3)], "uniform": [2, 0, 0], "contrast": [1, 0, 1],
         "by_fallback": [False, False, True], "shown": [1.25, np.nan, 0.9999]}
    )  # fmt: skip
    pd.testing.assert_frame_equal(copies_table(copies, ["uniform", "contrast"]), expected)


def test_cluster_sizes_count_train_images_and_copies(with_two_copies: pd.DataFrame) -> None:
    assert cluster_sizes(with_two_copies) == {"0": 2, "1": 3}


def test_sources_are_the_train_images_in_the_order_of_the_table(table: pd.DataFrame) -> None:
    assert train_sources(table) == [
        Source("a.jpg", "a.jpg", "sum a"),
        Source("b.jpg", "b.jpg", "sum b"),
        Source("c.jpg", "c.jpg", "sum c"),
    ]


def test_copy_inherits_labels_cluster_and_split(with_two_copies: pd.DataFrame) -> None:
    copy = with_two_copies.set_index("image_id").loc["c__copy1.jpg"]
    assert copy.to_dict() == {
        "path": "c__copy1.jpg",
        "split": "train",
        "source_id": "c.jpg",
        "cluster": 1,
        "label:cat": 0,
        "label:dog": 1,
        "checksum": "sum of c__copy1.jpg",
    }


def test_table_with_copies_is_sorted_and_keeps_its_rows(table: pd.DataFrame, with_two_copies: pd.DataFrame) -> None:
    assert with_two_copies["image_id"].tolist() == [
        "a.jpg", "b.jpg", "c.jpg", "c__copy1.jpg", "c__copy2.jpg", "t.jpg", "v.jpg",
    ]  # fmt: skip
    originals = with_two_copies[with_two_copies["source_id"] == ""].reset_index(drop=True)
    pd.testing.assert_frame_equal(originals, table)


@pytest.mark.parametrize(
    ("arm", "images"),
    [
        ("nothing", "a b c t v"),
        ("weights", "a b c t v"),
        ("copies", "a b c c__copy1 c__copy2 t v"),
        ("copies+weights", "a b c c__copy1 c__copy2 t v"),
    ],
)
def test_an_arm_has_the_copies_only_if_they_are_one_of_its_remedies(
    arm: str, images: str, with_two_copies: pd.DataFrame
) -> None:
    before = with_two_copies.copy()
    rows = arm_table(with_two_copies, arm)
    assert rows["image_id"].tolist() == [f"{image}.jpg" for image in images.split()]
    assert rows.index.tolist() == list(range(len(rows)))
    pd.testing.assert_frame_equal(with_two_copies, before)


def test_an_arm_has_no_clusters_and_is_written_as_it_is_read(with_two_copies: pd.DataFrame, tmp_path: Path) -> None:
    rows = arm_table(with_two_copies, "copies")
    assert rows["cluster"].isna().all()
    pd.testing.assert_frame_equal(rows.drop(columns="cluster"), with_two_copies.drop(columns="cluster"))
    manifest.write(rows, tmp_path / "copies.csv")
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "copies.csv"), rows, check_dtype=False)


def test_images_that_are_left_out_are_unused_in_the_arms_with_copies_alone(table: pd.DataFrame, tmp_path: Path) -> None:
    balanced = append_copies(table, [copy_of(Source("c.jpg", "c.jpg", "sum c"), 1)], ["b.jpg"])
    assert dict(zip(balanced["image_id"], balanced["split"], strict=True)) == {
        "a.jpg": "train", "b.jpg": "unused", "c.jpg": "train", "c__copy1.jpg": "train", "t.jpg": "test", "v.jpg": "val",
    }  # fmt: skip
    manifest.write(balanced, tmp_path / "manifest.csv")  # It is a valid one.
    assert cluster_sizes(balanced) == {"0": 1, "1": 2}
    assert arm_table(balanced, "copies")["image_id"].tolist() == ["a.jpg", "c.jpg", "c__copy1.jpg", "t.jpg", "v.jpg"]
    plain = arm_table(balanced, "weights")
    assert manifest.rows_of_split(plain, "train")["image_id"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]


def test_without_copies_the_table_stays_the_same(table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(append_copies(table, []), table, check_dtype=False)


def test_input_table_is_not_changed(table: pd.DataFrame) -> None:
    before = table.copy()
    append_copies(table, [copy_of(Source("c.jpg", "c.jpg", "sum c"), 1)])
    pd.testing.assert_frame_equal(table, before)


def test_copy_with_the_id_of_an_image_is_an_error(table: pd.DataFrame) -> None:
    table.loc[3, "image_id"] = "c__copy1.jpg"
    with pytest.raises(InputError) as error:
        append_copies(table, [copy_of(Source("c.jpg", "c.jpg", "sum c"), 1)])
    assert str(error.value) == (
        "data.sheet: 1 problem\n  image 'c__copy1.jpg' has the name of a copy. Rename it in the sheet and the folder."
    )
