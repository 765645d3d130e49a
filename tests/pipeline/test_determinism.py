"""The same input gives the same bytes, whatever the number of workers, the folder and the order of the sheet."""

import hashlib
import random
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from counterweight.runtime import parallel
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import read_sheet
from stages import augment, cluster, export, features, impute, ingest, resize, sheet
from tests.conftest import AUGMENT, CLUSTER, EXPORT, FEATURES, IMPUTE, INGEST, RESIZE, SHEET, TINY, make_tiny_data
from tests.workspace import write_params

STAGES = (
    (ingest.main, INGEST),
    (resize.main, RESIZE),
    (features.main, FEATURES),
    (impute.main, IMPUTE),
    (cluster.main, CLUSTER),
    (augment.main, AUGMENT),
    (sheet.main, SHEET),
    (export.main, EXPORT),
)
# They have the rows of the sheet in its own order, or their numbers.
ORDERED = {"data/dropped.csv", "data/duplicates.csv", "augmented/balanced.xlsx"}


def outputs(folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Run all stages that make the balanced dataset, and return the checksums of what they wrote."""
    # Workers of the test before work in its folder.
    get_reusable_executor().shutdown(wait=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", str(workers))
    # So small that the tiny dataset has several batches for each worker.
    monkeypatch.setattr(parallel, "MAX_BATCH", 8)
    write_params(folder / "params.yaml", TINY)
    for main, options in STAGES:
        main(options)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for output in ("data", "features", "augmented")
        for path in (folder / output).rglob("[!.]*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def by_one_worker(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("one") / "tiny"
    make_tiny_data(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        return outputs(folder, 1, monkeypatch)


@pytest.mark.parametrize("workers", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_outputs_do_not_depend_on_the_number_of_workers_nor_on_the_folder(
    workers: int, by_one_worker: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_data(tmp_path / "elsewhere")
    assert outputs(tmp_path / "elsewhere", workers, monkeypatch) == by_one_worker


@pytest.mark.slow
def test_outputs_do_not_depend_on_the_order_of_the_rows(
    by_one_worker: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny"
    make_tiny_data(folder)
    sheet = read_sheet(folder / "labels.xlsx")
    shuffled = random.Random(0).sample(sheet.rows, len(sheet.rows))
    write_sheet(sheet.columns, shuffled, folder / "labels.xlsx", "xlsx")
    shuffled_outputs = outputs(folder, 1, monkeypatch)
    assert {name: shuffled_outputs[name] for name in shuffled_outputs if name not in ORDERED} == {
        name: by_one_worker[name] for name in by_one_worker if name not in ORDERED
    }
    balanced = read_sheet(folder / "augmented/balanced.xlsx")
    assert [row[0] for row in balanced.rows[: len(shuffled)]] == [row[0] for row in shuffled]
