import errno
import os
import sys
from pathlib import Path

import pytest

from counterweight.runtime import file_links
from counterweight.runtime.file_links import link_or_copy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_bytes(b"pixels")
    return tmp_path / "source"


def test_a_file_is_linked_if_it_cannot_be_cloned(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_links, "_clone", _unsupported)
    link_or_copy(source, source.with_name("target"))
    assert source.with_name("target").samefile(source)


def test_a_file_is_copied_if_it_can_be_neither_cloned_nor_linked(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_links, "_clone", _unsupported)
    monkeypatch.setattr(os, "link", _unsupported)
    link_or_copy(source, source.with_name("target"))
    assert source.with_name("target").read_bytes() == b"pixels"
    assert not source.with_name("target").samefile(source)


@pytest.mark.skipif(sys.platform != "linux", reason="clones need Linux")
@pytest.mark.parametrize(("number", "tries"), [(errno.EOPNOTSUPP, 1), (errno.EINVAL, 3)])
def test_a_file_system_without_clones_is_asked_once(
    number: int, tries: int, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def fail(clone: int, _request: int, _original: int) -> None:
        asked.append(clone)
        raise OSError(number, "not cloned")

    monkeypatch.setattr(file_links, "_without_clones", set())
    monkeypatch.setattr(file_links.fcntl, "ioctl", fail)
    for name in ("first", "second", "third"):
        link_or_copy(source, source.with_name(name))
        assert source.with_name(name).samefile(source)
    assert len(asked) == tries


def test_an_existing_target_is_replaced_and_not_written_through(source: Path) -> None:
    other, target = source.with_name("other"), source.with_name("target")
    other.write_bytes(b"others")
    os.link(other, target)
    link_or_copy(source, target)
    assert (target.read_bytes(), other.read_bytes()) == (b"pixels", b"others")


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "source", tmp_path / "target")


def _unsupported(_source: Path, _target: Path) -> None:
    raise OSError(errno.EOPNOTSUPP, "not on this file system")
