import errno
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import outputs
from counterweight.base.errors import InputError
from counterweight.base.outputs import (
    atomic_file,
    atomic_folder,
    atomic_rows,
    read_label_table,
    write_array,
    write_json,
    write_table,
    write_text,
)
from tests.workspace import PROJECT, run

Atomic = Callable[[Path], AbstractContextManager[Path]]


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def write_half(path: Path) -> None:
    path.write_text("half")
    raise OSError("disk full")


def write_until_full(aside: Path) -> None:
    (aside / "part" if aside.is_dir() else aside).write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "counts.csv"
    path.write_text("old")
    return path


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    (path / "old.txt").write_text("old")
    return path


def test_a_written_file_replaces_the_old_one(old_file: Path) -> None:
    with atomic_file(old_file) as aside:
        aside.write_text("new")
    assert old_file.read_text() == "new"
    assert names_in(old_file.parent) == ["counts.csv"]


def test_a_file_keeps_its_old_content_until_the_new_one_is_complete(old_file: Path) -> None:
    with atomic_file(old_file) as aside:
        aside.write_text("new")
        assert old_file.read_text() == "old"


def test_a_failure_leaves_the_old_file_and_no_part_of_the_new(old_file: Path) -> None:
    with pytest.raises(OSError, match="disk full"), atomic_file(old_file) as aside:
        write_half(aside)
    assert old_file.read_text() == "old"
    assert names_in(old_file.parent) == ["counts.csv"]


def test_a_failure_before_the_first_byte_is_raised(old_file: Path) -> None:
    with pytest.raises(OSError, match="disk full"), atomic_file(old_file):
        raise OSError("disk full")
    assert old_file.read_text() == "old"


def test_a_files_folder_is_created(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "results" / "balanced" / "metrics.json") as aside:
        aside.write_text("{}")
    assert names_in(tmp_path) == ["results", "results/balanced", "results/balanced/metrics.json"]


def test_a_filled_folder_replaces_all_of_the_old_one(old_folder: Path) -> None:
    with atomic_folder(old_folder) as aside:
        (aside / "new.txt").write_text("new")
    assert names_in(old_folder.parent) == ["images", "images/new.txt"]


def test_a_failure_leaves_the_old_folder_and_no_part_of_the_new(old_folder: Path) -> None:
    with pytest.raises(OSError, match="disk full"), atomic_folder(old_folder) as aside:
        write_half(aside / "new.txt")
    assert names_in(old_folder.parent) == ["images", "images/old.txt"]


def test_leftovers_of_an_interrupted_run_are_not_in_the_new_folder(old_folder: Path) -> None:
    with atomic_folder(old_folder) as aside:
        left = aside
    left.mkdir()
    (left / "left.txt").write_text("half")
    with atomic_folder(old_folder) as aside:
        (aside / "new.txt").write_text("new")
    assert names_in(old_folder.parent) == ["images", "images/new.txt"]


def test_parents_of_a_new_folder_are_created(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "augmented" / "images") as aside:
        (aside / "a.txt").write_text("a")
    assert names_in(tmp_path) == ["augmented", "augmented/images", "augmented/images/a.txt"]


def test_json_is_indented_in_its_own_order_without_escapes(tmp_path: Path) -> None:
    write_json({"rows": 2, "label": "Früh"}, tmp_path / "a.json")
    assert (tmp_path / "a.json").read_bytes() == '{\n  "rows": 2,\n  "label": "Früh"\n}\n'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_nan_and_infinity(value: float, old_file: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_json({"f1": value}, old_file)
    assert old_file.read_text() == "old"


def test_an_array_survives_a_round_trip_without_pickle(tmp_path: Path) -> None:
    write_array(np.array([[1.5, 2.5]], dtype=np.float32), tmp_path / "features.npy")
    array = np.load(tmp_path / "features.npy", allow_pickle=False)
    assert (array.tolist(), array.dtype) == ([[1.5, 2.5]], np.float32)


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_array(np.array([{}], dtype=object), tmp_path / "features.npy")
    assert names_in(tmp_path) == []


def test_rows_in_any_order_make_the_file_that_numpy_writes(tmp_path: Path) -> None:
    array = np.array([[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]], dtype=np.float32)
    with atomic_rows(tmp_path / "rows.npy", (3, 2)) as put:
        for number in (2, 0, 1):
            put(number, array[number])
    write_array(array, tmp_path / "whole.npy")
    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_too_little_space_for_rows_is_an_error_before_the_first(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"1000000000000000 rows of rows\.npy need about [\d,.]+ .B on this disk"),
        atomic_rows(tmp_path / "rows.npy", (10**15, 2)),
    ):
        pytest.fail("it began")
    assert names_in(tmp_path) == []


