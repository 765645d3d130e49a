import hashlib
import os
from pathlib import Path

import pytest

from stages.base.errors import InputError
from stages.core import cache
from stages.core.cache import Cache, cache_of, fingerprint, key_of

KEY, OTHER = key_of("code", "content", {}), key_of("code", "other", {})


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    """A cache with one entry of six bytes."""
    kept = Cache(tmp_path / "cache", 1000)
    kept.keep_bytes(KEY, b"pixels", "uc")
    return kept


def entries(of: Cache) -> list[Path]:
    return sorted(path for path in of.folder.rglob("*") if path.is_file())


def test_entry_is_found_with_its_note_and_read(kept: Cache) -> None:
    found = kept.find([KEY, OTHER])
    assert list(found) == [KEY]
    assert (found[KEY].checksum, found[KEY].note, kept.read(found[KEY])) == (sha(b"pixels"), "uc", b"pixels")


def test_finished_file_becomes_an_entry_and_comes_back(kept: Cache, tmp_path: Path) -> None:
    (tmp_path / "made.jpg").write_bytes(b"jpeg")
    kept.keep(OTHER, tmp_path / "made.jpg", sha(b"jpeg"))
    assert kept.take(kept.find([OTHER])[OTHER], tmp_path / "below" / "again.jpg")
    assert (tmp_path / "below" / "again.jpg").read_bytes() == b"jpeg"


@pytest.mark.parametrize("damaged", [b"pix", b"", b"pixelz", b"pixels and more"])
def test_damaged_entry_is_none_and_is_deleted(kept: Cache, damaged: bytes, tmp_path: Path) -> None:
    entries(kept)[0].write_bytes(damaged)
    assert not kept.take(kept.find([KEY])[KEY], tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert entries(kept) == []


def test_folder_may_vanish_between_finding_and_taking(kept: Cache, tmp_path: Path) -> None:
    found = kept.find([KEY])[KEY]
    entries(kept)[0].unlink()
    assert kept.read(found) is None
    assert not kept.take(found, tmp_path / "again")


def test_names_that_are_no_entries_are_left_alone(kept: Cache) -> None:
    for name in (".0123.partial", f"{KEY}-{'g' * 64}-", "notes.txt"):
        (kept.folder / KEY[:2] / name).write_bytes(b"")
    assert list(kept.find([KEY])) == [KEY]


def test_limit_of_zero_keeps_nothing(tmp_path: Path) -> None:
    none = Cache(tmp_path / "cache", 0)
    none.keep_bytes(KEY, b"pixels")
    assert (none.find([KEY]), none.folder.exists()) == ({}, False)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    full = Cache(tmp_path / "cache", 100)
    keys = [key_of("code", str(i), {}) for i in range(3)]
    for i, key in enumerate(keys):
        full.keep_bytes(key, bytes([i]) * 40)
        os.utime(full.find([key])[key].path, ns=(i, i))
    full.read(full.find(keys)[keys[0]])
    full.prune()
    assert set(full.find(keys)) == {keys[0], keys[2]}


def test_below_its_limit_nothing_is_deleted(kept: Cache) -> None:
    kept.prune()
    assert len(entries(kept)) == 1


def test_use_leaves_the_time_of_change_of_a_linked_output(kept: Cache) -> None:
    (path,) = entries(kept)
    os.utime(path, ns=(1, 1))
    kept.read(kept.find([KEY])[KEY])
    assert (path.stat().st_mtime_ns, path.stat().st_atime_ns > 1) == (1, True)


def test_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    Cache(tmp_path / "cache", 1000).keep_bytes(KEY, b"pixels")
    assert Cache(tmp_path / "cache", 1000).find([KEY]) == {}


def test_key_depends_on_code_content_and_params() -> None:
    keys = {key_of(*given) for given in [("a", "b", {"w": 1}), ("c", "b", {"w": 1}), ("a", "c", {"w": 1})]}
    keys |= {key_of("a", "b", {"w": 2}), key_of("a", "b", {"h": 1})}
    assert len(keys) == 5
    assert key_of("a", "b", {"w": 1, "h": 2}) == key_of("a", "b", {"h": 2, "w": 1})


def test_fingerprint_is_of_modules_and_versions() -> None:
    prints = {fingerprint(["balancing"], ["numpy"]), fingerprint(["clustering"], ["numpy"])}
    prints |= {fingerprint(["balancing", "clustering"], ["numpy"]), fingerprint(["balancing"], ["pandas"])}
    assert len(prints) == 4
    assert fingerprint(["balancing"], ["numpy"]) == fingerprint(["balancing"], ["numpy"])


def test_place_and_limit_are_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_of({}) == Cache(tmp_path / ".counterweight", 20_000_000_000)
    given = {"COUNTERWEIGHT_CACHE": "/elsewhere", "COUNTERWEIGHT_CACHE_GB": "0.5"}
    assert cache_of(given) == Cache(Path("/elsewhere"), 500_000_000)


@pytest.mark.parametrize("value", ["", "-1", "much", "nan", "1e3", "inf"])
def test_limit_that_is_no_number_is_an_error(value: str) -> None:
    with pytest.raises(InputError, match="COUNTERWEIGHT_CACHE_GB must be a number of at least 0"):
        cache_of({"COUNTERWEIGHT_CACHE_GB": value})


def test_entry_of_a_partial_write_never_has_the_name_of_an_entry(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "link_or_copy", _half)
    with pytest.raises(KeyboardInterrupt):
        kept.keep(OTHER, entries(kept)[0], sha(b"pixels"))
    assert kept.find([OTHER]) == {}


def _half(_source: Path, target: Path) -> None:
    target.write_bytes(b"pix")
    raise KeyboardInterrupt


def test_unfinished_work_has_a_place_unless_nothing_is_kept(kept: Cache, tmp_path: Path) -> None:
    assert kept.place("training", KEY) == tmp_path / "cache" / "training" / KEY
    assert Cache(tmp_path, 0).place("training", KEY) is None
