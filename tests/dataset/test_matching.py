from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.dataset.annotations import Annotations
from counterweight.dataset.matching import (
    NO_ROW,
    ImageMatches,
    UsableImages,
    build_dataset,
    dropped_table,
    file_warnings,
    match_files,
    missing_problems,
    usable_images,
)
from counterweight.dataset.split_completion import SplitConfig
from counterweight.images.array_images import ArrayImages
from counterweight.images.codec import FORMATS
from counterweight.images.folder_images import FolderImages
from counterweight.images.folder_scan import TABLE_OR_TEXT
from counterweight.images.image_check import ImageCheck
from counterweight.images.validation import validate_images


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
    assert match_files([image_id], FolderImages(folder)) == ImageMatches([file], {}, [], [])


@pytest.mark.parametrize(
    ("image_id", "file"), [("b", "sea/b.jpg"), ("a.png", "a.jpg"), ("A", "a.jpg"), ("sea/a", "a.jpg")]
)
def test_a_row_that_nearly_names_a_file_is_reported_with_it_or_takes_it(image_id: str, file: str, folder: Path) -> None:
    put(folder, "a.jpg", "sea/b.jpg")
    source = FolderImages(folder)
    assert missing_problems(match_files([image_id], source), [image_id], source) == [
        f"row 2: image '{image_id}' is not in {folder}, but {file} is. Set data.match_names to near, or correct the "
        "cell."
    ]
    assert match_files([image_id], source, near=True).paths == [file]


def test_two_rows_that_mean_one_file_are_a_problem(folder: Path) -> None:
    put(folder, "007.jpg")
    matches = match_files(["7", "07"], FolderImages(folder), near=True)
    assert matches.problems == ["row 3: image '07' is 007.jpg, as in row 2. Delete one of the rows."]


def test_a_file_that_a_row_names_is_not_taken_for_another(folder: Path) -> None:
    put(folder, "007.jpg")
    matches = match_files(["7", "007"], FolderImages(folder), near=True)
    assert (matches.paths, matches.missing, matches.problems) == (["", "007.jpg"], [0], [])


@pytest.mark.parametrize("image_id", ["../x", "../x.jpg", "sea/../../x.jpg", "c", "."])
def test_a_row_without_a_file_in_the_folder_is_reported(image_id: str, folder: Path) -> None:
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


def test_a_file_with_a_usual_suffix_wins_over_one_that_is_an_image_by_its_content(folder: Path) -> None:
    put(folder, "a.jpg")
    Image.new("RGB", (4, 4)).save(folder / "a.preview", "PNG")
    assert match_files(["a"], FolderImages(folder)).paths == ["a.jpg"]


def test_an_exact_file_name_wins_over_one_with_another_suffix(folder: Path) -> None:
    put(folder, "a.jpg", "a.jpg.png")
    assert match_files(["a.jpg"], FolderImages(folder)) == ImageMatches(["a.jpg"], {"a.jpg.png": NO_ROW}, [], [])


def test_two_rows_for_one_file_are_reported(folder: Path) -> None:
    put(folder, "a.jpg", "b.jpg")
    matches = match_files(["a", "b", "a.jpg"], FolderImages(folder))
    assert matches.problems == ["row 4: image 'a.jpg' is a.jpg, as in row 2. Delete one of the rows."]


def test_a_repeated_id_is_left_to_the_check_of_the_sheet(folder: Path) -> None:
    put(folder, "a.jpg")
    assert match_files(["a", "a"], FolderImages(folder)) == ImageMatches(["a.jpg", "a.jpg"], {}, [], [])


def test_an_empty_id_is_left_to_the_check_of_the_sheet(folder: Path) -> None:
    assert match_files([""], FolderImages(folder)) == ImageMatches([""], {}, [], [])


