"""Outputs appear under their final name when they are complete, never before."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    try:
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
    """
    aside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if path.exists():
            shutil.rmtree(path)
        aside.replace(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, without its index."""
    with file_aside(path) as aside:
        table.to_csv(aside, index=False, lineterminator="\n")


def read_label_measures(path: Path) -> pd.DataFrame:
    """Read a table of measures by label, in which only measures may be missing: a label may well be called NA."""
    text = pd.read_csv(path, dtype="str", keep_default_na=False)
    measures = {name: pd.to_numeric(text[name].where(text[name] != "")) for name in text.columns.drop("label")}
    return text.assign(**measures)
