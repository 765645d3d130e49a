"""Atomic writing: an output appears under its final name only when it is complete."""

import contextlib
import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base.errors import InputError
from counterweight.base.limits import check_space, disk_error

if sys.platform != "win32":
    import fcntl

# Cells that are made from text, or into text, at a time: as text, each takes some hundred bytes.
_CELLS_AT_ONCE = 1_000_000
# Rows of a wide table, at least: each part takes some time per column.
_ROWS_AT_ONCE = 2_000


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that replaces ``path`` if the block succeeds.

    Missing parent folders are created.

    Raises
    ------
    InputError
        If another process is writing the same file, or the disk is full or fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    with _locked(aside, path, aside.touch):
        try:
            with _explain_disk_errors(aside, path):
                yield aside
                aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path`` that replaces ``path`` if the block succeeds.

    Parent folders and errors are as in `atomic_file`.
    """
    aside, old = (path.with_name(f".{path.name}.{state}") for state in ("partial", "old"))
    with _locked(aside, path, partial(aside.mkdir, parents=True, exist_ok=True)):
        try:
            for leftover in aside.iterdir():
                if leftover.is_dir() and not leftover.is_symlink():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
            with _explain_disk_errors(aside, path):
                yield aside
                shutil.rmtree(old, ignore_errors=True)
                if path.exists():
                    path.replace(old)
                aside.replace(path)
        finally:
            for leftover in (aside, old):
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder for intermediate files beside ``path``, on the disk that `check_space` checked.

    It is removed afterwards; the next run removes what a killed process left. The caller must be writing ``path`` and
    so hold the lock of `atomic_file`.
    """
    scratch = path.with_name(f".{path.name}.scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _locked(aside: Path, path: Path, make: Callable[[], None]) -> Iterator[None]:
    """Lock a temporary output, so that two processes cannot write it at once; a killed process releases the lock."""
    if sys.platform == "win32":
        make()
        yield
        return
    while True:
        make()
        try:
            handle = os.open(aside, os.O_RDONLY)
        except FileNotFoundError:
            continue  # The holder of the lock has moved it to its final name.
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise InputError(
                f"{path}: another process is writing it. Wait until that has ended, then run dvc repro."
            ) from None
        # The holder may also have moved it between opening and locking.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), aside.stat()):
                break
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def _explain_disk_errors(aside: Path, path: Path) -> Iterator[None]:
    """Turn errors of a full or failed disk into InputError with the bytes written so far."""
    try:
        yield
    except Exception as error:
        parts = [aside] if aside.is_file() else [part for part in aside.rglob("*") if part.is_file()]
        explained = disk_error(error, path, sum(part.stat().st_size for part in parts))
        if explained is None:
            raise
        raise explained from None


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write a mapping as indented JSON in its own order, with a final newline."""
    write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write text in UTF-8 with Unix line ends."""
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_array(array: NDArray[Any], path: Path) -> None:
    """Write an array as ``.npy`` without pickle."""
    with atomic_file(path) as aside, aside.open("wb") as file:
        np.save(file, array, allow_pickle=False)


@contextmanager
def atomic_rows(path: Path, shape: tuple[int, int]) -> Iterator[Callable[[int, NDArray[np.float32]], None]]:
    """Write a float32 ``.npy`` row by row, without holding it in memory.

    The file is not memory-mapped, because a full disk kills a process that writes to mapped memory.

    Yields
    ------
    callable
        Takes the index of a row and the row; write each row of ``shape`` once, in any order.

    Raises
    ------
    InputError
        As `atomic_file` does, and before the first row if the disk has no space for all rows.
    """
    row_bytes = 4 * shape[1]
    check_space(path.parent, shape[0] * row_bytes, f"{shape[0]} rows of {path.name}")
    with atomic_file(path) as aside, aside.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        start = file.tell()

        def put(index: int, row: NDArray[np.float32]) -> None:
            file.seek(start + index * row_bytes)
            file.write(row.astype("<f4", copy=False).tobytes())

        yield put


def write_table(
    table: pd.DataFrame, path: Path, prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda part: part
) -> None:
    """Write a table as CSV without its index; `pandas.read_csv` reads every text of it as it was.

    ``prepare`` turns some rows at a time into what is written of them.
    """
    with atomic_file(path) as aside:
        _write_rows(table, aside, prepare)
        # Python's csv module leaves a carriage return without quotes, and pandas reads it as the end of the row.
        if _has_return(aside):
            _write_rows(table, aside, prepare, csv.QUOTE_NONNUMERIC)


def rows_at_once(columns: int) -> int:
    """Return how many rows of a table are made from text, or into text, at a time."""
    return max(_CELLS_AT_ONCE // max(columns, 1), _ROWS_AT_ONCE)


def _write_rows(
    table: pd.DataFrame,
    path: Path,
    prepare: Callable[[pd.DataFrame], pd.DataFrame],
    quoting: Literal[0, 2] = csv.QUOTE_MINIMAL,
) -> None:
    rows = rows_at_once(len(table.columns))
    with path.open("w", encoding="utf-8", newline="") as file:
        for start in range(0, max(len(table), 1), rows):
            part = prepare(table.iloc[start : start + rows])
            part.to_csv(file, index=False, header=start == 0, lineterminator="\n", quoting=quoting)


def _has_return(path: Path) -> bool:
    with path.open("rb") as file:
        return any(b"\r" in block for block in iter(partial(file.read, 2**20), b""))


def read_label_table(path: Path, names: Sequence[str] = ("label",)) -> pd.DataFrame:
    """Read a table of metrics with columns of names. Empty metrics become NaN, but a label named NA stays text."""
    text = pd.read_csv(path, dtype="str", keep_default_na=False)
    metrics = {name: pd.to_numeric(text[name].where(text[name] != "")) for name in text.columns.drop(list(names))}
    return text.assign(**metrics)
