from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.dataset.matching import Matches, dropped_table, match_files, missing_problems, rows_with_image
from counterweight.images.sources import ArrayImages, FolderImages
from counterweight.images.validation import check_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def save_noise(path: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("file", "image_id"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg", "a"),
        ("a.JPEG", "a"),
        ("sea/a.png", "sea/a.png"),
        ("sea/a.png", "sea/a"),
        ("a.b.webp", "a.b"),
        ("12.tif", "12"),
        ("a b, c.jpg", "a b, c"),
    ],
)
def test_an_id_is_a_path_with_or_without_its_suffix(file: str, image_id: str, folder: Path) -> None:
    put(folder, file)
    assert match_files([image_id], FolderImages(folder)) == Matches([file], [], [], [])


@pytest.mark.parametrize("image_id", ["../x", "../x.jpg", "sea/../../x.jpg", "b", "a.png", "A", "sea/a", "."])
def test_a_row_without_a_file_in_the_folder_is_named(image_id: str, folder: Path) -> None:
    put(folder, "a.jpg", "../x.jpg", "sea/b.jpg")
    source = FolderImages(folder)
    matches = match_files(["a", image_id], source)
    assert (matches.paths, matches.missing, matches.problems) == (["a.jpg", ""], [1], [])
    assert missing_problems(matches, ["a", image_id], source) == [
        f"row 3: image '{image_id}' is not in {folder}. Add the file or delete the row, or set data.missing_files to "
        "drop."
    ]


def test_a_file_is_not_found_by_its_absolute_path(folder: Path) -> None:
    put(folder, "a.jpg")
    assert match_files([str(folder / "a.jpg")], FolderImages(folder)).paths == [""]


def test_an_id_with_two_files_needs_its_suffix(folder: Path) -> None:
    put(folder, "a.jpg", "a.png")
    matches = match_files(["a"], FolderImages(folder))
    assert (matches.paths, matches.missing) == ([""], [])
    assert matches.problems == ["row 2: image 'a' may be a.jpg or a.png. Give its suffix in the sheet."]


def test_with_its_suffix_an_id_has_one_file(folder: Path) -> None:
    put(folder, "a.jpg", "a.png")
    assert match_files(["a.png", "a.jpg"], FolderImages(folder)).paths == ["a.png", "a.jpg"]


def test_a_file_of_that_very_name_comes_before_one_with_a_suffix_more(folder: Path) -> None:
    put(folder, "a.jpg", "a.jpg.png")
    assert match_files(["a.jpg"], FolderImages(folder)) == Matches(["a.jpg"], ["a.jpg.png"], [], [])


def test_two_rows_for_one_file_are_named(folder: Path) -> None:
    put(folder, "a.jpg", "b.jpg")
    matches = match_files(["a", "b", "a.jpg"], FolderImages(folder))
    assert matches.problems == ["row 4: image 'a.jpg' is a.jpg, that of row 2. Delete a row."]


def test_an_id_that_stands_there_twice_is_a_matter_of_the_sheet(folder: Path) -> None:
    put(folder, "a.jpg")
    assert match_files(["a", "a"], FolderImages(folder)) == Matches(["a.jpg", "a.jpg"], [], [], [])


def test_an_empty_id_is_a_matter_of_the_sheet(folder: Path) -> None:
    assert match_files([""], FolderImages(folder)) == Matches([""], [], [], [])


def test_image_files_that_no_row_names_are_listed(folder: Path) -> None:
    put(folder, "b.jpg", "a.jpg", "sea/c.png", "notes.txt", ".hidden.jpg")
    assert match_files(["b"], FolderImages(folder)) == Matches(["b.jpg"], ["a.jpg", "sea/c.png"], [], [])


def test_rows_without_an_image_are_listed_as_the_sheet_counts_them(folder: Path) -> None:
    put(folder, "a.jpg")
    matches = match_files(["b", "a", "c"], FolderImages(folder))
    assert dropped_table(matches, {}, ["b", "a", "c"]).to_dict("list") == {
        "row": [2, 4],
        "image_id": ["b", "c"],
        "reason": ["there is no such image", "there is no such image"],
    }
    assert rows_with_image(matches, {}, FolderImages(folder)) == [1]


def test_rows_that_would_all_be_dropped_are_an_error(folder: Path) -> None:
    put(folder, "a.jpg")
    with pytest.raises(InputError) as error:
        rows_with_image(match_files(["b", "c"], FolderImages(folder)), {}, FolderImages(folder))
    assert str(error.value) == (
        f"none of the 2 rows has an image in {folder} that can be read, so that all would be dropped. Set "
        "data.images and data.columns.image in params.yaml to your images."
    )


def test_an_id_may_be_the_number_of_an_image_in_an_array(tmp_path: Path) -> None:
    source = ArrayImages(tmp_path / "x.npy", 12, 1.0)
    matches = match_files(["7", "0011", "0", "12", "-1", "1.5", "a"], source)
    assert matches.paths == ["07", "11", "00", "", "", "", ""]
    assert matches.missing == [3, 4, 5, 6]
    assert matches.unlisted == ["01", "02", "03", "04", "05", "06", "08", "09", "10"]
    assert missing_problems(matches, ["7", "0011", "0", "12", "-1", "1.5", "a"], source)[0] == (
        f"row 5: image '12' is not in {tmp_path}/x.npy, whose images have the numbers 0 to 11. Correct the number or "
        "delete the row, or set data.missing_files to drop."
    )


def test_two_spellings_of_a_number_are_two_rows_for_one_image(tmp_path: Path) -> None:
    matches = match_files(["7", "07"], ArrayImages(tmp_path / "x.npy", 12, 1.0))
    assert matches.problems == ["row 3: image '07' is 07, that of row 2. Delete a row."]


def test_rows_with_bad_images_are_listed_with_the_reason(folder: Path) -> None:
    put(folder, "a.jpg")
    save_noise(folder / "b.png")
    source, ids = FolderImages(folder), ["a", "b", "c"]
    matches = match_files(ids, source)
    _, bad = check_files(source, matches.paths, max_pixels=10**6, workers=1)
    assert dropped_table(matches, bad, ids).to_dict("list") == {
        "row": [2, 4],
        "image_id": ["a", "c"],
        "reason": [
            f"{folder / 'a.jpg'} is not an image (JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF)",
            "there is no such image",
        ],
    }
    assert rows_with_image(matches, bad, source) == [1]
