"""The C library's heap: freed memory is returned to the system, or kept for the next allocation."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt(3), from glibc's malloc.h, and their defaults.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65_536}
_KEEP = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}


def trim_heap() -> None:
    """Return freed memory to the system, also from the middle of the heap.

    Small live blocks fragment the heap of a process that receives batches from others, so that it grows to gigabytes.
    Only glibc keeps such memory; with other C libraries this does nothing.
    """
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep freed memory within the block, for code that allocates the same large arrays again and again.

    glibc maps each array of 32 MB or more anew, and the system clears its pages at first use. A training step with
    large activations takes up to twice as long for that. With other C libraries this does nothing.
    """
    option = _glibc("mallopt")
    if option is None:
        yield
        return
    for parameter, value in _KEEP.items():
        option(parameter, value)
    try:
        yield
    finally:
        for parameter, value in _DEFAULTS.items():
            option(parameter, value)
        trim_heap()


def _glibc(function: str) -> "ctypes._NamedFuncPointer | None":
    """Return a function of the C library if it is there."""
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None
