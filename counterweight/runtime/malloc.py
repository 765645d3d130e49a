"""What the C library holds of memory that nobody uses any more."""

import ctypes
import sys


def give_back() -> None:
    """Return free memory to the system, wherever in the heap it lies.

    Small blocks that stay between large ones keep these from growing together again, and the heap of a process that
    takes batches from others grows to gigabytes. Only glibc holds memory like that; elsewhere nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
