import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import network_view
from counterweight.images.view_file import open_views
from counterweight.runtime.cache import Cache

SIZE = (6, 4)


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], list[str]]:
    """Five images of 12 x 8 pixels, and their checksums."""
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    rng = np.random.default_rng(0)
    return paths, [codec.write(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8), path, "png") for path in paths]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10**6)


def entries(cache: Cache) -> list[Path]:
    return [path for path in cache.folder.glob("??/*") if path.is_file()]


@pytest.mark.parametrize(("crop", "workers"), [("none", 1), ("center", 1), ("none", 2)])
def test_views_are_those_of_each_image(
    crop: str, workers: int, files: tuple[list[Path], list[str]], cache: Cache
) -> None:
    views = open_views(*files, crop=crop, size=SIZE, cache=cache, workers=workers)
    assert views is not None
    assert (views.shape, views.dtype) == ((5, 4, 6, 3), np.uint8)
    for view, path in zip(views, files[0], strict=True):
        assert view.tolist() == network_view(codec.read(path), crop, SIZE).tolist()


def test_images_are_not_read_again(files: tuple[list[Path], list[str]], cache: Cache) -> None:
    first = open_views(*files, crop="none", size=SIZE, cache=cache, workers=1)
    for path in files[0]:
        path.unlink()
    again = open_views(*files, crop="none", size=SIZE, cache=cache, workers=1)
    assert first is not None
    assert again is not None
    assert again.tolist() == first.tolist()
    assert [path.stat().st_size for path in entries(cache)] == [5 * 4 * 6 * 3]
    assert list((cache.folder / "views").iterdir()) == []


def test_no_images_need_no_file(cache: Cache) -> None:
    assert open_views([], [], crop="none", size=SIZE, cache=cache, workers=1) is None


def test_a_damaged_file_is_made_again(files: tuple[list[Path], list[str]], cache: Cache) -> None:
    views = open_views(*files, crop="none", size=SIZE, cache=cache, workers=1)
    assert views is not None
    expected = views.tolist()
    (entry,) = entries(cache)
    entry.unlink()
    entry.write_bytes(bytes(5 * 4 * 6 * 3))
    again = open_views(*files, crop="none", size=SIZE, cache=cache, workers=1)
    assert again is not None
    assert again.tolist() == expected


@pytest.mark.parametrize("other", [{"crop": "center"}, {"size": (4, 6)}])
def test_other_views_are_another_file(
    other: dict[str, object], files: tuple[list[Path], list[str]], cache: Cache
) -> None:
    options: dict[str, object] = {"crop": "none", "size": SIZE}
    for changed in (options, options | other):
        open_views(*files, cache=cache, workers=1, **changed)  # type: ignore[arg-type]
    assert len(entries(cache)) == 2


@pytest.mark.parametrize("limit", [0, 2 * 5 * 4 * 6 * 3 - 1])
def test_views_that_take_more_than_half_of_the_cache_are_not_kept(
    limit: int, files: tuple[list[Path], list[str]], tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache", limit)
    assert open_views(*files, crop="none", size=SIZE, cache=cache, workers=1) is None
    assert entries(cache) == []


def test_a_cache_that_cannot_be_written_keeps_no_views(
    files: tuple[list[Path], list[str]], tmp_path: Path, cache: Cache
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert open_views(*files, crop="none", size=SIZE, cache=cache, workers=1) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ENOENT])
def test_a_disk_that_fails_in_the_middle_keeps_no_views(
    number: int, files: tuple[list[Path], list[str]], cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def fail(path: Path, mode: str = "r", **options: Any) -> Any:
        if path.parent.name == "views" and mode == "r+b":
            raise OSError(number, os.strerror(number))
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", fail)
    assert open_views(*files, crop="none", size=SIZE, cache=cache, workers=1) is None
    assert entries(cache) == []
    assert list((cache.folder / "views").iterdir()) == []


@pytest.mark.parametrize("break_it", [Path.unlink, lambda path: path.write_bytes(b"no image")])
def test_an_image_that_changed_is_an_error_and_leaves_nothing(
    break_it: Callable[[Path], object], files: tuple[list[Path], list[str]], cache: Cache
) -> None:
    break_it(files[0][3])
    with pytest.raises(InputError, match=r"3\.png"):
        open_views(*files, crop="none", size=SIZE, cache=cache, workers=1)
    assert entries(cache) == []
    assert list((cache.folder / "views").iterdir()) == []
