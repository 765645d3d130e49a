from pathlib import Path

import numpy as np
import openpyxl
import pytest

from counterweight.base.errors import InputError
from counterweight.dataset.label_sheet import LabelSheet, SheetConfig, check_source, open_label_sheet
from counterweight.images.sources import open_images
from counterweight.sheets.spreadsheet import Sheet

COLUMNS = {"image": "id", "split": "split", "labels": "class"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of class cat, and one of 'cow, bull'."""
    for name in ("cat/a.jpg", "cat/b.jpg", "cow, bull/c.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    return tmp_path / "images"


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    (tmp_path / "s.csv").write_text("id,class\n" + "x,cat\n" * 11)
    return tmp_path / "s.csv"


def test_a_sheet_is_read_unchanged(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,split,class\na,train,cat\n")
    expected = Sheet(["id", "split", "class"], [["a", "train", "cat"]])
    assert open_label_sheet(tmp_path / "s.csv", SheetConfig(**COLUMNS)) == LabelSheet(
        expected, "id", "split", "class", None
    )


def test_rows_in_the_order_of_an_array_get_a_column_of_numbers(sheet: Path) -> None:
    rows = open_label_sheet(sheet, SheetConfig(image=None, split=None, labels=["cat"], allowed=["cat"]))
    assert rows.sheet.columns == ["id", "class", "image_id"]
    assert [row[2] for row in rows.sheet.rows] == ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10"]
    assert (rows.image, rows.split, rows.labels, rows.label_names) == ("image_id", None, ["cat"], ["cat"])
    assert rows.in_order


def test_the_users_own_image_id_column_is_kept(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("image_id,class\nx,cat\n")
    rows = open_label_sheet(tmp_path / "s.csv", SheetConfig(image=None, split=None, labels="class"))
    assert (rows.image, rows.sheet) == ("image_id_2", Sheet(["image_id", "class", "image_id_2"], [["x", "cat", "0"]]))


def test_class_folders_have_no_split_column_and_their_names_are_the_labels(folder: Path) -> None:
    rows = open_label_sheet(folder, SheetConfig(**COLUMNS))
    assert (rows.image, rows.split, rows.labels, rows.label_names) == ("id", None, "class", ["cat", "cow, bull"])
    assert rows.sheet.rows[2] == ["cow, bull/c.jpg", "cow, bull"]


def test_allowed_labels_keep_their_order_and_may_have_no_folder(folder: Path) -> None:
    labels = ["emu", "cow, bull", "cat"]
    assert open_label_sheet(folder, SheetConfig(**COLUMNS, allowed=labels)).label_names == labels


def test_a_class_folder_that_is_not_allowed_is_reported_once(folder: Path) -> None:
    with pytest.raises(InputError) as error:
        open_label_sheet(folder, SheetConfig(**COLUMNS, allowed=["cow, bull", "dog"]))
    assert str(error.value) == (
        f"{folder}: 1 problem\n  folder 'cat' is not one of cow, bull, dog. Rename it, or add it to data.labels."
    )


@pytest.mark.parametrize("changes", [{"labels": ["cat", "dog"]}, {"image": None}, {"labels": "id"}, {"split": "id"}])
def test_class_folders_need_three_column_names(changes: dict[str, object], folder: Path) -> None:
    with pytest.raises(InputError, match=r"data\.columns needs three different names: image, split"):
        open_label_sheet(folder, SheetConfig(**(COLUMNS | changes)))


def test_a_folder_as_the_sheet_must_be_the_folder_of_the_images(folder: Path, tmp_path: Path) -> None:
    rows = open_label_sheet(folder, SheetConfig(**COLUMNS))
    check_source(rows, folder, tmp_path / "images/../images", open_images(folder))
    with pytest.raises(InputError, match=r"data\.sheet is a folder other than data\.images"):
        check_source(rows, folder, tmp_path, open_images(tmp_path))


def test_without_an_image_column_there_must_be_as_many_rows_as_images(sheet: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((12, 2, 2), np.uint8))
    rows = open_label_sheet(sheet, SheetConfig(image=None, split=None, labels="class"))
    with pytest.raises(InputError) as error:
        check_source(rows, sheet, tmp_path / "x.npy", open_images(tmp_path / "x.npy"))
    assert str(error.value) == (
        f"{sheet}: 11 rows, but {tmp_path}/x.npy has 12 images. With data.columns.image null, row i is image i. Make "
        "the two numbers equal, or set data.columns.image to a column of image numbers."
    )


def test_with_an_image_column_there_may_be_fewer_rows_than_images(sheet: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((12, 2, 2), np.uint8))
    rows = open_label_sheet(sheet, SheetConfig(image="id", split=None, labels="class"))
    check_source(rows, sheet, tmp_path / "x.npy", open_images(tmp_path / "x.npy"))


def test_rows_of_one_image_are_merged_if_asked(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,split,class\na,train,cat\nb,test,dog\na,train,dog\n")
    config = SheetConfig(**COLUMNS, join_rows=True)
    sheet = open_label_sheet(tmp_path / "s.csv", config).sheet
    assert sheet.rows == [["a", "train", "cat,dog"], ["b", "test", "dog"]]
    assert [sheet.place(i) for i in (0, 1)] == ["row 2", "row 3"]


def test_a_worksheet_is_read_by_its_name(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["about this file"])
    labels = book.create_sheet("labels")
    labels.append(["id", "split", "class"])
    labels.append(["a", "train", "cat"])
    book.save(tmp_path / "s.xlsx")
    rows = open_label_sheet(tmp_path / "s.xlsx", SheetConfig(**COLUMNS, worksheet="labels"))
    assert rows.sheet.rows == [["a", "train", "cat"]]
