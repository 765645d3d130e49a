"""Outputs appear under their final name when they are complete, never before."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base.errors import InputError
from counterweight.base.limits import check_space, of_the_disk

if sys.platform != "win32":
    import fcntl


@contextmanager
def file_aside(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to, and move the file to ``path`` when the block ends well.

    Parameters
    ----------
    path : Path
        The final name. Its folder is made.

    Yields
    ------
    Path
        The name to write to, in the same folder.

    Raises
    ------
    InputError
        If another process is writing the same file, or the disk is full or fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    with _claimed(aside, path, aside.touch):
        try:
            with _disk_named(aside, path):
                yield aside
                aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """Give an empty folder beside ``path`` to fill, and move it to ``path`` when the block ends well.

    Parameters
    ----------
    path : Path
        The final name. What stood there before is replaced.

    Yields
    ------
    Path
        An empty folder, beside the final one.

    Raises
    ------
    InputError
        If another process is writing the same folder, or the disk is full or fails.
    """
    aside, old = (path.with_name(f".{path.name}.{state}") for state in ("partial", "old"))
    with _claimed(aside, path, partial(aside.mkdir, parents=True, exist_ok=True)):
        try:
            _empty(aside)
            with _disk_named(aside, path):
                yield aside
                shutil.rmtree(old, ignore_errors=True)
                if path.exists():
                    path.replace(old)
                aside.replace(path)
        finally:
            for leftover in (aside, old):
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def scratch_aside(path: Path) -> Iterator[Path]:
    """Give an empty folder beside ``path``, on the disk whose room was asked for, for what is needed on the way.

    It is removed at the end; what a kill leaves of it, the next run removes. Whoever asks for it writes ``path``, too,
    and holds the lock of `file_aside`.
    """
    scratch = path.with_name(f".{path.name}.scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _claimed(aside: Path, path: Path, make: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on what is written aside, so that two processes cannot mix their work; a kill lets go of it."""
    if sys.platform == "win32":
        make()
        yield
        return
    while True:
        make()
        try:
            handle = os.open(aside, os.O_RDONLY)
        except FileNotFoundError:
            continue  # The one who held the lock has moved it away.
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise InputError(
                f"{path}: another process is writing it. Wait until that has ended, then run dvc repro."
            ) from None
        # Between opening and locking, the one who held the lock may have moved it to its final name.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), aside.stat()):
                break
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def _disk_named(aside: Path, path: Path) -> Iterator[None]:
    """Say how much of an output was there when the disk was full or failed."""
    try:
        yield
    except Exception as error:
        parts = [aside] if aside.is_file() else [part for part in aside.rglob("*") if part.is_file()]
        said = of_the_disk(error, path, sum(part.stat().st_size for part in parts))
        if said is None:
            raise
        raise said from None


def _empty(folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write a mapping as indented JSON, in its own order, with a newline at the end."""
    with file_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_text(text: str, path: Path) -> None:
    """Write text in UTF-8."""
    with file_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_array(array: NDArray[Any], path: Path) -> None:
    """Write an array as ``.npy``, without pickle."""
    with file_aside(path) as aside, aside.open("wb") as file:
        np.save(file, array, allow_pickle=False)


@contextmanager
def rows_aside(path: Path, shape: tuple[int, int]) -> Iterator[Callable[[int, NDArray[np.float32]], None]]:
    """Give what writes a ``.npy`` of float32 row by row, so that memory need not hold all of it.

    The rows are written, and not put into mapped memory: when the disk is full, that ends the process without a word.

    Parameters
    ----------
    path : Path
        The final name.
    shape : (int, int)
        How many rows there are, and how long they are.

    Yields
    ------
    callable
        Takes the number of a row, from 0, and the row; in any order, each once.

    Raises
    ------
    InputError
        As `file_aside` does, and at once if there is no room for all rows.
    """
    row_bytes = 4 * shape[1]
    check_space(path.parent, shape[0] * row_bytes, f"{shape[0]} rows of {path.name}")
    with file_aside(path) as aside, aside.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        start = file.tell()

        def put(number: int, row: NDArray[np.float32]) -> None:
            file.seek(start + number * row_bytes)
            file.write(row.astype("<f4", copy=False).tobytes())

        yield put


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, without its index."""
    with file_aside(path) as aside:
        table.to_csv(aside, index=False, lineterminator="\n")


def read_label_measures(path: Path) -> pd.DataFrame:
    """Read a table of measures by label, in which only measures may be missing: a label may well be called NA."""
    text = pd.read_csv(path, dtype="str", keep_default_na=False)
    measures = {name: pd.to_numeric(text[name].where(text[name] != "")) for name in text.columns.drop("label")}
    return text.assign(**measures)
