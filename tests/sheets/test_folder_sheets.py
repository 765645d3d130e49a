from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.sheets.folder_sheets import read_sheets_of_splits, sheet_in, sheets_of_splits, with_groups
from counterweight.sheets.spreadsheet import Sheet


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """What Roboflow exports: a sheet beside the images of each split, and spaces in its first row."""
    for part, names in (("train", ["a_jpg.rf.1.jpg", "a_jpg.rf.2.jpg"]), ("valid", ["b_jpg.rf.3.jpg"])):
        (tmp_path / part).mkdir()
        lines = ["filename, sea, sky", *(f"{name}, 1, 0" for name in names)]
        (tmp_path / part / "_classes.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_sheets_of_splits_are_read_as_one(export: Path) -> None:
    sheet, split, group = read_sheets_of_splits(export, None, None, None)
    assert (sheet.columns, split, group) == (["filename", "sea", "sky", "split", "group"], "split", "group")
    assert sheet.rows == [
        ["train/a_jpg.rf.1.jpg", " 1", " 0", "train", "a_jpg"],
        ["train/a_jpg.rf.2.jpg", " 1", " 0", "train", "a_jpg"],
        ["valid/b_jpg.rf.3.jpg", " 1", " 0", "valid", "b_jpg"],
    ]
    assert [sheet.place(i) for i in (1, 2)] == ["train/_classes.csv row 3", "valid/_classes.csv row 2"]


def test_images_that_are_no_variants_have_no_groups(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "metadata.csv").write_text("file_name,label\na.jpg,cat\n")
    sheet, split, group = read_sheets_of_splits(tmp_path, "file_name", "part", None)
    assert (sheet.columns, split, group) == (["file_name", "label", "part"], "part", None)
    assert sheet.rows == [["test/a.jpg", "cat", "test"], ["train/a.jpg", "cat", "train"]]


def test_sheets_with_other_columns_are_an_error(export: Path) -> None:
    (export / "valid/_classes.csv").write_text("filename,sea\nb_jpg.rf.3.jpg,1\n")
    with pytest.raises(
        InputError, match=r"valid/_classes.csv has the columns filename, sea, but .* has filename, sea, s"
    ):
        read_sheets_of_splits(export, None, None, None)


def test_a_column_that_is_not_there_is_an_error(export: Path) -> None:
    with pytest.raises(InputError, match=r"there is no column 'id'. Its columns are: filename, sea, sky. Set data"):
        read_sheets_of_splits(export, "id", None, None)


def test_the_sheet_in_a_folder_is_found(export: Path, tmp_path: Path) -> None:
    assert sheet_in(export) == export
    assert [path.parent.name for path in sheets_of_splits(export)] == ["train", "valid"]
    (export / "metadata.jsonl").touch()
    assert sheet_in(export) == export / "metadata.jsonl"
    assert sheet_in(tmp_path / "train/none") is None


def test_the_users_own_column_of_groups_is_kept(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "metadata.csv").write_text("file_name,label,patient\na.rf.1.jpg,cat,p1\n")
    sheet, _, group = read_sheets_of_splits(tmp_path, None, None, "patient")
    assert (sheet.columns, group) == (["file_name", "label", "patient", "split"], "patient")


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    for part, text in (("train", "label,file_name\ncat,a.jpg\n"), ("test", "file_name,label\nb.jpg,dog\n")):
        (tmp_path / part).mkdir()
        (tmp_path / part / "metadata.csv").write_text(text)
    sheet, _, _ = read_sheets_of_splits(tmp_path, None, None, None)
    assert sheet.columns == ["file_name", "label", "split"]
    assert sheet.rows == [["test/b.jpg", "dog", "test"], ["train/a.jpg", "cat", "train"]]


def test_images_without_variants_are_in_no_group() -> None:
    sheet = Sheet(["id"], [["cat/1.jpg"], ["dog/1.jpg"], ["dog/x.rf.1.jpg"]])
    assert [row[1] for row in with_groups(sheet, "id", None)[0].rows] == ["", "", "x"]
