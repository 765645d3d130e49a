"""Rows of features in the cache, many in an entry.

To write a file for each of a million rows takes as long as the network does for small images, and a row takes less disk
than a file. An entry has the SHA-256 of each image, and then the rows. Its note is their number and the shape of a row.
"""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from counterweight.runtime.cache import Cache

# What may be lost by a kill.
_MAX_BYTES = 1_000_000
_MAX_SECONDS = 5.0
_DIGEST = 32


class RowCache:
    """The rows of one network; a context in which new ones are written at the end, or now and then.

    Parameters
    ----------
    cache : Cache
        Where the entries are.
    key : str
        Key of all that rows depend on but the image; see `counterweight.runtime.cache.cache_key`.
    """

    def __init__(self, cache: Cache, key: str) -> None:
        self.cache = cache
        self.key = key
        self._digests: list[bytes] = []
        self._rows: list[NDArray[np.float32]] = []
        self._written = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flush()

    def read(self, checksums: Sequence[str]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the position and the row of each image that has a row.

        Parameters
        ----------
        checksums : sequence of str
            SHA-256 of the images, in hexadecimal.
        """
        wanted = np.frombuffer(bytes.fromhex("".join(checksums)), np.uint8).reshape(-1, _DIGEST)
        starts = _starts(wanted)
        order = np.argsort(starts, kind="stable")
        starts, missing = starts[order], np.ones(len(wanted), np.bool_)
        for entry in self.cache.find_all(self.key):
            count, *shape = (int(length) for length in entry.note.split("x"))
            present = _starts_in(entry.path, count)
            first, last = (np.searchsorted(starts, present, side) for side in ("left", "right"))
            if not (found := np.flatnonzero(first < last)).size or (content := self.cache.read(entry)) is None:
                continue
            digests = np.frombuffer(content, np.uint8, count * _DIGEST).reshape(count, _DIGEST)
            rows = np.frombuffer(content, np.float32, offset=count * _DIGEST).reshape(count, *shape)
            for i in found:
                for position in order[first[i] : last[i]]:
                    if missing[position] and (wanted[position] == digests[i]).all():
                        missing[position] = False
                        yield int(position), rows[i].copy()

    def put(self, checksum: str, row: NDArray[np.float32]) -> None:
        """Add a row, which is written with others: once they have a megabyte, or after five seconds."""
        if self._rows and self._rows[0].shape != row.shape:
            self.flush()
        self._digests.append(bytes.fromhex(checksum))
        self._rows.append(row)
        if len(self._rows) * row.nbytes >= _MAX_BYTES or time.monotonic() - self._written >= _MAX_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written yet."""
        if self._rows:
            note = "x".join(map(str, (len(self._rows), *self._rows[0].shape)))
            self.cache.put_bytes(self.key, b"".join(self._digests) + np.stack(self._rows).tobytes(), note)
        self._digests, self._rows, self._written = [], [], time.monotonic()


def _starts(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the first eight bytes of each digest, by which they are sorted; a pair of a million is alike by chance."""
    return np.ascontiguousarray(digests[:, :8]).view(np.uint64)[:, 0]


@lru_cache(maxsize=8192)
def _starts_in(path: Path, count: int) -> NDArray[np.uint64]:
    """Return `_starts` of an entry, whose name says what it holds; none if it is gone or cut off."""
    try:
        digests = np.fromfile(path, np.uint8, count * _DIGEST)
    except OSError:
        return np.empty(0, np.uint64)
    return _starts(digests[: len(digests) // _DIGEST * _DIGEST].reshape(-1, _DIGEST))
