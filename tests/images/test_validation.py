import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterweight.dataset.matching import bad_problems
from counterweight.images.sources import FolderImages, open_images
from counterweight.images.validation import check_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


def save_noise(path: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path.read_bytes()


def test_checksums_of_an_array_are_those_of_its_images(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[[0]], [[1]], [[0]]], np.uint8))
    checked, problems = check_files(open_images(tmp_path / "x.npy"), ["0", "1", "2", ""], max_pixels=10**6, workers=1)
    checksums = [each.checksum for each in checked]
    assert (checksums[0] == checksums[2], checksums[0] == checksums[1], checksums[3], problems) == (True, False, "", {})


def test_checksums_are_sha_256_in_the_order_of_the_rows(folder: Path) -> None:
    contents = [save_noise(folder / "b.png"), save_noise(folder / "a.jpg")]
    checked, problems = check_files(FolderImages(folder), ["b.png", "a.jpg"], max_pixels=10**6, workers=1)
    assert [each.checksum for each in checked] == [hashlib.sha256(content).hexdigest() for content in contents]
    assert problems == {}


def test_a_row_without_a_file_has_no_checksum_and_no_second_problem(folder: Path) -> None:
    assert check_files(FolderImages(folder), [""], max_pixels=10**6, workers=1) == ([("", None, None)], {})


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html><body>Not found</body></html>", b"\xff\xd8\xff"])
def test_a_file_that_is_no_image_is_named_with_its_row(content: bytes, folder: Path) -> None:
    save_noise(folder / "a.jpg")
    (folder / "b.jpg").write_bytes(content)
    _, problems = check_files(FolderImages(folder), ["a.jpg", "b.jpg"], max_pixels=10**6, workers=1)
    assert bad_problems(problems) == [
        f"row 3: {folder / 'b.jpg'} is not an image (JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF). "
        "Replace the file or delete the row, or set data.bad_images to drop."
    ]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif"])
def test_an_image_that_was_cut_in_half_is_named_with_its_row(suffix: str, folder: Path) -> None:
    content = save_noise(folder / f"a.{suffix}")
    (folder / f"a.{suffix}").write_bytes(content[: len(content) // 2])
    _, problems = check_files(FolderImages(folder), [f"a.{suffix}"], max_pixels=10**6, workers=1)
    assert list(problems) == [0]
    assert problems[0].startswith(f"{folder / f'a.{suffix}'} cannot be decoded: ")


def test_an_image_in_another_format_than_its_suffix_says_is_an_image(folder: Path) -> None:
    save_noise(folder / "a.png")
    (folder / "a.png").rename(folder / "a.jpg")
    assert check_files(FolderImages(folder), ["a.jpg"], max_pixels=10**6, workers=1)[1] == {}


def test_all_bad_files_are_named_together(folder: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (folder / name).touch()
    _, problems = check_files(FolderImages(folder), ["b.jpg", "a.jpg"], max_pixels=10**6, workers=1)
    assert [problem.split(" is not")[0] for problem in bad_problems(problems)] == [
        f"row 2: {folder / 'b.jpg'}",
        f"row 3: {folder / 'a.jpg'}",
    ]


def test_a_file_that_went_away_meanwhile_is_named(folder: Path) -> None:
    _, problems = check_files(FolderImages(folder), ["a.jpg"], max_pixels=10**6, workers=1)
    assert problems == {0: f"{folder / 'a.jpg'} cannot be read: No such file or directory"}


def test_link_that_leads_out_of_the_folder_is_not_followed(folder: Path) -> None:
    save_noise(folder.parent / "secret.png")
    (folder / "a.png").symlink_to(folder.parent / "secret.png")
    save_noise(folder / "b.png")
    (folder / "c.png").symlink_to("b.png")
    _, problems = check_files(FolderImages(folder), ["a.png", "c.png"], max_pixels=10**6, workers=1)
    assert problems == {0: f"{folder / 'a.png'} is a link that leads out of the folder"}


def test_image_of_too_many_pixels_is_refused_by_its_header(folder: Path) -> None:
    save_noise(folder / "a.png")
    for most, problem in ((4096, None), (4095, "has 64 x 64 pixels, more than the 4095 of data.max_pixels")):
        _, problems = check_files(FolderImages(folder), ["a.png"], max_pixels=most, workers=1)
        assert problems == ({0: f"{folder / 'a.png'} {problem}"} if problem else {})


@pytest.mark.parametrize(
    ("side", "problem"),
    [
        (12_000, "has 12000 x 12000 pixels, more than the 100000000 of data.max_pixels"),
        (30_000, "cannot be decoded: Image size (900000000 pixels) exceeds limit of 178956970 pixels"),
    ],
)
def test_bomb_is_refused_by_its_header(side: int, problem: str, folder: Path) -> None:
    # A PNG whose header claims so many pixels, and whose data are empty.
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    data = bytes(4) + b"IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    _, problems = check_files(FolderImages(folder), ["bomb.png"], max_pixels=10**8, workers=1)
    assert problems[0].startswith(f"{folder / 'bomb.png'} {problem}")