def test_image_files_that_no_row_names_are_listed(folder: Path) -> None:
    put(folder, "b.jpg", "a.jpg", "sea/c.png", "notes.txt", ".hidden.jpg")
    unlisted = {"a.jpg": NO_ROW, "sea/c.png": NO_ROW, "notes.txt": TABLE_OR_TEXT}
    assert match_files(["b"], FolderImages(folder)) == ImageMatches(["b.jpg"], unlisted, [], [])


def test_a_row_whose_file_is_not_read_says_why(folder: Path) -> None:
    (folder / "a.dcm").write_bytes(bytes(128) + b"DICM")
    for image_id in ("a", "a.dcm"):
        matches = match_files([image_id], FolderImages(folder))
        assert missing_problems(matches, [image_id], FolderImages(folder)) == [
            f"row 2: image '{image_id}': a.dcm is DICOM. Convert it to PNG, for example with dcm2img of DCMTK. "
            "Replace the file, or set data.missing_files to drop."
        ]


def test_rows_without_an_image_are_listed_by_sheet_row(folder: Path) -> None:
    put(folder, "a.jpg")
    matches = match_files(["b", "a", "c"], FolderImages(folder))
    assert dropped_table(matches, {}, ["b", "a", "c"]).to_dict("list") == {
        "row": [2, 4],
        "image_id": ["b", "c"],
        "reason": ["there is no such image", "there is no such image"],
    }


def test_dropping_all_rows_is_an_error(folder: Path) -> None:
    put(folder, "a.jpg")
    rows, source = annotations(["b", "c"], None), FolderImages(folder)
    with pytest.raises(InputError) as error:
        usable_images(rows, match_files(rows.image_ids, source), [ImageCheck("", None, None)] * 2, source)
    assert str(error.value) == (
        f"none of the 2 rows has a readable image in {folder}, so all would be dropped. Set data.images and "
        "data.columns.image in params.yaml to your images."
    )


def test_an_id_may_be_the_number_of_an_image_in_an_array(tmp_path: Path) -> None:
    source = ArrayImages(tmp_path / "x.npy", 12, 1.0)
    matches = match_files(["7", "0011", "0", "12", "-1", "1.5", "a"], source)
    assert matches.paths == ["07", "11", "00", "", "", "", ""]
    assert matches.missing == [3, 4, 5, 6]
    assert list(matches.unlisted) == ["01", "02", "03", "04", "05", "06", "08", "09", "10"]
    assert missing_problems(matches, ["7", "0011", "0", "12", "-1", "1.5", "a"], source)[0] == (
        f"row 5: image '12' is not in {tmp_path}/x.npy, whose images are numbered 0 to 11. Correct the number or "
        "delete the row, or set data.missing_files to drop."
    )


def test_two_spellings_of_a_number_are_two_rows_for_one_image(tmp_path: Path) -> None:
    matches = match_files(["7", "07"], ArrayImages(tmp_path / "x.npy", 12, 1.0))
    assert matches.problems == ["row 3: image '07' is 07, as in row 2. Delete one of the rows."]


def test_rows_with_unreadable_images_are_listed_with_the_reason(folder: Path) -> None:
    put(folder, "a.jpg")
    save_noise(folder / "b.png")
    source, ids = FolderImages(folder), ["a", "b", "c"]
    matches = match_files(ids, source)
    checks, bad = validate_images(source, matches.paths, max_pixels=10**6, workers=1)
    assert dropped_table(matches, bad, ids).to_dict("list") == {
        "row": [2, 4],
        "image_id": ["a", "c"],
        "reason": [
            f"{folder / 'a.jpg'} is not an image ({', '.join(FORMATS)})",
            "there is no such image",
        ],
    }
    assert usable_images(annotations(ids, None), matches, checks, source).rows == [1]


def annotations(ids: list[str], splits: list[str] | None) -> Annotations:
    targets = np.ones((len(ids), 1), np.int8)
    return Annotations(ids, splits, ["sea"], targets, targets < 0, [])


