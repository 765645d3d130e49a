import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.runtime import cache
from counterweight.runtime.cache import TAG, Cache, cache_of, key_of

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
    return sorted(path for path in of.folder.rglob("*") if path.is_file() and path.name != TAG)


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


def test_folder_carries_the_mark_by_which_backups_pass_it_over(kept: Cache) -> None:
    assert (kept.folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_folder_with_unfinished_work_alone_is_marked_too(tmp_path: Path) -> None:
    Cache(tmp_path / "cache", 1000).place("training", KEY)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [TAG]


@pytest.mark.parametrize("value", ["", None])
def test_empty_variable_counts_as_not_set(value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {} if value is None else {"COUNTERWEIGHT_CACHE": value}
    assert cache_of(environment).folder == tmp_path / ".counterweight"


@pytest.mark.parametrize("foreign", ["photo1.jpg", "sub/photo1.jpg", TAG])
def test_folder_with_files_of_others_is_refused(foreign: str, tmp_path: Path) -> None:
    file = tmp_path / "photos" / foreign
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"photos, which is not empty and has no CACHEDIR\.TAG of Counterweight"):
        cache_of({"COUNTERWEIGHT_CACHE": str(tmp_path / "photos")})
    assert file.read_bytes() == b"mine"


def test_folder_that_is_empty_or_marked_is_taken(kept: Cache, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", kept.folder):
        assert cache_of({"COUNTERWEIGHT_CACHE": str(folder)}).folder == folder


def test_folder_that_another_process_is_about_to_mark_is_taken(tmp_path: Path) -> None:
    (tmp_path / f".{'0' * 16}.partial").write_text("Signature")
    assert cache_of({"COUNTERWEIGHT_CACHE": str(tmp_path)}).folder == tmp_path


FOREIGN = [
    "photo1.jpg", "sub/photo1.jpg", ".git/HEAD", "stages/resize.py", "training/model.pth", f"sub/{KEY}", f"ab/{KEY}",
    f"{KEY[:2]}/photo1.jpg", f"{KEY[:2]}/sub/photo1.jpg", f"sub/{KEY}-{'0' * 64}-", f"{OTHER[:2]}/{KEY}-{'0' * 64}-",
]  # fmt: skip


@pytest.mark.parametrize("limit", [0, 1])
def test_full_cache_deletes_its_own_files_alone(limit: int, kept: Cache) -> None:
    kept.keep_bytes(OTHER, b"more")
    unfinished = kept.place("training", KEY)
    assert unfinished is not None
    unfinished.parent.mkdir()
    unfinished.write_bytes(b"epoch 3")
    for name in FOREIGN:
        (kept.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (kept.folder / name).write_bytes(b"mine, not yours")
    Cache(kept.folder, limit).prune()
    assert entries(kept) == sorted(kept.folder / name for name in FOREIGN)
    assert (kept.folder / TAG).exists()


@pytest.mark.parametrize("limit", [0, 1])
def test_folder_without_the_mark_loses_nothing(limit: int, kept: Cache) -> None:
    (kept.folder / TAG).unlink()
    before = entries(kept)
    Cache(kept.folder, limit).prune()
    assert entries(kept) == before != []


@pytest.mark.parametrize("limit", [0, 1])
def test_links_out_of_the_cache_are_not_followed(limit: int, kept: Cache, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    photo = outside / f"{OTHER}-{sha(b'mine')}-"
    photo.write_bytes(b"mine")
    (kept.folder / OTHER[:2]).symlink_to(outside)
    link = kept.folder / KEY[:2] / f"{KEY}-{sha(b'mine')}-"
    link.symlink_to(photo)
    (kept.folder / "training").symlink_to(outside)
    (outside / OTHER).write_bytes(b"a model of mine")
    assert list(kept.find([OTHER])) == []
    Cache(kept.folder, limit).prune()
    assert (photo.read_bytes(), (outside / OTHER).read_bytes()) == (b"mine", b"a model of mine")
    assert link.is_symlink()


def test_linked_entry_is_not_read_and_a_damaged_one_is_not_deleted(kept: Cache, tmp_path: Path) -> None:
    (tmp_path / "photo1.jpg").write_bytes(b"mine")
    (kept.folder / OTHER[:2]).mkdir(exist_ok=True)
    (kept.folder / OTHER[:2] / f"{OTHER}-{sha(b'other')}-").symlink_to(tmp_path / "photo1.jpg")
    assert kept.find([OTHER]) == {}
    assert (tmp_path / "photo1.jpg").exists()


def test_link_to_the_cache_is_as_good_as_the_cache(kept: Cache, tmp_path: Path) -> None:
    (tmp_path / "large disk").symlink_to(kept.folder)
    linked = cache_of({"COUNTERWEIGHT_CACHE": str(tmp_path / "large disk"), "COUNTERWEIGHT_CACHE_GB": "0"})
    assert list(linked.find([KEY])) == [KEY]
    linked.prune()
    assert entries(kept) == []


def test_resize_with_a_folder_of_photographs_for_a_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "sub" / "photo1.jpg").write_bytes(b"mine")
    options = "--manifest none.csv --images none --resized resized --table resized.csv"
    settings = {"COUNTERWEIGHT_CACHE": "photos", "COUNTERWEIGHT_CACHE_GB": "0.001", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "stages.resize", *options.split(), "--params", str(Path("params.yaml").absolute())]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("COUNTERWEIGHT_CACHE is")) == (1, 1)
    assert (tmp_path / "photos" / "sub" / "photo1.jpg").read_bytes() == b"mine"
