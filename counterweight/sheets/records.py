"""Read tables that name the columns of each cell: JSON Lines and Parquet."""

import datetime
import json
import math
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
    records, left_out = (_json_lines(path), []) if path.suffix.lower() == ".jsonl" else _parquet(path)
    names = list(dict.fromkeys(name for record in records for name in record))
    odd = {name for record in records for name, value in record.items() if isinstance(value, dict)} | {*left_out}
    notes = [f"{path}: the columns {name_some(sorted(odd))} are left out, since they hold no cells"] if odd else []
    columns = [name for name in names if name not in odd]
    return [list(columns), *([_cell(record.get(name)) for name in columns] for record in records)], notes


def _cell(value: Any) -> Cell:
    """Return what a sheet can hold of a value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, default=str)
    # Those of pandas, in which pyarrow returns nanoseconds.
    for exact in ("to_pydatetime", "to_pytimedelta"):
        value = getattr(value, exact, lambda same=value: same)()
    # Excel has no time zones, and no infinity.
    has_zone = isinstance(value, datetime.datetime | datetime.time) and value.tzinfo is not None
    fits = isinstance(value, Cell) and not has_zone and not (isinstance(value, float) and math.isinf(value))
    return value if fits else str(value)


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


def _parquet(path: Path) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the rows, and the columns that are not read since they hold no cells, such as pictures."""
    try:
        from pyarrow import ArrowException, parquet, types
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow. Run make parquet, or save it as a .csv.") from None
    kinds = (types.is_struct, types.is_map, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    try:
        schema = parquet.read_schema(path)
        odd = [field.name for field in schema if any(is_kind(field.type) for is_kind in kinds)]
        wanted = [name for name in schema.names if name not in odd]
        return list(parquet.read_table(path, columns=wanted).to_pylist()), odd
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file: {error}. Write it again.") from None
