"""Read tables that name the columns of each cell: JSON Lines and Parquet."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError, name_some, raise_problems
from counterweight.sheets.table_header import Cell

RECORDS = (".jsonl", ".parquet")


def read_records(path: Path) -> tuple[list[list[Cell]], list[str]]:
    """Read column names and rows, and say which columns are left out because they hold no cells.

    A list is written into its cell as JSON.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    records = _json_lines(path) if path.suffix.lower() == ".jsonl" else _parquet(path)
    names = list(dict.fromkeys(name for record in records for name in record))
    odd = {name for record in records for name, value in record.items() if isinstance(value, dict | bytes)}
    notes = [f"{path}: the columns {name_some(sorted(odd))} are left out, since they hold no cells"] if odd else []
    columns = [name for name in names if name not in odd]
    return [list(columns), *([_cell(record.get(name)) for name in columns] for record in records)], notes


def _cell(value: Any) -> Cell:
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value  # type: ignore[no-any-return]  # A text, number, truth value or date.


def _json_lines(path: Path) -> list[Mapping[str, Any]]:
    records: list[Mapping[str, Any]] = []
    problems = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            record = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            problems.append(f"line {number} is not JSON: {error}. Correct or delete it.")
            continue
        if isinstance(record, dict):
            records.append(record)
        else:
            problems.append(f'line {number} is no object, such as {{"file_name": "a.jpg"}}. Correct or delete it.')
    raise_problems(problems, str(path))
    return records


def _lines(path: Path) -> Iterable[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not in UTF-8: {error}. Save it in UTF-8.") from None


def _parquet(path: Path) -> list[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow. Run make parquet, or save it as a .csv.") from None
    try:
        return list(parquet.read_table(path).to_pylist())
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file: {error}. Write it again.") from None
