from pathlib import Path

import openpyxl
import pytest

from counterweight.base.errors import InputError
from counterweight.images.sources import open_images
from counterweight.onboarding.data_inspection import describe, inspect_sheet
from counterweight.onboarding.suggested_params import Sizes


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_the_folder_above_one_of_images_has_no_classes(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{i}.jpg" for i in range(30)), "notes/scan.jpg")
    with pytest.raises(InputError) as error:
        inspect_sheet(tmp_path, open_images(tmp_path), [])
    assert str(error.value) == (
        f"{tmp_path}: the subfolder images has 30 of 31 images, so the subfolders are no classes. Give --images "
        f"{tmp_path}/images, and --sheet your sheet."
    )


def test_the_folder_above_one_of_class_folders_and_beside_a_few_pictures_has_no_classes(tmp_path: Path) -> None:
    put(tmp_path, *(f"photos of pets/{name}/{i}.jpg" for name in ("cat", "dog") for i in range(6)), "cover.jpg")
    with pytest.raises(InputError) as error:
        inspect_sheet(tmp_path, open_images(tmp_path), [])
    assert str(error.value) == (
        f"{tmp_path}: the class folders are in its subfolder photos of pets, and 1 images beside it are in none. Give "
        f"--images {tmp_path}/photos of pets."
    )


def test_a_class_may_be_called_photo(tmp_path: Path) -> None:
    put(tmp_path, *(f"photo/{i}.jpg" for i in range(30)), *(f"drawing/{i}.jpg" for i in range(20)))
    schema = inspect_sheet(tmp_path, open_images(tmp_path), []).schema
    assert schema.counts == {"photo": 30, "drawing": 20}


def test_one_class_folder_is_told(tmp_path: Path) -> None:
    put(tmp_path, *(f"cat/{i}.jpg" for i in range(9)))
    with pytest.raises(InputError) as error:
        inspect_sheet(tmp_path, open_images(tmp_path), [])
    assert str(error.value) == (
        f"{tmp_path}: all images are in one class folder, cat. Give --images a folder with a folder for each class, or "
        "--sheet your sheet."
    )


def test_a_sheet_without_test_rows_is_told(tmp_path: Path) -> None:
    put(tmp_path / "images", *(f"{i}.jpg" for i in range(12)))
    sheet, source = tmp_path / "labels.csv", open_images(tmp_path / "images")
    rows = [f"{i}.jpg,{('train', 'val')[i % 2]},{('sea', 'sky')[i % 3 % 2]}\n" for i in range(12)]
    sheet.write_text("".join(["id,split,tag\n", *rows]))
    lines = describe(inspect_sheet(sheet, source, []), source.names(), Sizes((8, 8), (8, 8), (8, 8)), sheet)
    said = "splits    no row says test. Give some rows that split, or set data.columns.split to null"
    assert [line for line in lines if line.startswith("splits")] == [said]


def test_a_class_folder_may_be_called_na(tmp_path: Path) -> None:
    put(tmp_path, *(f"{name}/{i}.jpg" for name in ("NA", "EU") for i in range(9)))
    schema = inspect_sheet(tmp_path, open_images(tmp_path), []).schema
    assert (schema.counts, schema.missing, schema.unknown) == ({"EU": 9, "NA": 9}, 0, {})


def test_na_in_a_sheet_is_said_to_be_read_as_unknown(tmp_path: Path) -> None:
    put(tmp_path / "images", *(f"{i}.jpg" for i in range(12)))
    sheet, source = tmp_path / "labels.csv", open_images(tmp_path / "images")
    said = "label cells read as unknown: {} 'NA'. If one of these is a class, name all classes in data.labels"
    sheet.write_text("id,area\n" + "".join(f"{i}.jpg,{('NA', 'EU', 'AS')[i % 3]}\n" for i in range(12)))
    lines = describe(inspect_sheet(sheet, source, []), source.names(), Sizes((8, 8), (8, 8), (8, 8)), sheet)
    assert lines[-1] == f"unknown   {said.format(4)}"
    sheet.write_text("id,area\n" + "".join(f"{i}.jpg,{('NA', 'EU')[i % 2]}\n" for i in range(12)))
    with pytest.raises(InputError, match=f"set data.columns.labels by hand. {said.format(6)}."):
        inspect_sheet(sheet, source, [])
    sheet.write_text("id,age,area\n" + "".join(f"{i}.jpg,{('NA', 30 + i)[i % 2]},{i}\n" for i in range(12)))
    with pytest.raises(InputError, match=r"set data.columns.labels by hand\.$"):  # Numbers are no classes beside NA.
        inspect_sheet(sheet, source, [])


def test_na_of_an_image_with_several_rows_is_said_too(tmp_path: Path) -> None:
    put(tmp_path / "images", *(f"{i}.jpg" for i in range(12)))
    sheet, source = tmp_path / "labels.csv", open_images(tmp_path / "images")
    sheet.write_text("id,area\n" + "".join(f"{i}.jpg,NA\n{i}.jpg,{('EU', 'AS')[i % 2]}\n" for i in range(12)))
    assert inspect_sheet(sheet, source, []).schema.unknown == {"NA": 12}


def test_the_first_worksheet_with_images_and_labels_is_found_and_described(tmp_path: Path) -> None:
    put(tmp_path / "images", *(f"{i:03}.jpg" for i in range(30)))
    book = openpyxl.Workbook()
    book.active.append(["made", "by"])
    book.active.append(["today", "Ann"])
    labels = book.create_sheet("labels")
    for row in [["id", "tag"], *([i, ("sea", "sky")[i % 2]] for i in range(30))]:
        labels.append(row)
    book.save(tmp_path / "book.xlsx")
    found = inspect_sheet(tmp_path / "book.xlsx", open_images(tmp_path / "images"), [])
    assert found.worksheet == "labels"
    lines = describe(found, [f"{i:03}.jpg" for i in range(30)], Sizes((8, 8), (8, 8), (8, 8)), tmp_path / "book.xlsx")
    assert (
        "names     30 rows name an image only nearly: '0' for 000.jpg, '1' for 001.jpg, '2' for 002.jpg and 27 more"
        in (lines)
    )
    assert "unmatched 0 images without a row, 0 rows without an image" in lines


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ([f"lesion{i // 2}_{i % 2}.jpg" for i in range(30)], True),
        ([f"IMG_{i:03}.jpg" for i in range(30)], False),
        ([f"class{i % 10}_{i}.jpg" for i in range(900)], False),
        ([f"{i:05}.jpg" for i in range(30)], False),
    ],
)
def test_names_that_repeat_but_for_a_number_may_be_groups(names: list[str], hint: bool, tmp_path: Path) -> None:
    put(tmp_path, *(f"{('cat', 'dog')[i % 2]}/{name}" for i, name in enumerate(names)))
    source = open_images(tmp_path)
    lines = describe(inspect_sheet(tmp_path, source, []), source.names(), Sizes((8, 8), (8, 8), (8, 8)), tmp_path)
    said = [line for line in lines if line.startswith("groups")]
    assert bool(said) == hint
    if hint:
        assert said == [
            "groups    15 names repeat but for a number at their end, such as lesion0: if these show the same, set "
            "data.group_pattern to '(.+)[_-]\\d+'"
        ]


def test_a_workbook_without_labels_is_told_by_its_first_worksheet(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg")
    book = openpyxl.Workbook()
    book.active.append(["made", "by"])
    book.active.append(["today", "Ann"])
    book.create_sheet("more")
    book.save(tmp_path / "book.xlsx")
    with pytest.raises(InputError, match="of made, by, the first row has today, Ann"):
        inspect_sheet(tmp_path / "book.xlsx", open_images(tmp_path / "images"), [])
