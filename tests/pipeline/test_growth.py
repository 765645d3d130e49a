"""A dataset that grows: only what is new is worked on, and the outcome is that of all of it with the same splits."""

import shutil
from pathlib import Path

import pytest

from counterweight.base import manifest
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import read_sheet
from tests.conftest import FEATURES, INGEST, RESIZE, TINY, make_tiny_data, run_stage
from tests.workspace import write_params


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def run_to_features(folder: Path) -> None:
    for stage, options in (("ingest", INGEST), ("resize", RESIZE), ("features", FEATURES)):
        run_stage(folder, stage, *options)


def entries(folder: Path) -> set[Path]:
    return set((folder / ".counterweight").glob("*/*"))


def images_and_rows(entries: set[Path]) -> tuple[int, int]:
    """How many images, and how many rows of features, which are several in an entry."""
    notes = [path.name.split("-")[2] for path in entries]
    rows = [int(note.split("x")[0]) for note in notes if "x" in note]
    return len(notes) - len(rows), sum(rows)


def train_ids(folder: Path) -> set[str]:
    return set(manifest.rows_of_split(manifest.read(folder / "data/manifest.csv"), "train")["image_id"])


@pytest.mark.slow
def test_added_images_are_worked_on_alone_and_give_what_all_with_the_same_splits_give(tmp_path: Path) -> None:
    grown, scratch = tmp_path / "grown", tmp_path / "scratch"
    make_tiny_data(grown, train=40, test=10)
    write_params(grown / "params.yaml", TINY)
    shutil.copytree(grown, scratch)
    sheet = read_sheet(grown / "labels.xlsx")
    write_sheet(sheet.columns, [row for row in sheet.rows if row[0] != "0007.jpg"], grown / "labels.xlsx", "xlsx")
    run_to_features(grown)
    before, train = entries(grown), train_ids(grown)
    assert images_and_rows(before) == (49, len(train))
    (scratch / "data").mkdir()
    shutil.copy(grown / "data/splits.csv", scratch / "data")
    write_sheet(sheet.columns, sheet.rows, grown / "labels.xlsx", "xlsx")
    run_to_features(grown)
    run_to_features(scratch)

    # No other image has changed its split, so there are the new image's file and, if it is a train image, its row.
    assert train_ids(grown) - train <= {"0007.jpg"}
    assert train <= train_ids(grown)
    assert images_and_rows(entries(grown) - before) == (1, len(train_ids(grown) - train))
    assert contents(grown / "data") == contents(scratch / "data")
    assert contents(grown / "features") == contents(scratch / "features")
