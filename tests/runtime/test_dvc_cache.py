import hashlib
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.runtime.dvc_cache import changed_tables, check_not_edited, dvc_cache_folder, note_written
from tests.workspace import run


@pytest.mark.parametrize(
    ("config", "local", "folder"),
    [
        ("", "", ".dvc/cache"),
        ("[core]\n    autostage = true\n['remote \"store\"']\n    url = /else\n", "", ".dvc/cache"),
        ("[cache]\n    dir = ../../cache\n    type = symlink\n", "", ".dvc/../../cache"),
        ("[cache]\n    dir = /one\n", "[cache]\n    dir = /two\n", "/two"),
        ("this is no configuration", "", ".dvc/cache"),
    ],
)
def test_the_cache_is_where_the_configuration_says(config: str, local: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(config)
    (tmp_path / ".dvc/config.local").write_text(local)
    assert dvc_cache_folder(tmp_path) == tmp_path / folder


def test_dvc_links_into_that_folder(tmp_path: Path) -> None:
    run(tmp_path, "dvc", "init", "--quiet", "--no-scm")
    run(tmp_path, "dvc", "config", "cache.dir", str(tmp_path / "elsewhere"))
    run(tmp_path, "dvc", "config", "cache.type", "symlink")
    (tmp_path / "a.png").write_bytes(b"a")
    run(tmp_path, "dvc", "add", "a.png")
    assert (tmp_path / "a.png").resolve().is_relative_to(dvc_cache_folder(tmp_path).resolve())


def locked(*contents: str) -> str:
    """A dvc.lock of two outputs with these contents."""
    sums = [hashlib.md5(content.encode()).hexdigest() for content in contents]
    return (
        "schema: '2.0'\nstages:\n  ingest:\n    cmd: python -m stages.ingest\n    outs:\n"
        f"    - path: manifest.csv\n      md5: {sums[0]}\n    - path: labels.csv\n      md5: {sums[1]}\n"
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose manifest.csv is not as its stage wrote it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(locked("image_id\na\n", "label\n"))
    (tmp_path / "manifest.csv").write_text("image_id\nb\n")
    (tmp_path / "labels.csv").write_text("label\n")
    return tmp_path


def test_a_table_that_is_not_as_its_stage_wrote_it_is_found(folder: Path) -> None:
    assert changed_tables(folder) == ["manifest.csv"]
    assert changed_tables(folder, [Path("labels.csv")]) == []


def test_a_table_of_another_commit_is_not_changed_by_hand(folder: Path) -> None:
    checksum = hashlib.md5(b"image_id\nb\n").hexdigest()
    earlier = folder / ".dvc/cache/files/md5" / checksum[:2] / checksum[2:]
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    assert changed_tables(folder) == []


@pytest.mark.parametrize("lock", [None, "", "schema: '2.0'\nstages:\n  ing", locked("image_id\nb\n", "label\n")])
def test_nothing_was_changed_if_dvc_lock_does_not_say_so(lock: str | None, folder: Path) -> None:
    (folder / "dvc.lock").unlink()
    if lock is not None:
        (folder / "dvc.lock").write_text(lock)
    assert changed_tables(folder) == []


def test_a_stage_stops_at_its_output_that_was_changed(folder: Path) -> None:
    check_not_edited(Path("labels.csv"))
    with pytest.raises(InputError, match=r"^manifest.csv: no stage wrote what it holds. If you changed it, make"):
        check_not_edited(Path("manifest.csv"))


def test_what_a_stage_has_noted_is_not_changed_by_hand(folder: Path) -> None:
    note_written(folder / "manifest.csv")
    check_not_edited(Path("manifest.csv"))
    (folder / "manifest.csv").write_text("image_id\nc\n")
    assert changed_tables(folder) == ["manifest.csv"]
