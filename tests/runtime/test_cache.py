import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.runtime import cache as cache_module
from counterweight.runtime.cache import TAG, Cache, cache_key, open_cache

KEY, OTHER = cache_key("code", "content", {}), cache_key("code", "other", {})


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache with one entry of six bytes."""
    filled = Cache(tmp_path / "cache", 1000)
    filled.put_bytes(KEY, b"pixels", "uc")
    return filled


def entries(cache: Cache) -> list[Path]:
    return sorted(path for path in cache.folder.rglob("*") if path.is_file() and path.name not in (TAG, "small"))


def test_an_entry_is_found_with_its_note_and_read(cache: Cache) -> None:
    found = cache.find([KEY, OTHER])
    assert list(found) == [KEY]
    assert (found[KEY].checksum, found[KEY].note, cache.read(found[KEY])) == (sha(b"pixels"), "uc", b"pixels")


def test_a_finished_file_becomes_an_entry_and_is_restored(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "made.jpg").write_bytes(b"jpeg")
    cache.put(OTHER, tmp_path / "made.jpg", sha(b"jpeg"))
    assert cache.restore(cache.find([OTHER])[OTHER], tmp_path / "below" / "again.jpg")
    assert (tmp_path / "below" / "again.jpg").read_bytes() == b"jpeg"


@pytest.mark.parametrize("damaged", [b"pix", b"", b"pixelz", b"pixels and more"])
def test_a_damaged_entry_is_not_restored_but_deleted(cache: Cache, damaged: bytes, tmp_path: Path) -> None:
    entries(cache)[0].write_bytes(damaged)
    assert not cache.restore(cache.find([KEY])[KEY], tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert entries(cache) == []


def test_an_empty_folder_in_place_of_an_entry_heals_and_one_with_files_stays(cache: Cache) -> None:
    entry = entries(cache)[0]
    note = entry.name.split("-")[2]
    entry.unlink()
    entry.mkdir()
    assert cache.find([KEY]) == {}
    cache.put_bytes(KEY, b"pixels", note)
    assert cache.read(cache.find([KEY])[KEY]) == b"pixels"
    entry.unlink()
    entry.mkdir()
    (entry / "mine.txt").touch()
    cache.put_bytes(KEY, b"pixels", note)
    assert (entry / "mine.txt").exists()


def test_an_entry_may_vanish_between_finding_and_reading(cache: Cache, tmp_path: Path) -> None:
    found = cache.find([KEY])[KEY]
    entries(cache)[0].unlink()
    assert cache.read(found) is None
    assert not cache.restore(found, tmp_path / "again")


def test_names_that_do_not_match_are_no_entries(cache: Cache) -> None:
    for name in (".0123.partial", f"{KEY}-{'g' * 64}-", "notes.txt"):
        (cache.folder / KEY[:2] / name).write_bytes(b"")
    assert list(cache.find([KEY])) == [KEY]


def test_limit_of_zero_keeps_nothing(tmp_path: Path) -> None:
    none = Cache(tmp_path / "cache", 0)
    none.put_bytes(KEY, b"pixels")
    assert (none.find([KEY]), none.folder.exists()) == ({}, False)


def test_least_recently_used_entries_are_deleted_first(tmp_path: Path) -> None:
    full = Cache(tmp_path / "cache", 100)
    keys = [cache_key("code", str(i), {}) for i in range(3)]
    for i, key in enumerate(keys):
        full.put_bytes(key, bytes([i]) * 40)
        os.utime(full.find([key])[key].path, ns=(i, i))
    full.read(full.find(keys)[keys[0]])
    full.prune()
    assert set(full.find(keys)) == {keys[0], keys[2]}


def test_below_its_limit_nothing_is_deleted(cache: Cache) -> None:
    cache.prune()
    assert len(entries(cache)) == 1


@pytest.mark.parametrize(
    ("limit", "age", "left"),
    [(1000, 0, 3), (1000, -500, 3), (1000, -700, 1), (1001, 0, 1), (30, 0, 0)],
)  # fmt: skip
def test_a_cache_that_was_small_is_not_looked_through_for_ten_minutes(
    limit: int, age: int, left: int, cache: Cache
) -> None:
    cache.prune()
    cache.put_bytes(cache_key("code", "large", {}), bytes(500))
    cache.put_bytes(cache_key("code", "larger", {}), bytes(600))
    for number, file in enumerate(sorted(entries(cache), key=lambda path: path.stat().st_size)):
        os.utime(file, ns=(number, number))
    small = cache.folder / "small"
    os.utime(small, (small.stat().st_mtime + age,) * 2)
    Cache(cache.folder, limit).prune()
    assert len(entries(cache)) == left


def test_a_cache_that_is_more_than_half_full_is_looked_through_each_time(tmp_path: Path) -> None:
    full = Cache(tmp_path / "cache", 1000)
    for i in range(4):
        full.put_bytes(cache_key("code", str(i), {}), bytes(300))
        if i:
            full.prune()
    assert len(entries(full)) == 3


def test_the_mark_is_written_again_with_the_next_entry(cache: Cache) -> None:
    (cache.folder / TAG).unlink()
    cache.put_bytes(KEY, b"pixels")
    assert open_cache({"COUNTERWEIGHT_CACHE": str(cache.folder)}).find([KEY])


def test_use_keeps_the_modification_time_of_a_linked_output(cache: Cache) -> None:
    (path,) = entries(cache)
    os.utime(path, ns=(1, 1))
    cache.read(cache.find([KEY])[KEY])
    assert (path.stat().st_mtime_ns, path.stat().st_atime_ns > 1) == (1, True)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    Cache(tmp_path / "cache", 1000).put_bytes(KEY, b"pixels")
    assert Cache(tmp_path / "cache", 1000).find([KEY]) == {}


def test_key_depends_on_code_content_and_params() -> None:
    keys = {cache_key(*parts) for parts in [("a", "b", {"w": 1}), ("c", "b", {"w": 1}), ("a", "c", {"w": 1})]}
    keys |= {cache_key("a", "b", {"w": 2}), cache_key("a", "b", {"h": 1})}
    assert len(keys) == 5
    assert cache_key("a", "b", {"w": 1, "h": 2}) == cache_key("a", "b", {"h": 2, "w": 1})


def test_folder_and_limit_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_cache({}) == Cache(tmp_path / ".counterweight", 20_000_000_000)
    environment = {"COUNTERWEIGHT_CACHE": "/elsewhere", "COUNTERWEIGHT_CACHE_GB": "0.5"}
    assert open_cache(environment) == Cache(Path("/elsewhere"), 500_000_000)


@pytest.mark.parametrize("value", ["", "-1", "much", "nan", "1e3", "inf"])
def test_an_invalid_limit_is_an_error(value: str) -> None:
    with pytest.raises(InputError, match="COUNTERWEIGHT_CACHE_GB must be a number of at least 0"):
        open_cache({"COUNTERWEIGHT_CACHE_GB": value})


def test_an_interrupted_write_leaves_no_entry(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "link_or_copy", _write_half)
    with pytest.raises(KeyboardInterrupt):
        cache.put(OTHER, entries(cache)[0], sha(b"pixels"))
    assert cache.find([OTHER]) == {}


def _write_half(_source: Path, target: Path) -> None:
    target.write_bytes(b"pix")
    raise KeyboardInterrupt


def test_unfinished_work_has_a_path_unless_the_cache_is_disabled(cache: Cache, tmp_path: Path) -> None:
    assert cache.scratch_path("training", KEY) == tmp_path / "cache" / "training" / KEY
    assert Cache(tmp_path, 0).scratch_path("training", KEY) is None


def test_the_folder_has_the_mark_that_backup_programs_skip(cache: Cache) -> None:
    assert (cache.folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_folder_with_only_unfinished_work_is_marked_too(tmp_path: Path) -> None:
    Cache(tmp_path / "cache", 1000).scratch_path("training", KEY)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [TAG]


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_variable_counts_as_not_set(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {} if value is None else {"COUNTERWEIGHT_CACHE": value}
    assert open_cache(environment).folder == tmp_path / ".counterweight"


@pytest.mark.parametrize("foreign", ["photo1.jpg", "sub/photo1.jpg", TAG])
def test_a_folder_with_foreign_files_is_refused(foreign: str, tmp_path: Path) -> None:
    file = tmp_path / "photos" / foreign
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"photos, which is not empty and has no CACHEDIR\.TAG of Counterweight"):
        open_cache({"COUNTERWEIGHT_CACHE": str(tmp_path / "photos")})
    assert file.read_bytes() == b"mine"


def test_a_folder_that_is_empty_or_marked_is_accepted(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", cache.folder):
        assert open_cache({"COUNTERWEIGHT_CACHE": str(folder)}).folder == folder


def test_a_folder_that_another_process_is_marking_is_accepted(tmp_path: Path) -> None:
    (tmp_path / f".{'0' * 16}.partial").write_text("Signature")
    assert open_cache({"COUNTERWEIGHT_CACHE": str(tmp_path)}).folder == tmp_path


FOREIGN = [
    "photo1.jpg", "sub/photo1.jpg", ".git/HEAD", "stages/resize.py", "training/model.pth", f"sub/{KEY}", f"ab/{KEY}",
    f"{KEY[:2]}/photo1.jpg", f"{KEY[:2]}/sub/photo1.jpg", f"sub/{KEY}-{'0' * 64}-", f"{OTHER[:2]}/{KEY}-{'0' * 64}-",
]  # fmt: skip


@pytest.mark.parametrize("limit", [0, 1])
def test_a_full_cache_deletes_only_its_own_files(limit: int, cache: Cache) -> None:
    cache.put_bytes(OTHER, b"more")
    unfinished = cache.scratch_path("training", KEY)
    assert unfinished is not None
    unfinished.parent.mkdir()
    unfinished.write_bytes(b"epoch 3")
    for name in FOREIGN:
        (cache.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (cache.folder / name).write_bytes(b"mine, not yours")
    Cache(cache.folder, limit).prune()
    assert entries(cache) == sorted(cache.folder / name for name in FOREIGN)
    assert (cache.folder / TAG).exists()


@pytest.mark.parametrize("limit", [0, 1])
def test_nothing_is_deleted_from_a_folder_without_the_mark(limit: int, cache: Cache) -> None:
    (cache.folder / TAG).unlink()
    before = entries(cache)
    Cache(cache.folder, limit).prune()
    assert entries(cache) == before != []


@pytest.mark.parametrize("limit", [0, 1])
def test_links_out_of_the_cache_are_not_followed(limit: int, cache: Cache, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    photo = outside / f"{OTHER}-{sha(b'mine')}-"
    photo.write_bytes(b"mine")
    (cache.folder / OTHER[:2]).symlink_to(outside)
    link = cache.folder / KEY[:2] / f"{KEY}-{sha(b'mine')}-"
    link.symlink_to(photo)
    (cache.folder / "training").symlink_to(outside)
    (outside / OTHER).write_bytes(b"a model of mine")
    assert list(cache.find([OTHER])) == []
    Cache(cache.folder, limit).prune()
    assert (photo.read_bytes(), (outside / OTHER).read_bytes()) == (b"mine", b"a model of mine")
    assert link.is_symlink()


def test_a_linked_entry_is_neither_read_nor_deleted(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "photo1.jpg").write_bytes(b"mine")
    (cache.folder / OTHER[:2]).mkdir(exist_ok=True)
    (cache.folder / OTHER[:2] / f"{OTHER}-{sha(b'other')}-").symlink_to(tmp_path / "photo1.jpg")
    assert cache.find([OTHER]) == {}
    assert (tmp_path / "photo1.jpg").exists()


def test_the_cache_folder_itself_may_be_a_link(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "large disk").symlink_to(cache.folder)
    linked = open_cache({"COUNTERWEIGHT_CACHE": str(tmp_path / "large disk"), "COUNTERWEIGHT_CACHE_GB": "0"})
    assert list(linked.find([KEY])) == [KEY]
    linked.prune()
    assert entries(cache) == []


def test_resize_refuses_a_folder_of_photographs_as_its_cache(tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "sub" / "photo1.jpg").write_bytes(b"mine")
    options = "--manifest none.csv --images none --resized resized --table resized.csv"
    settings = {"COUNTERWEIGHT_CACHE": "photos", "COUNTERWEIGHT_CACHE_GB": "0.001", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "stages.resize", *options.split(), "--params", str(Path("params.yaml").absolute())]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("COUNTERWEIGHT_CACHE is")) == (1, 1)
    assert (tmp_path / "photos" / "sub" / "photo1.jpg").read_bytes() == b"mine"
