"""Cache of finished work outside DVC's outputs, so that a stage resumes after a kill or after images were added.

An entry is one file, named by the key of the work, the SHA-256 of the content and a short note. It is renamed into
place when complete, and verified against its name at each use; a damaged entry is deleted and the work done again. The
folder may be deleted at any time, also while a stage runs.

The folder is marked by ``CACHEDIR.TAG``, which also makes backup programs skip it (Cache Directory Tagging
Specification, https://bford.info/cachedir/). Files are deleted only below a marked folder, and only regular files
whose names and folder's name match the patterns of this module. Links are not followed.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError
from counterweight.runtime.file_links import file_checksum, link_or_copy

# `prune` goes down to this fraction of the limit, so that not every run has to delete.
_FILL_AFTER_PRUNE = 0.9
# For how many seconds `prune` believes that a cache is small which was less than half full when it looked.
_BELIEVED_SECONDS = 600
_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{64}-[a-z0-9]*")
_SHARD = re.compile(r"[0-9a-f]{2}")
# Temporary files of this module, and unfinished work with its temporary files.
_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.partial")
_UNFINISHED = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\.partial")
KINDS = ("training", "views")  # Folders of unfinished work.

TAG = "CACHEDIR.TAG"
_SMALL = "small"  # Has the limit by which the cache was found small.
_MARK = b"""Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by Counterweight. The folder holds finished work, and may be deleted.
"""


@dataclass(frozen=True)
class Entry:
    """A file of the cache, with the SHA-256 of its content and a note, a result of the work beside the content."""

    path: Path
    checksum: str
    note: str


def open_cache(environment: Mapping[str, str]) -> "Cache":
    """Open the cache that the environment variables configure.

    Parameters
    ----------
    environment : mapping of str to str
        ``COUNTERWEIGHT_CACHE`` is the folder, by default (and if empty) ``.counterweight`` in the working folder;
        ``COUNTERWEIGHT_CACHE_GB`` is the limit in gigabytes, by default 20; 0 disables the cache.

    Raises
    ------
    InputError
        If the limit is not a number of at least 0, or the folder is neither empty nor marked, so that its files may
        be the user's.
    """
    value = environment.get("COUNTERWEIGHT_CACHE_GB", "20")
    if not re.fullmatch(r"\d+(\.\d+)?", value):
        raise InputError(
            f"environment: COUNTERWEIGHT_CACHE_GB must be a number of at least 0, not '{value}'. Set it to the "
            "gigabytes that the cache may take, or unset it for 20."
        )
    folder = Path(environment.get("COUNTERWEIGHT_CACHE") or ".counterweight").absolute()
    if _holds_foreign_files(folder):
        raise InputError(
            f"environment: COUNTERWEIGHT_CACHE is {folder}, which is not empty and has no {TAG} of Counterweight, so "
            "its files may be yours. Set it to a new or empty folder, or delete this one if it is the cache of an "
            "earlier version."
        )
    return Cache(folder, int(float(value) * 1e9))


def cache_key(code: str, content: str, params: Mapping[str, Any]) -> str:
    """Return the key of a piece of work.

    Parameters
    ----------
    code : str
        Result of `counterweight.runtime.fingerprint.fingerprint`.
    content : str
        Checksum of the input.
    params : mapping of str to value
        All other values that the result depends on.
    """
    return hashlib.sha256(json.dumps([code, content, params], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """A folder of entries.

    Attributes
    ----------
    folder : Path
        Created with the first entry.
    limit : int
        Maximum size in bytes, enforced by `prune`, so a running stage may exceed it; 0 disables the cache.
    """

    folder: Path
    limit: int

    def find(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of those keys that have one, without reading them."""
        wanted = set(keys)
        return {key: entry for shard in {key[:2] for key in wanted} for key, entry in self._find(shard, wanted)}

    def find_all(self, key: str) -> list[Entry]:
        """Return all entries of a key with different contents, without reading them."""
        return [entry for _, entry in self._find(key[:2], {key})]

    def _find(self, shard: str, wanted: Collection[str]) -> Iterator[tuple[str, Entry]]:
        for file in _files(self.folder / shard, lambda name: name[:64] in wanted and _NAME.fullmatch(name)):
            key, checksum, note = file.name.split("-")
            yield key, Entry(Path(file.path), checksum, note)

    def read(self, entry: Entry) -> bytes | None:
        """Return the content of an entry; None if it is gone, or damaged and so deleted."""
        with contextlib.suppress(OSError):
            content = entry.path.read_bytes()
            return content if self._accept(entry, hashlib.sha256(content).hexdigest()) else None
        return None

    def is_whole(self, entry: Entry) -> bool:
        """Return whether an entry is there and undamaged, without holding its content; a damaged one is deleted."""
        with contextlib.suppress(OSError):
            return self._accept(entry, file_checksum(entry.path))
        return False

    def restore(self, entry: Entry, target: Path) -> bool:
        """Link or copy an entry to ``target``; return False, without a file there, if it is damaged or gone."""
        if self.read(entry) is None:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            link_or_copy(entry.path, target)
            return True
        return False

    def put(self, key: str, file: Path, checksum: str, note: str = "") -> None:
        """Add a finished file."""
        self._write_entry(f"{key}-{checksum}-{note}", lambda aside: link_or_copy(file, aside))

    def put_bytes(self, key: str, content: bytes, note: str = "") -> None:
        """Add bytes."""
        checksum = hashlib.sha256(content).hexdigest()
        self._write_entry(f"{key}-{checksum}-{note}", lambda aside: aside.write_bytes(content))

    def scratch_path(self, kind: str, key: str) -> Path | None:
        """Return a path for unfinished work, which the caller writes and deletes; None if the cache cannot keep it."""
        with contextlib.suppress(OSError):
            if self.limit:
                self._mark()
                return self.folder / kind / key
        return None

    def prune(self) -> None:
        """Delete the least recently used files of the cache until it is below its limit.

        It does not look again for ten minutes after it has found the cache less than half full.
        """
        if self._was_small():
            return
        files = []
        for folder in _entries(self.folder) if _is_marked(self.folder) else ():
            for file in _own_files(folder):
                with contextlib.suppress(OSError):
                    status = file.stat(follow_symlinks=False)
                    files.append((status.st_atime_ns, status.st_size, Path(file.path)))
        total = sum(size for _, size, _ in files)
        if files and total < self.limit / 2:
            with contextlib.suppress(OSError):
                _write_aside(self.folder / _SMALL, lambda aside: aside.write_text(str(self.limit), encoding="ascii"))
        allowed = self.limit if total <= self.limit else self.limit * _FILL_AFTER_PRUNE
        for _, size, path in sorted(files):
            if total <= allowed:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size

    def _was_small(self) -> bool:
        """Whether `prune` has found the cache less than half full, by this limit and not long ago."""
        with contextlib.suppress(OSError):
            small = self.folder / _SMALL
            age = abs(time.time() - small.stat().st_mtime)
            return age < _BELIEVED_SECONDS and small.read_text(encoding="ascii") == str(self.limit)
        return False

    def _accept(self, entry: Entry, checksum: str) -> bool:
        """Delete a damaged entry, and record the use of any other."""
        with contextlib.suppress(OSError):
            if checksum != entry.checksum:
                entry.path.unlink()
            else:
                # The modification time stays, by which DVC recognizes outputs linked to the entry.
                os.utime(entry.path, ns=(time.time_ns(), entry.path.stat().st_mtime_ns))
        return checksum == entry.checksum

    def _write_entry(self, name: str, write: Callable[[Path], object]) -> None:
        # Without the entry, because the disk is full or the folder was deleted, a later run only takes longer.
        with contextlib.suppress(OSError):
            if self.limit:
                shard = self.folder / name[:2]
                # To look is faster than to read the mark, or to try to make the folder.
                if not (self.folder / TAG).exists():
                    self._mark()
                if not shard.exists():
                    shard.mkdir(exist_ok=True)
                _write_aside(shard / name, write)

    def _mark(self) -> None:
        """Create the folder, and mark it before anything else."""
        if not _is_marked(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_aside(self.folder / TAG, lambda aside: aside.write_bytes(_MARK))


def _write_aside(file: Path, write: Callable[[Path], object]) -> None:
    aside = file.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        write(aside)
        try:
            aside.replace(file)
        except IsADirectoryError:
            file.rmdir()  # Whatever made it, an empty folder holds nothing; any other stays.
            aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _is_marked(folder: Path) -> bool:
    try:
        return (folder / TAG).read_bytes() == _MARK
    except OSError:
        return False


def _holds_foreign_files(folder: Path) -> bool:
    """Whether a folder has no mark but files, other than a mark that is being written."""
    # A mark that the disk fails to read is no error here: below it nothing is deleted either.
    with contextlib.suppress(OSError):
        marked = (folder / TAG).exists() and (folder / TAG).read_bytes() == _MARK
        return not marked and any(not _PARTIAL.fullmatch(entry.name) for entry in _entries(folder))
    return False


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _own_files(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """Return the files that the cache wrote to one of its folders; none if the folder is not its own."""
    if _SHARD.fullmatch(folder.name):
        entries = [file for file in _files(folder.path, _NAME.fullmatch) if file.name.startswith(folder.name)]
        return entries + _files(folder.path, _PARTIAL.fullmatch)
    return _files(folder.path, _UNFINISHED.fullmatch) if folder.name in KINDS else []


def _files(folder: str | Path, is_wanted: Callable[[str], object]) -> list[os.DirEntry[str]]:
    """Return the regular files of a folder with a wanted name; links count as neither."""
    if Path(folder).is_symlink():
        return []
    return [file for file in _entries(folder) if is_wanted(file.name) and file.is_file(follow_symlinks=False)]
