"""Room on the disk, asked for before the work, and what the disk says when it ran out or failed."""

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from counterweight.base.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)
# Bytes a pixel of a written image, at the upper end of photographs; see `counterweight.images.codec.write`.
BYTES_PER_PIXEL = {"jpg": 0.8, "png": 2.2}


def check_space(folder: Path, needed: float, what: str) -> None:
    """Raise if a file system has less room than is needed.

    Parameters
    ----------
    folder : Path
        Where the files will be; it need not exist yet.
    needed : float
        Bytes.
    what : str
        What needs them.

    Raises
    ------
    InputError
        With the folder, the bytes needed and the bytes there are.
    """
    free = free_bytes(folder)
    if needed > free:
        raise InputError(
            f"{folder}: {what} need about {size(needed)} on this disk, and {size(free)} are free. "
            "Free some, or put the project on another disk."
        )


def free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is, or would be."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def of_the_disk(error: Exception, path: Path, written: int) -> InputError | None:
    """What to say of an error while a file or a folder was written; None if the disk was neither full nor failed.

    Parameters
    ----------
    error : Exception
        What came of it. Libraries wrap the system's answer in errors of their own, or hide it in a text.
    path : Path
        The file or the folder.
    written : int
        Bytes of it that were there by then.
    """
    # Numpy says how much was written, and not why no more.
    unsaid = isinstance(error, OSError) and str(error).endswith(" written")
    if _is(error, FULL) or unsaid:
        return InputError(
            f"{path}: the disk is full{' or failed' * unsaid} after {size(written)} of it, so more are needed, and "
            f"{size(free_bytes(path.parent))} are free. Nothing half-written is left. Free some, then run dvc repro."
        )
    if _is(error, (errno.EIO,)):
        return InputError(
            f"{path}: the disk failed while it was written ({error}). Nothing half-written is left. Look after the "
            "disk, then run dvc repro."
        )
    return None


def _is(error: BaseException | None, numbers: Sequence[int]) -> bool:
    if error is None:
        return False
    # XlsxWriter puts the system's answer in its own error, and safetensors writes down its number.
    inner = [error, *(part for part in error.args if isinstance(part, OSError))]
    return (
        any(isinstance(one, OSError) and one.errno in numbers for one in inner)
        or any(f"(os error {number})" in str(error) for number in numbers)
        or _is(error.__cause__, numbers)
    )


def size(count: float) -> str:
    """Bytes for people, in powers of a thousand.

    Examples
    --------
    >>> size(999), size(1_500_000), size(2e9)
    ('999 bytes', '1.5 MB', '2.0 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"


EXCEL_ROWS = 1_048_576


def check_row_count(rows: int, format: str) -> None:
    """Raise if an .xlsx could not hold so many rows below its row of names."""
    if format == "xlsx" and rows + 1 > EXCEL_ROWS:
        raise InputError(
            f"the balanced sheet would have {rows:,} rows, and Excel holds {EXCEL_ROWS - 1:,} below the column names. "
            "Set split.format to csv, or lower augment.target."
        )