def test_a_failure_between_rows_leaves_no_file(tmp_path: Path) -> None:
    def write_one() -> None:
        with atomic_rows(tmp_path / "rows.npy", (2, 2)) as put:
            put(0, np.zeros(2, np.float32))
            raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        write_one()
    assert names_in(tmp_path) == []


def test_a_table_is_written_without_its_index(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"path": ["a.jpg", "b, c.jpg"], "rows": [1, 2]}, index=[7, 8]), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b'path,rows\na.jpg,1\n"b, c.jpg",2\n'


CONTROLS = [*range(0x100), 0x2028, 0x2029, 0x200B, 0xFEFF, 0xFFFE, 0x1F600]


@pytest.mark.parametrize("text", ["{}", "a{}", "{}a", "a{}b", '"{}"', "{0}{0}"])
def test_every_text_is_read_as_it_was_written(text: str, tmp_path: Path) -> None:
    texts = [text.format(chr(code)) for code in CONTROLS]
    table = pd.DataFrame({"first": range(len(texts)), "name": texts})
    write_table(table, tmp_path / "a.csv")
    back = pd.read_csv(tmp_path / "a.csv", dtype={"name": "str"}, keep_default_na=False)
    assert back["name"].tolist() == texts
    assert back["first"].tolist() == list(range(len(texts)))
    write_table(pd.DataFrame([[1] * len(texts)], columns=texts), tmp_path / "b.csv")
    assert pd.read_csv(tmp_path / "b.csv", header=None, dtype="str", keep_default_na=False).iloc[0].tolist() == texts


def test_parts_of_a_table_are_prepared_and_written_below_one_header(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outputs, "_CELLS_AT_ONCE", 2)
    monkeypatch.setattr(outputs, "_ROWS_AT_ONCE", 1)
    lengths = []

    def doubled(part: pd.DataFrame) -> pd.DataFrame:
        lengths.append(len(part))
        return part * 2

    write_table(pd.DataFrame({"a": [1, 2, 3]}), tmp_path / "t.csv", doubled)
    assert (tmp_path / "t.csv").read_text() == "a\n2\n4\n6\n"
    assert lengths == [2, 1]


def test_a_label_called_na_is_a_label_and_an_empty_metric_is_missing(tmp_path: Path) -> None:
    (tmp_path / "f1.csv").write_text("label,f1,rows\nNA,0.5,3\nnan,,0\n007,1,12\n")
    table = read_label_table(tmp_path / "f1.csv")
    assert table["label"].tolist() == ["NA", "nan", "007"]
    assert table["f1"].tolist() == pytest.approx([0.5, math.nan, 1.0], nan_ok=True)
    assert table["rows"].tolist() == [3, 0, 12]


def test_text_is_written_in_utf_8_with_its_own_line_ends(tmp_path: Path) -> None:
    write_text("F₁ of Straße\n0.5\n", tmp_path / "report.txt")
    assert (tmp_path / "report.txt").read_bytes() == "F₁ of Straße\n0.5\n".encode()


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_an_output_that_another_process_is_writing_is_refused(atomic: Atomic, tmp_path: Path) -> None:
    with atomic(tmp_path / "out") as aside:
        (aside / "part" if aside.is_dir() else aside).write_text("half")
        with pytest.raises(InputError, match=r"out: another process is writing it\. Wait"), atomic(tmp_path / "out"):
            pass
        assert names_in(tmp_path)[0] == ".out.partial"
    assert "out" in names_in(tmp_path)


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_leftovers_of_a_killed_process_are_replaced(atomic: Atomic, tmp_path: Path) -> None:
    killed = "import os, sys, pathlib\nfrom counterweight.base.outputs import atomic_file, atomic_folder\n"
    killed += f"with {atomic.__name__}(pathlib.Path(sys.argv[1])) as aside:\n"
    killed += "    (aside / 'part' if aside.is_dir() else aside).write_text('half')\n    os.kill(os.getpid(), 9)\n"
    result = run(tmp_path, "python", "-c", killed, "out", check=False, PYTHONPATH=str(PROJECT))
    assert result.returncode == -9
    assert names_in(tmp_path)[0] == ".out.partial"
    with atomic(tmp_path / "out") as aside:
        (aside / "whole" if aside.is_dir() else aside).write_text("whole")
    assert names_in(tmp_path) in (["out"], ["out", "out/whole"])


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_a_full_disk_is_reported_with_the_path_and_leaves_nothing(atomic: Atomic, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"out: the disk is full after 4 bytes"), atomic(tmp_path / "out") as aside:
        write_until_full(aside)
    assert names_in(tmp_path) == []
