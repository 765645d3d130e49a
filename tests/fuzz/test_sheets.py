"""Any sheet yields a table that agrees with the sheet, or an error."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.spreadsheet import read_sheet
from counterweight.sheets.table_header import Cell
from stages import ingest
from tests.conftest import INGEST, TINY
from tests.fuzz.cases import many_cases
from tests.workspace import write_params

IMAGES = 12

ANYTHING: st.SearchStrategy[Cell] = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), max_size=8),
    st.sampled_from(["../0.png", "/etc/passwd", "NA", "nan", "#N/A", "=1+1", "0.PNG", " ", "True", "1e5", "sea;sky"]),
    st.integers(-3, 20),
    st.floats(-2, 20, allow_nan=False),
    st.booleans(),
    st.dates(),
)
# Most cells are valid, so that some sheets yield tables.
IDS = st.permutations([f"{i}.png" for i in range(IMAGES)])
SPLITS = st.sampled_from(["train", "train", "train", "val", "test", "Test ", "valid"])
LABELS = st.sampled_from(["sea", "sky", "sea,sky", "", "NA", " sea , sky ", "sea,,sky"])


@st.composite
def sheets(draw: st.DrawFn) -> list[list[Cell]]:
    """Rows of id, split and target, in which a few cells may be anything."""
    count = draw(st.integers(0, IMAGES))
    rows: list[list[Cell]] = [[image, draw(SPLITS), draw(LABELS)] for image in draw(IDS)[:count]]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 5]))):
        if rows:
            rows[draw(st.integers(0, count - 1))][draw(st.integers(0, 2))] = draw(ANYTHING)
    return rows


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(IMAGES):
        noise = np.random.default_rng(i).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    return folder


@pytest.mark.slow
@given(
    rows=sheets(),
    format=st.sampled_from(["csv", "xlsx"]),
    changes=st.fixed_dictionaries(
        {
            "data.columns.split": st.sampled_from(["split", "split", None]),
            "data.task": st.sampled_from(["multilabel", "multilabel", "multiclass", "binary"]),
            "data.missing": st.sampled_from(["mask", "negative"]),
            "data.missing_files": st.sampled_from(["error", "drop"]),
            "data.labels": st.sampled_from([None, None, ["sea", "sky"]]),
        }
    ),
)
@many_cases
def test_any_sheet_yields_a_table_or_an_error(
    rows: list[list[Cell]], format: str, changes: dict[str, Any], images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", "1")
    with TemporaryDirectory() as temporary:
        monkeypatch.chdir(temporary)
        sheet = f"labels.{format}"
        write_sheet(["id", "split", "target"], rows, Path(sheet), format)
        write_params(Path("params.yaml"), TINY | changes)
        swap = {"labels.xlsx": sheet, "images": str(images)}
        paired = zip(INGEST[::2], INGEST[1::2], strict=True)
        try:
            ingest.main([word for option, value in paired for word in (option, swap.get(value, value))])
        except InputError:
            return
        table, dropped = manifest.read(Path("data/manifest.csv")), pd.read_csv("data/dropped.csv")
        sheet_rows = read_sheet(Path(sheet)).rows
        assert len(table) + len(dropped) == len(sheet_rows)
        assert set(table["split"]) == {"train", "val", "test"}
        if changes["data.columns.split"] is not None:
            tested = {str(row[0]).strip() for row in sheet_rows if str(row[1]).strip().lower() == "test"}
            left = {image.removesuffix(".png") for image in table["image_id"][table["split"] == "test"]}
            assert left <= {image.removesuffix(".png") for image in tested}