def test_usable_images_are_sorted_by_id(folder: Path) -> None:
    put(folder, "a.jpg", "b.jpg", "c.jpg")
    rows, source = annotations(["c", "x", "b", "a"], ["train", "test", "val", "test"]), FolderImages(folder)
    checks = [ImageCheck(name, None, "is bad" if name == "b" else None) for name in ("c", "", "b", "a")]
    images = usable_images(rows, match_files(rows.image_ids, source), checks, source)
    assert (images.rows, images.paths, [check.checksum for check in images.checks]) == (
        [3, 0], ["a.jpg", "c.jpg"], ["a", "c"],
    )  # fmt: skip
    assert (images.annotations.image_ids, images.annotations.splits) == (["a", "c"], ["test", "train"])


@pytest.mark.parametrize(
    ("drop_duplicates", "ids", "dropped"),
    [(False, ["a", "b", "c", "d"], {}), (True, ["b", "c", "d"], {7: "is the same picture as 'd'"})],
)
def test_dataset_has_no_duplicates_of_test_images_if_they_are_dropped(
    drop_duplicates: bool, ids: list[str], dropped: dict[int, str]
) -> None:
    checks = [ImageCheck(checksum, None, None) for checksum in ("1", "2", "3", "1")]
    rows = annotations(["a", "b", "c", "d"], ["train", "train", "val", "test"])
    images = UsableImages([7, 5, 3, 1], rows, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"], checks)
    table, duplicates, reasons = build_dataset(
        images, SplitConfig(0.2, 0.2, 0), max_hash_distance=2, drop_duplicates=drop_duplicates
    )
    assert (table["image_id"].tolist(), reasons) == (ids, dropped)
    assert duplicates[["row", "image_id", "duplicate_of", "leak", "dropped"]].to_numpy().tolist() == [
        [3, "d", "a", "", 0],
        [9, "a", "d", "d", int(drop_duplicates)],
    ]


def test_files_and_rows_that_are_left_out_are_warned_of() -> None:
    lists = (Path("unlisted.csv"), Path("dropped.csv"))
    assert file_warnings({}, 0, lists) == []
    unlisted = {"a.png": NO_ROW, "b.png": NO_ROW, "c.dcm": "is DICOM", "labels.csv": TABLE_OR_TEXT}
    assert file_warnings(unlisted, 3, lists) == [
        "2 images without a row are left out, listed in unlisted.csv",
        "1 files are not read, listed with the reason in unlisted.csv",
        "3 rows are dropped, listed with the reason in dropped.csv",
    ]


def test_links_to_folders_are_warned_of_because_dvc_sees_no_change_behind_them() -> None:
    assert file_warnings({}, 0, (Path("a"), Path("b")), ["a", "b", "c", "d", "e"]) == [
        "DVC sees no change behind a link to a folder (a, b, c and 2 more). After one, run dvc repro --force ingest"
    ]


def test_splits_of_the_sheet_stay_and_missing_ones_are_drawn() -> None:
    ids = [f"{i:02}" for i in range(20)]
    checks = [ImageCheck(image_id, None, None) for image_id in ids]
    paths = [f"{image_id}.jpg" for image_id in ids]

    def splits(given: list[str] | None, **changes: Any) -> list[str]:
        options: dict[str, Any] = {"test": 0.2, "validation": 0.25, "seed": 0} | changes
        images = UsableImages(list(range(20)), annotations(ids, given), paths, checks)
        table, _, _ = build_dataset(images, SplitConfig(**options), max_hash_distance=2, drop_duplicates=False)
        assert table["path"].tolist() == paths
        return table["split"].tolist()

    drawn = splits(None)
    assert [drawn.count(split) for split in ("train", "val", "test")] == [12, 4, 4]
    assert splits(None, test=0.4).count("test") == 8
    assert splits(None, validation=0.5).count("val") == 8
    assert splits(None, seed=1) != drawn
    given = ["test", *["train"] * 18, "val"]
    assert splits(given) == given
