import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterweight.dataset.matching import unreadable_problems
from counterweight.images.codec import FORMATS
from counterweight.images.folder_images import FolderImages
from counterweight.images.image_check import ImageCheck
from counterweight.images.sources import open_images
from counterweight.images.validation import validate_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


def save_noise(path: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path.read_bytes()


def test_equal_images_of_an_array_have_equal_checksums(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[[0]], [[1]], [[0]]], np.uint8))
    source = open_images(tmp_path / "x.npy")
    checks, problems = validate_images(source, ["0", "1", "2", ""], max_pixels=10**6, workers=1)
    checksums = [check.checksum for check in checks]
    assert (checksums[0] == checksums[2], checksums[0] == checksums[1], checksums[3], problems) == (True, False, "", {})


def test_checksums_are_sha_256_in_the_order_of_the_rows(folder: Path) -> None:
    contents = [save_noise(folder / "b.png"), save_noise(folder / "a.jpg")]
    checks, problems = validate_images(FolderImages(folder), ["b.png", "a.jpg"], max_pixels=10**6, workers=1)
    assert [check.checksum for check in checks] == [hashlib.sha256(content).hexdigest() for content in contents]
    assert problems == {}


def test_a_row_without_a_file_has_neither_checksum_nor_problem(folder: Path) -> None:
    assert validate_images(FolderImages(folder), [""], max_pixels=10**6, workers=1) == (
        [ImageCheck("", None, None)],
        {},
    )


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html><body>Not found</body></html>", b"\xff\xd8\xff"])
def test_a_file_that_is_not_an_image_is_named_with_its_row(content: bytes, folder: Path) -> None:
    save_noise(folder / "a.jpg")
    (folder / "b.jpg").write_bytes(content)
    _, problems = validate_images(FolderImages(folder), ["a.jpg", "b.jpg"], max_pixels=10**6, workers=1)
    assert unreadable_problems(problems) == [
        f"row 3: {folder / 'b.jpg'} is not an image ({', '.join(FORMATS)}). "
        "Replace the file or delete the row, or set data.bad_images to drop."
    ]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif"])
def test_a_truncated_image_is_named_with_its_row(suffix: str, folder: Path) -> None:
    content = save_noise(folder / f"a.{suffix}")
    (folder / f"a.{suffix}").write_bytes(content[: len(content) // 2])
    _, problems = validate_images(FolderImages(folder), [f"a.{suffix}"], max_pixels=10**6, workers=1)
    assert list(problems) == [0]
    assert problems[0].startswith(f"{folder / f'a.{suffix}'} cannot be decoded: ")


def test_a_file_is_an_image_although_its_suffix_names_another_format(folder: Path) -> None:
    save_noise(folder / "a.png")
    (folder / "a.png").rename(folder / "a.jpg")
    assert validate_images(FolderImages(folder), ["a.jpg"], max_pixels=10**6, workers=1)[1] == {}


def test_all_bad_files_are_named_together(folder: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (folder / name).touch()
    _, problems = validate_images(FolderImages(folder), ["b.jpg", "a.jpg"], max_pixels=10**6, workers=1)
    assert [problem.split(" is not")[0] for problem in unreadable_problems(problems)] == [
        f"row 2: {folder / 'b.jpg'}",
        f"row 3: {folder / 'a.jpg'}",
    ]


def test_a_file_that_has_disappeared_is_named(folder: Path) -> None:
    _, problems = validate_images(FolderImages(folder), ["a.jpg"], max_pixels=10**6, workers=1)
    assert problems == {0: f"{folder / 'a.jpg'} cannot be read: No such file or directory"}


def test_an_image_with_too_many_pixels_is_refused_by_its_header(folder: Path) -> None:
    save_noise(folder / "a.png")
    for max_pixels, problem in ((4096, None), (4095, "has 64 x 64 pixels, more than the 4095 of data.max_pixels")):
        _, problems = validate_images(FolderImages(folder), ["a.png"], max_pixels=max_pixels, workers=1)
        assert problems == ({0: f"{folder / 'a.png'} {problem}"} if problem else {})


@pytest.mark.parametrize(
    ("side", "problem"),
    [
        (12_000, "has 12000 x 12000 pixels, more than the 100000000 of data.max_pixels"),
        (30_000, "cannot be decoded: Image size (900000000 pixels) exceeds limit of 178956970 pixels"),
    ],
)
def test_a_decompression_bomb_is_refused_by_its_header(side: int, problem: str, folder: Path) -> None:
    # A PNG without data whose header claims side x side pixels.
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    data = bytes(4) + b"IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    _, problems = validate_images(FolderImages(folder), ["bomb.png"], max_pixels=10**8, workers=1)
    assert problems[0].startswith(f"{folder / 'bomb.png'} {problem}")


def test_odd_images_are_warned_of_together(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in "abcde":
        Image.fromarray(np.full((8, 8), 4080, np.uint16)).save(folder / f"{name}.png")
    save_noise(folder / "f.png")
    names = [f"{name}.png" for name in "abcdef"]
    assert validate_images(FolderImages(folder), names, max_pixels=10**6, workers=1)[1] == {}
    assert caplog.messages == [
        "5 images have 16 bits, but no value above 8,191 of 65,535, and come out dark; multiply their values: a.png, "
        "b.png, c.png and 2 more"
    ]
