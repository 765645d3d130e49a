"""Finished work, kept outside DVC's outputs: what was done before a kill, or before images were added, is not redone.

An entry is one file, whose name holds the key of the work, the SHA-256 of the content and a short note. It appears
complete, by one rename, and is checked against its name each time it is used; a damaged one is deleted, and the work
done again. The folder may be deleted at any time, also while a stage runs.

The folder carries a mark, ``CACHEDIR.TAG``, by which backup programs pass it over too (Cache Directory Tagging
Specification, https://bford.info/cachedir/). Only below a marked folder is anything ever deleted, and there only
regular files whose names, and whose folder's name, are of the kind that this module gives. No link is followed.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError
from counterweight.runtime.file_links import link_or_copy

# Where the cache is full it is emptied down to this part of its limit, so that not every run has to.
_KEPT = 0.9
_NAME = re.compile(r"(?P<key>[0-9a-f]{64})-(?P<checksum>[0-9a-f]{64})-(?P<note>[a-z0-9]*)")
_SHARD = re.compile(r"[0-9a-f]{2}")
# Files that are being written: of this module, and of the owner of unfinished work.
_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.partial")
_UNFINISHED = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\.partial")
# Kinds of unfinished work, each with a folder of its own.
KINDS = ("training",)

TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"  # The standard's, in every such file.
_MARK = f"""{_SIGNATURE}
# This file is a cache directory tag created by Counterweight. The folder holds finished work, and may be deleted.
"""


@dataclass(frozen=True)
class Entry:
    """A file of the cache.

    Attributes
    ----------
    path : Path
        Where it is.
    checksum : str
        SHA-256 that its content had.
    note : str
        What the work has to say beside its content.
    """

    path: Path
    checksum: str
    note: str


def cache_of(environment: Mapping[str, str]) -> "Cache":
    """The cache that the environment names.

    Parameters
    ----------
    environment : mapping of str to str
        ``COUNTERWEIGHT_CACHE`` is the folder, by default ``.counterweight`` in the working folder;
        ``COUNTERWEIGHT_CACHE_GB`` is the limit, by default 20, and 0 keeps nothing. An empty folder counts as not set.

    Raises
    ------
    InputError
        If the limit is no number of at least 0, or the folder holds files of others: it is not empty, and does not
        carry the cache's mark.
    """
    value = environment.get("COUNTERWEIGHT_CACHE_GB", "20")
    if not re.fullmatch(r"\d+(\.\d+)?", value):
        raise InputError(
            f"environment: COUNTERWEIGHT_CACHE_GB must be a number of at least 0, not '{value}'. Set it to the "
            "gigabytes that finished work may take, or unset it for 20."
        )
    folder = Path(environment.get("COUNTERWEIGHT_CACHE") or ".counterweight").absolute()
    if _holds_others(folder):
        raise InputError(
            f"environment: COUNTERWEIGHT_CACHE is {folder}, which is not empty and has no {TAG} of Counterweight, so "
            "its files may be yours. Set it to a new or an empty folder; or delete this one, if it is a cache of an "
            "earlier version."
        )
    return Cache(folder, int(float(value) * 1e9))


def key_of(code: str, content: str, params: Mapping[str, Any]) -> str:
    """The key of a piece of work.

    Parameters
    ----------
    code : str
        What `counterweight.runtime.fingerprint.fingerprint` returned.
    content : str
        Checksum of what comes in.
    params : mapping of str to value
        Every other value that the outcome depends on.
    """
    return hashlib.sha256(json.dumps([code, content, params], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """A folder of entries.

    Attributes
    ----------
    folder : Path
        It is made when the first entry is kept.
    limit : int
        Bytes; 0 keeps nothing. `prune` sees to it, so that a running stage may go beyond.
    """

    folder: Path
    limit: int

    def find(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Entries of those keys that have one, as their names say; nothing is read yet."""
        wanted = set(keys)
        found = {}
        for shard in {key[:2] for key in wanted}:
            for file in _files(self.folder / shard, _NAME):
                name = _NAME.fullmatch(file.name)
                if name is not None and name["key"] in wanted:
                    found[name["key"]] = Entry(Path(file.path), name["checksum"], name["note"])
        return found

    def read(self, entry: Entry) -> bytes | None:
        """Content of an entry; None, and no entry any more, if it is not what it was."""
        try:
            content = entry.path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != entry.checksum:
            with contextlib.suppress(OSError):
                entry.path.unlink()
            return None
        # The time of its last use; its time of change stays, for DVC goes by that in files that are linked to it.
        with contextlib.suppress(OSError):
            os.utime(entry.path, ns=(time.time_ns(), entry.path.stat().st_mtime_ns))
        return content

    def take(self, entry: Entry, target: Path) -> bool:
        """Put an entry's file at ``target``; False, and nothing there, if the entry is damaged or gone."""
        if self.read(entry) is None:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            link_or_copy(entry.path, target)
        except FileNotFoundError:
            return False
        return True

    def keep(self, key: str, file: Path, checksum: str, note: str = "") -> None:
        """Make a finished file an entry."""
        if self.limit:
            self._place(key, checksum, note, lambda aside: link_or_copy(file, aside))

    def keep_bytes(self, key: str, content: bytes, note: str = "") -> None:
        """Make bytes an entry."""
        if self.limit:
            checksum = hashlib.sha256(content).hexdigest()
            self._place(key, checksum, note, lambda aside: aside.write_bytes(content))

    def place(self, kind: str, key: str) -> Path | None:
        """A file for work that is not finished, for its owner to write and to delete; None if nothing can be kept."""
        with contextlib.suppress(OSError):
            if self.limit:
                self._mark()
                return self.folder / kind / key
        return None

    def prune(self) -> None:
        """Delete what was used longest ago, until the cache is below its limit; nothing but what the cache made."""
        entries = []
        for folder in _entries(self.folder) if _is_marked(self.folder) else ():
            for file in _own_files(folder):
                with contextlib.suppress(OSError):
                    status = file.stat(follow_symlinks=False)
                    entries.append((status.st_atime_ns, status.st_size, Path(file.path)))
        total = sum(size for _, size, _ in entries)
        if total <= self.limit:
            return
        for _, size, path in sorted(entries):
            if total <= self.limit * _KEPT:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size

    def _place(self, key: str, checksum: str, note: str, write: Any) -> None:
        final = self.folder / key[:2] / f"{key}-{checksum}-{note}"
        aside = final.with_name(f".{secrets.token_hex(8)}.partial")
        # A cache that cannot be written, because the disk is full or the folder was deleted, costs time and no results.
        try:
            self._mark()
            final.parent.mkdir(exist_ok=True)
            write(aside)
            aside.replace(final)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)

    def _mark(self) -> None:
        """Make the folder, with its mark before all else."""
        if _is_marked(self.folder):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".{secrets.token_hex(8)}.partial"
        try:
            aside.write_text(_MARK, encoding="utf-8")
            aside.replace(self.folder / TAG)
        finally:
            aside.unlink(missing_ok=True)


