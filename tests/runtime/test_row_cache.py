import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from counterweight.runtime import row_cache
from counterweight.runtime.cache import Cache, cache_key
from counterweight.runtime.row_cache import RowCache

KEY, OTHER = cache_key("code", "rows", {"weights": "a"}), cache_key("code", "rows", {"weights": "b"})
IMAGES = [hashlib.sha256(bytes([i])).hexdigest() for i in range(5)]
ROWS = np.arange(10, dtype=np.float32).reshape(5, 2)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Has the rows of the first three images, of one network."""
    cache = Cache(tmp_path / "cache", 10**6)
    with RowCache(cache, KEY) as rows:
        for i in range(3):
            rows.put(IMAGES[i], ROWS[i])
    return cache


def entries(cache: Cache) -> list[Path]:
    return sorted(file for file in cache.folder.glob("*/*") if file.is_file())


def read(cache: Cache, images: list[str], key: str = KEY) -> dict[int, list[float]]:
    found: list[tuple[int, NDArray[np.float32]]] = list(RowCache(cache, key).read(images))
    assert len(dict(found)) == len(found)
    return {position: row.tolist() for position, row in found}


def test_rows_are_found_by_their_images_in_any_order(cache: Cache) -> None:
    assert read(cache, [IMAGES[4], IMAGES[2], IMAGES[0]]) == {1: [4, 5], 2: [0, 1]}
    assert read(cache, []) == {}


def test_an_image_may_be_asked_for_twice(cache: Cache) -> None:
    assert read(cache, [IMAGES[1], IMAGES[3], IMAGES[1]]) == {0: [2, 3], 2: [2, 3]}


def test_other_networks_have_rows_of_their_own(cache: Cache) -> None:
    assert read(cache, IMAGES, OTHER) == {}


def test_rows_of_several_runs_are_found_together(cache: Cache) -> None:
    with RowCache(cache, KEY) as rows:
        # What another process has computed at the same time, too.
        for i in (2, 3):
            rows.put(IMAGES[i], ROWS[i])
    assert len(entries(cache)) == 2
    assert read(cache, IMAGES) == {0: [0, 1], 1: [2, 3], 2: [4, 5], 3: [6, 7]}


def test_rows_may_be_maps(tmp_path: Path) -> None:
    cache, maps = Cache(tmp_path, 10**6), np.arange(16, dtype=np.float32).reshape(2, 2, 2, 2)
    with RowCache(cache, KEY) as rows:
        rows.put(IMAGES[0], maps[0])
        rows.put(IMAGES[1], maps[1])
    assert read(cache, IMAGES[:2]) == {0: maps[0].tolist(), 1: maps[1].tolist()}


def test_a_row_of_another_shape_begins_an_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10**6)
    with RowCache(cache, KEY) as rows:
        rows.put(IMAGES[0], ROWS[0])
        rows.put(IMAGES[1], ROWS[1, :1])
    assert read(cache, IMAGES[:2]) == {0: [0, 1], 1: [2]}


def test_images_whose_checksums_begin_alike_are_told_apart(tmp_path: Path) -> None:
    cache, alike = Cache(tmp_path, 10**6), [IMAGES[0][:16] + end * 48 for end in "0123"]
    with RowCache(cache, KEY) as rows:
        for i in (1, 2):
            rows.put(alike[i], ROWS[i])
    assert read(cache, alike) == {1: [2, 3], 2: [4, 5]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:40],
        lambda data: b"",
        lambda data: bytes(len(data)),
        lambda data: data + b"1234",
        lambda data: data[:-1] + b"\1",
    ],
)
def test_damaged_rows_are_not_used_and_deleted(cache: Cache, damage: Callable[[bytes], bytes]) -> None:
    (file,) = entries(cache)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert read(cache, IMAGES) == {}
    assert entries(cache) == []
    file.write_bytes(whole)
    assert len(read(cache, IMAGES)) == 3


def test_rows_may_vanish(cache: Cache) -> None:
    assert len(read(cache, IMAGES)) == 3
    (file,) = entries(cache)
    file.unlink()
    assert read(cache, IMAGES) == {}


def test_rows_are_written_when_they_have_many_bytes(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "_MAX_BYTES", 16)
    with RowCache(cache, OTHER) as rows:
        for i in range(5):
            rows.put(IMAGES[i], ROWS[i])
            assert len(read(cache, IMAGES, OTHER)) == (i + 1) // 2 * 2
    assert len(read(cache, IMAGES, OTHER)) == 5


def test_rows_that_took_long_are_written_at_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 6.0, 6.0, 6.0, 20.0])
    monkeypatch.setattr(row_cache, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    rows = RowCache(cache, OTHER)
    written = []
    for i in range(4):
        rows.put(IMAGES[i], ROWS[i])
        written.append(len(list(rows.read(IMAGES))))
    # The first took 6 s. Of three in 6 s, two took 4 s; and three more in 20 s, 15 s.
    assert written == [1, 1, 1, 4]


def test_rows_before_an_error_are_kept(cache: Cache) -> None:
    def stop_after_one() -> None:
        with RowCache(cache, OTHER) as rows:
            rows.put(IMAGES[0], ROWS[0])
            raise ValueError("no image")

    with pytest.raises(ValueError, match="no image"):
        stop_after_one()
    assert read(cache, IMAGES, OTHER) == {0: [0, 1]}


def test_rows_that_another_entry_has_too_are_yielded_once(cache: Cache) -> None:
    with RowCache(cache, KEY) as rows:
        rows.put(IMAGES[0], ROWS[0])
    assert len(entries(cache)) == 2
    assert read(cache, IMAGES[:1]) == {0: [0, 1]}


def test_a_row_does_not_hold_the_memory_of_all(cache: Cache) -> None:
    ((_, row),) = RowCache(cache, KEY).read(IMAGES[:1])
    assert row.base is None
