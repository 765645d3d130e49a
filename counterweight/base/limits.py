"""Limits of the disk and of Excel, checked before the work, and errors of a disk that is full or fails."""

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from counterweight.base.errors import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Errors of the disk and its permissions, which are the user's to fix.
_DISK_ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
# Bytes of shared memory below which it counts as full.
_MIN_SHARED_MEMORY = 2**20
EXCEL_ROWS = 1_048_576
# Bytes per pixel of an image as `counterweight.images.codec.write` encodes it; an upper estimate for photographs.
BYTES_PER_PIXEL = {"jpg": 0.8, "png": 2.2}


def check_space(folder: Path, needed: float, what: str) -> None:
    """Raise InputError if the disk has less free space than the files need.

    Parameters
    ----------
    folder : Path
        Folder of the files to write; it need not exist yet.
    needed : float
        Space that the files take, in bytes.
    what : str
        What the files are, in the plural.
    """
    free = free_bytes(folder)
    if needed > free:
        raise InputError(
            f"{folder}: {what} need about {human_bytes(needed)} on this disk, and {human_bytes(free)} are free. "
            "Free some space, or move the project to another disk."
        )


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk that holds a folder, or will hold it."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def disk_error(error: Exception, path: Path, written: int) -> InputError | None:
    """Return the error to report if writing failed because the disk is full or failed; None for any other cause.

    Parameters
    ----------
    error : Exception
        Exception raised while writing ``path``. Libraries wrap the system's error in their own, or only quote it.
    written : int
        Bytes already written.
    """
    # NumPy reports how much it wrote, but not why it stopped.
    unknown = isinstance(error, OSError) and str(error).endswith(" written")
    if _has_errno(error, DISK_FULL) or unknown:
        return InputError(
            f"{path}: the disk is full{' or failed' * unknown} after {human_bytes(written)}; "
            f"{human_bytes(free_bytes(path.parent))} are free. The partial output was removed. Free some space, then "
            "run dvc repro."
        )
    if _has_errno(error, (errno.EIO,)):
        return InputError(
            f"{path}: the disk failed during writing ({error}). The partial output was removed. Check the disk, then "
            "run dvc repro."
        )
    return None


def disk_message(error: OSError, shared_memory: Path = Path("/dev/shm")) -> str | None:
    """Say what a disk's error means; return None for an error that may be a bug, which needs its traceback.

    Without a file's name it may be the shared memory that is full.

    Examples
    --------
    >>> disk_message(OSError(errno.EIO, "Input/output error", "data/a.csv"))
    'data/a.csv: Input/output error. Check the file and its disk, then run dvc repro.'
    """
    if error.errno not in _DISK_ERRORS or (error.filename is None and error.errno not in (errno.EIO, errno.ENOSPC)):
        return None
    name = error.filename or "a disk"
    of_memory = str(name).startswith(f"{shared_memory}/")
    if error.filename is None and error.errno == errno.ENOSPC and shared_memory.is_dir():
        of_memory = shutil.disk_usage(shared_memory).free < _MIN_SHARED_MEMORY
    if of_memory and error.errno == errno.ENOSPC:
        return (
            f"{shared_memory}, the memory that processes share, is full. End what fills it, or give it more (docker "
            "run --shm-size 2g), then run dvc repro."
        )
    return f"{name}: {error.strerror}. Check the file and its disk, then run dvc repro."


def _has_errno(error: BaseException | None, numbers: Sequence[int]) -> bool:
    # XlsxWriter puts the system's error into the arguments of its own; safetensors only quotes the number.
    return error is not None and (
        any(isinstance(part, OSError) and part.errno in numbers for part in (error, *error.args))
        or any(f"(os error {number})" in str(error) for number in numbers)
        or _has_errno(error.__cause__, numbers)
    )


def human_bytes(count: float) -> str:
    """Format a number of bytes in decimal units.

    Examples
    --------
    >>> human_bytes(999), human_bytes(1_500_000), human_bytes(2e9)
    ('999 bytes', '1.5 MB', '2.0 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"


def check_row_count(rows: int, format: str) -> None:
    """Raise InputError if the format is ``xlsx`` and Excel cannot hold so many rows below the column names."""
    if format == "xlsx" and rows + 1 > EXCEL_ROWS:
        raise InputError(
            f"the balanced sheet would have {rows:,} rows, and Excel holds {EXCEL_ROWS - 1:,} below the column names. "
            "Set sheet.format to csv, or lower augment.target."
        )
