"""Return freed heap memory to the operating system."""

import ctypes
import sys


def trim_heap() -> None:
    """Return freed memory to the system, also from the middle of the heap.

    Small live blocks fragment the heap of a process that receives batches from others, so that it grows to gigabytes.
    Only glibc keeps such memory; with other C libraries this does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
