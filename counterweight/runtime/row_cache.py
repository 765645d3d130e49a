"""Rows of features in the cache, many in an entry.

To write a file for each of a million rows takes as long as the network does for small images, and a row takes less disk
than a file. An entry has the SHA-256 of each image, and then the rows. Its note is their number and the shape of a row.
"""

import math
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from counterweight.runtime.cache import Cache

# Rows are written once they have so many bytes, or took so many seconds to compute, which a kill may lose.
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
        self._unwritten: list[tuple[bytes, NDArray[np.float32]]] = []
        self._count, self._started = 0, time.monotonic()

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
            try:
                present = _starts_in(entry.path, count, 4 * math.prod(shape))
            except (OSError, ValueError):
                self.cache.is_whole(entry)  # It deletes a damaged one.
                continue
            first, last = (np.searchsorted(starts, present, side) for side in ("left", "right"))
            candidates = [i for i in np.flatnonzero(first < last) if missing[order[first[i] : last[i]]].any()]
            if not candidates or (content := self.cache.read(entry)) is None:
                continue
            digests = np.frombuffer(content, np.uint8, count * _DIGEST).reshape(count, _DIGEST)
            rows = np.frombuffer(content, np.float32, offset=count * _DIGEST).reshape(count, *shape)
            for i in candidates:
                for position in order[first[i] : last[i]]:
                    if missing[position] and (wanted[position] == digests[i]).all():
                        missing[position] = False
                        yield int(position), rows[i].copy()

    def put(self, checksum: str, row: NDArray[np.float32]) -> None:
        """Add a row, which is written with others: once they have a megabyte, or took five seconds to compute."""
        if self._unwritten and self._unwritten[0][1].shape != row.shape:
            self.flush()
        self._unwritten.append((bytes.fromhex(checksum), row))
        self._count += 1
        # Rows come in bursts, so the time since the last one says nothing.
        seconds = (time.monotonic() - self._started) / self._count * len(self._unwritten)
        if len(self._unwritten) * row.nbytes >= _MAX_BYTES or seconds >= _MAX_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written yet."""
        if self._unwritten:
            digests, rows = zip(*self._unwritten, strict=True)
            note = "x".join(map(str, (len(rows), *rows[0].shape)))
            self.cache.put_bytes(self.key, b"".join(digests) + np.stack(rows).tobytes(), note)
        self._unwritten = []


def _starts(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the first eight bytes of each digest, by which they are sorted; a pair of a million is alike by chance."""
    return np.ascontiguousarray(digests[:, :8]).view(np.uint64)[:, 0]


@lru_cache(maxsize=8192)
def _starts_in(path: Path, count: int, row_bytes: int) -> NDArray[np.uint64]:
    """Return `_starts` of an entry, whose name says what it holds.

    Raises
    ------
    OSError, ValueError
        If it is gone, or damaged in a way that shows: cut off, or zeros, as a power failure leaves a file.
    """
    if path.stat().st_size != count * (_DIGEST + row_bytes):
        raise ValueError("cut off")
    starts = _starts(np.fromfile(path, np.uint8, count * _DIGEST).reshape(count, _DIGEST))
    if not starts.all():
        raise ValueError("zeros")
    return starts
