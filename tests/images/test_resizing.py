import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import TargetSize
from counterweight.images.resizing import resize_images
from counterweight.images.sources import open_images
from counterweight.runtime.cache import Cache
from tests.workspace import NO_CACHE


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "resized"


def save_noise(folder: Path, paths: Sequence[str]) -> list[str]:
    pixels = np.random.default_rng(0).integers(0, 256, (len(paths), 12, 16, 3), dtype=np.uint8)
    return [codec.write(pixels[i], folder / path, path.split(".")[-1]) for i, path in enumerate(paths)]


def resize_to_8x10(
    paths: Sequence[str], checksums: Sequence[str], source: Path, target: Path, format: str, workers: int = 1,
    cache: Cache = NO_CACHE,
) -> tuple[list[str], list[str]]:  # fmt: skip
    return resize_images(
        paths, checksums, source=open_images(source), folder=target, size=TargetSize(8, 10, "stretch"), format=format,
        cache=cache, workers=workers,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_image_is_written_in_the_target_size(source: Path, target: Path) -> None:
    paths = ["a.png", "sea/b.png"]
    written, _ = resize_to_8x10(paths, save_noise(source, paths), source, target, "png")
    assert written == paths
    assert [codec.read(target / path).shape for path in written] == [(10, 8, 3), (10, 8, 3)]


def test_checksums_are_those_of_the_files_written(source: Path, target: Path) -> None:
    paths = ["b.png", "a.png"]
    written, checksums = resize_to_8x10(paths, save_noise(source, paths), source, target, "jpg")
    assert written == ["b.png.jpg", "a.png.jpg"]
    assert checksums == [hashlib.sha256((target / path).read_bytes()).hexdigest() for path in written]


def test_output_is_the_same_for_any_number_of_workers(source: Path, tmp_path: Path) -> None:
    paths = [f"{i:03d}.png" for i in range(200)]
    checksums = save_noise(source, paths)
    alone = resize_to_8x10(paths, checksums, source, tmp_path / "alone", "jpg", workers=1)
    together = resize_to_8x10(paths, checksums, source, tmp_path / "together", "jpg", workers=2)
    assert alone == together
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")
    assert sorted(contents(tmp_path / "alone")) == alone[0]


@pytest.mark.parametrize(("format", "names"), [("jpg", ["a.jpg", "a.png.jpg"]), ("png", ["a.jpg.png", "a.png"])])
def test_images_that_differ_only_in_suffix_stay_apart(
    format: str, names: list[str], source: Path, target: Path
) -> None:
    paths = ["a.jpg", "a.png"]
    written, _ = resize_to_8x10(paths, save_noise(source, paths), source, target, format)
    assert written == names
    assert sorted(contents(target)) == names


def test_two_images_with_one_output_name_are_both_named_and_nothing_is_written(source: Path, target: Path) -> None:
    paths = ["a.png", "a.png.jpg"]
    checksums = save_noise(source, paths)
    with pytest.raises(InputError) as error:
        resize_to_8x10(paths, checksums, source, target, "jpg")
    assert str(error.value) == (
        f"{source}: 1 problem\n  'a.png.jpg' and 'a.png' would both be written as 'a.png.jpg'. Rename one of them."
    )
    assert not target.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_image_that_changed_since_the_manifest_is_named(workers: int, source: Path, target: Path) -> None:
    paths = [f"{i:03d}.png" for i in range(140)]
    checksums = save_noise(source, paths)
    codec.write(np.zeros((12, 16, 3), np.uint8), source / "130.png", "png")
    with pytest.raises(InputError, match=r"130\.png: the file has changed since the manifest was written"):
        resize_to_8x10(paths, checksums, source, target, "png", workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_images_of_an_array_are_written_under_their_numbers(workers: int, tmp_path: Path, target: Path) -> None:
    np.save(tmp_path / "x.npy", np.repeat(np.arange(140, dtype=np.uint8), 12 * 16).reshape(140, 12, 16))
    source = open_images(tmp_path / "x.npy")
    checksums = [source.check(name, 10**6)[0] for name in ("007", "139")]
    written, sums = resize_to_8x10(["007", "139"], checksums, tmp_path / "x.npy", target, "png", workers)
    assert written == ["007.png", "139.png"]
    read = [codec.read(target / name, checksum) for name, checksum in zip(written, sums, strict=True)]
    assert [pixels.max() for pixels in read] == [7, 139]


def test_images_resized_before_come_from_the_cache(source: Path, target: Path, tmp_path: Path) -> None:
    paths, cache = ["a.png", "b.png"], Cache(tmp_path / "cache", 10**9)
    checksums = save_noise(source, paths)
    first = resize_to_8x10(paths[:1], checksums[:1], source, target / "1", "png", cache=cache)
    (source / "a.png").unlink()
    again = resize_to_8x10(paths, checksums, source, target / "2", "png", cache=cache)
    assert [first[0][0], first[1][0]] == [again[0][0], again[1][0]]
    assert contents(target / "2")["a.png"] == contents(target / "1")["a.png"]


def test_an_image_with_a_damaged_cache_entry_is_resized_again(source: Path, target: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9)
    checksums = save_noise(source, ["a.png"])
    expected = resize_to_8x10(["a.png"], checksums, source, target / "1", "png", cache=cache)
    (entry,) = (path for path in (tmp_path / "cache").glob("*/*"))
    entry.unlink()  # It may be a hard link to the output.
    entry.write_bytes(b"half of a fi")
    assert resize_to_8x10(["a.png"], checksums, source, target / "2", "png", cache=cache) == expected
    assert contents(target / "2") == contents(target / "1")


def test_another_format_does_not_come_from_the_cache(source: Path, target: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9)
    checksums = save_noise(source, ["a.png"])
    resize_to_8x10(["a.png"], checksums, source, target, "png", cache=cache)
    written, _ = resize_to_8x10(["a.png"], checksums, source, target, "jpg", cache=cache)
    assert codec.read(target / written[0]).shape == (10, 8, 3)
    assert (target / written[0]).read_bytes()[:2] == b"\xff\xd8"
