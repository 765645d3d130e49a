import errno
import os
from pathlib import Path

import pytest

from counterweight.runtime import file_links
from counterweight.runtime.file_links import link_or_copy


@pytest.fixture
def given(tmp_path: Path) -> Path:
    (tmp_path / "given").write_bytes(b"pixels")
    return tmp_path / "given"


def test_file_takes_no_second_place_where_it_can_be_linked(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_links, "_clone", _cannot)
    link_or_copy(given, given.with_name("made"))
    assert given.with_name("made").samefile(given)


def test_file_is_copied_where_it_can_be_neither_cloned_nor_linked(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_links, "_clone", _cannot)
    monkeypatch.setattr(os, "link", _cannot)
    link_or_copy(given, given.with_name("made"))
    assert given.with_name("made").read_bytes() == b"pixels"
    assert not given.with_name("made").samefile(given)


def test_what_stood_there_is_replaced_and_not_written_through(given: Path) -> None:
    other, made = given.with_name("other"), given.with_name("made")
    other.write_bytes(b"others")
    os.link(other, made)
    link_or_copy(given, made)
    assert (made.read_bytes(), other.read_bytes()) == (b"pixels", b"others")


def test_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "given", tmp_path / "made")


def _cannot(_source: Path, _target: Path) -> None:
    raise OSError(errno.EOPNOTSUPP, "not on this file system")
