from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.dataset.label_sheet import SheetConfig, open_label_sheet
from counterweight.sheets.spreadsheet import Sheet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "images"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def read(folder: Path, split: str | None = "split") -> tuple[Sheet, str | None]:
    rows = open_label_sheet(folder, SheetConfig("id", split, "class"))
    return rows.sheet, rows.split


def error_of(folder: Path) -> str:
    with pytest.raises(InputError) as error:
        read(folder)
    return str(error.value)


def test_subfolders_are_classes(folder: Path) -> None:
    put(folder, "dog/b.jpg", "cat/a.jpg", "cat/notes.txt")
    assert read(folder) == (Sheet(["id", "class"], [["cat/a.jpg", "cat"], ["dog/b.jpg", "dog"]]), None)


def test_files_deeper_in_a_class_folder_belong_to_the_class(folder: Path) -> None:
    put(folder, "cat/2024/may/a.jpg", "cat/b.jpg")
    assert read(folder)[0].rows == [["cat/2024/may/a.jpg", "cat"], ["cat/b.jpg", "cat"]]


def test_split_folders_are_splits(folder: Path) -> None:
    put(folder, "train/cat/a.jpg", "valid/cat/b.jpg", "test/dog/deep/c.jpg")
    sheet, split = read(folder)
    assert (sheet.columns, split) == (["id", "split", "class"], "split")
    assert sheet.rows == [
        ["test/dog/deep/c.jpg", "test", "dog"],
        ["train/cat/a.jpg", "train", "cat"],
        ["valid/cat/b.jpg", "valid", "cat"],
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Train", "TEST"])
def test_split_folder_may_be_spelled_in_several_ways(name: str, folder: Path) -> None:
    put(folder, f"{name}/cat/a.jpg")
    assert read(folder)[0].rows == [[f"{name}/cat/a.jpg", name, "cat"]]


def test_the_split_column_has_a_name_even_if_the_params_give_none(folder: Path) -> None:
    put(folder, "train/cat/a.jpg")
    assert read(folder, split=None)[1] == "split"


def test_images_outside_the_split_folders_are_reported(folder: Path) -> None:
    put(folder, "train/cat/a.jpg", "cat/b.jpg", "c.jpg", "train/d.jpg")
    assert error_of(folder) == (
        f"{folder}: 3 problems\n"
        "  c.jpg is not in SPLIT/CLASS/, but other images are in a folder train, val or test. Move or delete it.\n"
        "  cat/b.jpg is not in SPLIT/CLASS/, but other images are in a folder train, val or test. Move or delete it.\n"
        "  train/d.jpg is not in SPLIT/CLASS/, but other images are in a folder train, val or test. Move or delete it."
    )


def test_images_in_no_class_folder_are_reported(folder: Path) -> None:
    put(folder, "cat/a.jpg", "b.jpg")
    assert error_of(folder) == f"{folder}: 1 problem\n  b.jpg is in no class folder. Move or delete it."


def test_a_folder_without_images_is_an_error(folder: Path) -> None:
    put(folder, "cat/notes.txt")
    assert error_of(folder) == f"{folder}: 1 problem\n  the folder has no images. Set data.images to your images."


def test_class_folders_have_no_column_of_groups(folder: Path) -> None:
    put(folder, "cat/a.jpg")
    with pytest.raises(InputError) as error:
        open_label_sheet(folder, SheetConfig("image", None, "class", group="patient"))
    assert str(error.value) == (
        f"{folder}: a folder has no column 'patient' of groups, unless its images are named as variants, "
        "NAME.rf.HASH.jpg. Set data.columns.group to null, or write a sheet."
    )


def test_variants_of_an_image_in_class_folders_are_a_group(folder: Path) -> None:
    put(folder, "cat/a.rf.1.jpg", "cat/a.rf.2.jpg", "dog/b.rf.3.jpg")
    rows = open_label_sheet(folder, SheetConfig("id", None, "class"))
    assert rows.group == "group"
    assert rows.sheet.columns == ["id", "class", "group"]
    assert [row[2] for row in rows.sheet.rows] == ["a", "a", "b"]