def _is_marked(folder: Path) -> bool:
    try:
        return (folder / TAG).read_bytes() == _MARK.encode()
    except OSError:
        return False


def _holds_others(folder: Path) -> bool:
    """Whether a folder without the mark holds other files than a mark that is being written."""
    # Where a mark is there and the disk fails to give it, the cache does without: nothing is deleted below it.
    with contextlib.suppress(OSError):
        if (folder / TAG).exists() and (folder / TAG).read_bytes() == _MARK.encode():
            return False
        return any(not _PARTIAL.fullmatch(entry.name) for entry in _entries(folder))
    return False


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _own_files(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """Files of a folder of the cache that the cache made; none of a folder that it did not make."""
    if _SHARD.fullmatch(folder.name):
        return [
            file
            for pattern in (_NAME, _PARTIAL)
            for file in _files(folder.path, pattern)
            if pattern is _PARTIAL or file.name.startswith(folder.name)
        ]
    return _files(folder.path, _UNFINISHED) if folder.name in KINDS else []


def _files(folder: str | Path, pattern: re.Pattern[str]) -> list[os.DirEntry[str]]:
    """Regular files of a real folder, neither of them a link, whose names are of a kind."""
    if Path(folder).is_symlink():
        return []
    return [file for file in _entries(folder) if pattern.fullmatch(file.name) and file.is_file(follow_symlinks=False)]
