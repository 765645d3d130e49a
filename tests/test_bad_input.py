"""Every row of docs/bad-input.md, tried: what a stage says of such input, or that it takes it."""

import os
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import openpyxl
import pytest
from PIL import Image

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.base.limits import EXCEL_ROWS
from counterweight.dataset.spreadsheet import write_sheet
from counterweight.images import codec
from stages import augment, cluster, features, fill, ingest, resize, split
from tests.conftest import AUGMENT, CLUSTER, FEATURES, FILL, INGEST, RESIZE, SPLIT, TINY
from tests.workspace import PROJECT, write_params

TABLE = PROJECT / "docs/bad-input.md"
STAGES = {
    "ingest": (ingest.main, INGEST),
    "resize": (resize.main, RESIZE),
    "features": (features.main, FEATURES),
    "fill": (fill.main, FILL),
    "cluster": (cluster.main, CLUSTER),
    "augment": (augment.main, AUGMENT),
    "split": (split.main, SPLIT),
}
TO_CLUSTERS = tuple(STAGES)[:5]
FEW = TINY | {"cluster.components": 2, "cluster.clusters": 2}


@dataclass
class Dataset:
    """Ten images of noise with a sheet, to be spoiled."""

    folder: Path
    columns: list[str] = field(default_factory=lambda: ["id", "split", "target"])
    rows: list[list[Any]] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=lambda: dict(FEW))
    sheet: str = "labels.xlsx"

    def __post_init__(self) -> None:
        self.images.mkdir()
        for i in range(10):
            self.draw(i).save(self.images / f"{i}.png")
            self.rows.append([f"{i}.png", "test" if i > 7 else "train", "sea" if i % 2 else "sky"])

    @property
    def images(self) -> Path:
        """The folder of images."""
        return self.folder / "images"

    def draw(self, seed: int) -> Image.Image:
        """An image like no other."""
        return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8))

    def put(self, name: str) -> Path:
        """Name the first row's image anew."""
        (self.images / "0.png").unlink()
        self.rows[0][0] = name
        return self.images / name

    def book(self) -> openpyxl.Workbook:
        """The sheet as openpyxl holds it, for what the project's own writer does not write."""
        made = openpyxl.Workbook()
        assert made.active is not None
        for row in [self.columns, *self.rows]:
            made.active.append(row)
        return made

    def cell(self, row: int, column: int, value: Any) -> None:
        """Change a cell, counted as Excel does."""
        self.rows[row - 2][column - 1] = value


@dataclass(frozen=True)
class Case:
    """How to spoil the data, the stages to run, and the error of the last, or how the input is taken."""

    spoil: Callable[[Dataset], object]
    said: str = ""
    warned: str = ""
    stages: tuple[str, ...] = ("ingest",)
    # What the first rows' images show once they are read, in RGB.
    shows: Callable[[Dataset], Sequence[Image.Image]] | None = None


def drawn(data: Dataset) -> Sequence[Image.Image]:
    return [data.draw(0)]


def converted(mode: str) -> Callable[[Dataset], Sequence[Image.Image]]:
    return lambda data: [data.draw(0).convert(mode).convert("RGB")]


def upright(data: Dataset) -> Sequence[Image.Image]:
    ways = (None, *(Image.Transpose(way) for way in (0, 3, 1, 5, 4, 6, 2)))
    return [data.draw(i) if way is None else data.draw(i).transpose(way) for i, way in enumerate(ways, 1)]


def image(save: Callable[[Dataset, Path], object], name: str) -> Callable[[Dataset], object]:
    """The first row's image is another one."""
    return lambda data: save(data, data.put(name))


def content(change: Callable[[bytes], bytes]) -> Callable[[Dataset], object]:
    """The first row's file has other bytes."""

    def spoil(data: Dataset) -> None:
        file = data.images / "0.png"
        file.write_bytes(change(file.read_bytes()))

    return spoil


def turned(data: Dataset) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        data.draw(orientation).save(data.images / f"{orientation - 1}.png", exif=exif)


def bomb(data: Dataset) -> None:
    """A PNG whose header claims so many pixels, and whose data are empty."""
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = [
        length.to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        for length, chunk in ((13, header), (0, b"IDAT"))
    ]
    (data.images / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def normal_forms(data: Dataset) -> None:
    """Accents in one piece in the sheet and taken apart in the folder, and the other way round."""
    for row, (in_sheet, in_folder) in enumerate([("NFC", "NFD"), ("NFD", "NFC")]):
        name = f"café{row}.png"
        (data.images / f"{row}.png").rename(data.images / normalize(in_folder, name))
        data.rows[row][0] = normalize(in_sheet, name)


def cases_apart(data: Dataset) -> None:
    for row, name in enumerate(["A.png", "a.png"]):
        (data.images / f"{row}.png").rename(data.images / name)
        data.rows[row][0] = name


def protected(data: Dataset) -> None:
    data.sheet = data.params["data.sheet"] = "protected.xlsx"
    (data.folder / data.sheet).write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(4000))


def no_excel(data: Dataset) -> None:
    data.sheet = data.params["data.sheet"] = "page.xlsx"
    (data.folder / data.sheet).write_text("<html><table></table></html>")


def with_book(change: Callable[[Any], object]) -> Callable[[Dataset], object]:
    """The sheet is saved by openpyxl after a change to it."""

    def spoil(data: Dataset) -> None:
        made = data.book()
        change(made.active)
        data.sheet = data.params["data.sheet"] = "book.xlsx"
        made.save(data.folder / data.sheet)

    return spoil


def hidden(sheet: Any) -> None:
    sheet.row_dimensions[3].hidden = True


def error_cell(sheet: Any) -> None:
    sheet["C3"] = "#N/A"
    sheet["C3"].data_type = "e"


def ids(*values: Any) -> Callable[[Dataset], object]:
    """The first images have these names; the sheet has them as these values."""

    def spoil(data: Dataset) -> None:
        for row, (cell, name) in enumerate(values):
            (data.images / f"{row}.png").rename(data.images / f"{name}.png")
            data.rows[row][0] = cell

    return spoil


def cells(column: int, values: dict[int, Any]) -> Callable[[Dataset], object]:
    """Cells of a column have other values, by their rows."""

    def spoil(data: Dataset) -> None:
        for row, value in values.items():
            data.cell(row, column, value)

    return spoil


def leads_out(data: Dataset) -> None:
    (data.folder / "outside.png").write_bytes((data.images / "0.png").read_bytes())
    (data.images / "0.png").unlink()
    (data.images / "0.png").symlink_to(data.folder / "outside.png")


def outside(path: str) -> Callable[[Dataset], object]:
    """The first row names a file beyond the folder that is there."""

    def spoil(data: Dataset) -> None:
        shutil.copy(data.images / "0.png", data.folder / "outside.png")
        data.rows[0][0] = path.format(data.folder)

    return spoil


def all_equal(data: Dataset) -> None:
    for i in range(1, 10):
        shutil.copy(data.images / "0.png", data.images / f"{i}.png")


def too_many_rows(data: Dataset) -> None:
    data.sheet = data.params["data.sheet"] = "long.csv"
    with (data.folder / data.sheet).open("w") as file:
        file.write("id,split,target\n" + "a,train,sea\n" * EXCEL_ROWS)


def long_cell(data: Dataset) -> None:
    """A text that no .xlsx holds comes in by a .csv."""
    data.sheet = data.params["data.sheet"] = "labels.csv"
    data.columns.append("note")
    data.rows = [[*row, "x" * 32_768] for row in data.rows]


def params(**changes: Any) -> Callable[[Dataset], object]:
    """Params have other values; dots in their names are written as two underscores."""
    return lambda data: data.params.update({name.replace("__", "."): value for name, value in changes.items()})


DEEP = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160)
SHALLOW = Image.fromarray((np.arange(400).reshape(20, 20) * 160 / 257).astype(np.uint8)).convert("RGB")
CASES = {
    "an image that was cut off": Case(content(lambda data: data[: len(data) // 2]), "images/0.png cannot be decoded"),
    "a file of no bytes": Case(content(lambda _: b""), "images/0.png is not an image"),
    "a web page that is called .png": Case(content(lambda _: b"<html>404</html>"), "images/0.png is not an image"),
    "an animated GIF": Case(
        image(lambda data, path: data.draw(0).save(path, save_all=True, append_images=[data.draw(1)]), "0.gif"),
        shows=converted("P"),
    ),
    "a TIFF with several pages": Case(
        image(lambda data, path: data.draw(0).save(path, save_all=True, append_images=[data.draw(1)]), "0.tif"),
        shows=drawn,
    ),
    "16 bits a channel": Case(image(lambda _, path: DEEP.save(path), "d.png"), shows=lambda _: [SHALLOW]),
    "CMYK": Case(image(lambda data, path: data.draw(0).convert("CMYK").save(path), "0.jpg"), shows=drawn),
    "a palette": Case(image(lambda data, path: data.draw(0).convert("P").save(path), "p.png"), shows=converted("P")),
    "grey with transparency": Case(
        image(lambda data, path: data.draw(0).convert("LA").save(path), "la.png"), shows=converted("LA")
    ),
    "EXIF orientations 1 to 8": Case(turned, shows=upright),
    "30,000 x 30,000 pixels in a file of a few bytes": Case(bomb, "images/0.png cannot be decoded: Image size"),
    "more pixels than `data.max_pixels`": Case(
        params(data__max_pixels=400), "images/0.png has 24 x 20 pixels, more than the 400 of data.max_pixels"
    ),
    "WebP": Case(image(lambda data, path: data.draw(0).save(path, lossless=True), "0.webp"), shows=drawn),
    "AVIF": Case(image(lambda data, path: data.draw(0).save(path, subsampling="4:4:4"), "0.avif"), shows=drawn),
    "another format than the suffix says": Case(
        image(lambda data, path: data.draw(0).save(path, format="PNG"), "0.jpg"), shows=drawn
    ),
    "a name with spaces": Case(image(lambda data, path: data.draw(0).save(path), "my photo 1.png")),
    "a name that a shell would run": Case(
        image(lambda data, path: data.draw(0).save(path), "$(touch pwned) `touch pwned`; touch pwned & '\".png"),
        stages=tuple(STAGES),
    ),
    "accents in one piece in the sheet and taken apart in the folder, or the other way round": Case(normal_forms),
    "names that differ in upper and lower case alone": Case(cases_apart),
    "a name of more than 200 bytes": Case(
        image(lambda data, path: data.draw(0).save(path), "x" * 251 + ".png"), "has a name of 255 bytes"
    ),
    "a file whose name is not UTF-8": Case(
        lambda data: Path(os.fsdecode(os.fsencode(data.images) + b"/caf\xe9.png")).write_bytes(b""),
        "the file name b'caf\\xe9.png' is not UTF-8",
    ),
    "a sheet without rows": Case(
        lambda data: data.rows.clear(), "the sheet needs a row of column names and a row an image, found 1 rows."
    ),
    "a sheet with a password": Case(protected, "the workbook is protected by a password"),
    "a file that is no workbook": Case(no_excel, "no workbook"),
    "merged cells": Case(with_book(lambda sheet: sheet.merge_cells("C2:C3")), "the cells C2:C3 are merged."),
    "hidden rows": Case(with_book(hidden)),
    "a formula that was never calculated": Case(
        with_book(lambda sheet: sheet.__setitem__("C3", "=C2")), "a formula was never calculated in C3."
    ),
    "a cell with #N/A or another error of Excel's": Case(
        with_book(error_cell), "an error, such as #N/A, stands in C3."
    ),
    "numbers as ids, such as 123 and 1e5": Case(ids((123, "123"), (1e5, "100000"), (42.0, "42"))),
    "numbers as text, such as 00123 and 1e5": Case(ids(("00123", "00123"), ("1e5", "1e5"))),
    "dates as ids": Case(
        with_book(lambda sheet: sheet.__setitem__("A2", date(2024, 5, 1))),
        "image '2024-05-01' is not in images.",
    ),
    "spaces at the end of a cell": Case(cells(1, {2: "0.png "})),
    "an id that stands there twice": Case(cells(1, {3: "0.png"}), "row 3: image '0.png' stands in row 2 already."),
    "a row without an id": Case(cells(1, {3: ""}), "row 3: the image's id is empty."),
    "an unknown split": Case(cells(2, {3: "tset"}), "row 3: split 'tset' is none of train, val, test."),
    "empty label cells": Case(
        cells(3, {3: "", 4: ""}), warned="2 rows have no label; they take part as images that show none"
    ),
    "no label in the whole sheet": Case(cells(3, dict.fromkeys(range(2, 12), "")), "no row has a label."),
    "one label only": Case(cells(3, {row: "sea" if row % 3 else "" for row in range(2, 12)})),
    "a label that never occurs in train": Case(
        cells(3, {10: "sea,fog"}), warned="no image of train has 'fog': nothing can be learnt of it"
    ),
    "a label that is in test alone, of one label an image": Case(
        lambda data: (cells(3, {10: "fog"})(data), params(data__task="multiclass")(data)),
        warned="no image of train has 'fog': nothing can be learnt of it",
    ),
    "two train rows": Case(cells(2, dict.fromkeys(range(4, 12), "test"))),
    "one train row": Case(
        cells(2, dict.fromkeys(range(3, 12), "test")), "the sheet has 1 train rows; at least 2 are needed"
    ),
    "no test rows": Case(cells(2, {10: "train", 11: "train"}), "no row is in test."),
    "fewer images than clusters": Case(params(cluster__clusters=50), "cluster.clusters is 50", stages=TO_CLUSTERS),
    "fewer images than components": Case(
        params(cluster__components=50), "cluster.components is 50", stages=TO_CLUSTERS
    ),
    "as many clusters as images, one in each": Case(params(cluster__clusters=6), stages=tuple(STAGES)),
    "all images equal": Case(
        all_equal, "the train images have only 1 different looks, and cluster.clusters is 2.", stages=TO_CLUSTERS
    ),
    "all images equal, with `data.duplicates: drop`": Case(
        lambda data: (all_equal(data), params(data__duplicates="drop")(data)),
        "all images of train are duplicates of others, and none is left.",
    ),
    "a path with ../": Case(outside("../outside.png"), "image '../outside.png' is not in images."),
    "an absolute path": Case(outside("{}/outside.png"), "outside.png' is not in images."),
    "a link that leads out of the folder": Case(leads_out, "images/0.png is a link that leads out of the folder"),
    "1,048,576 rows below the column names, with `split.format: xlsx`": Case(
        too_many_rows, "and Excel holds 1,048,575 below the column names. Set split.format to csv"
    ),
    "a cell of 32,768 characters, with `split.format: csv`": Case(
        lambda data: (long_cell(data), params(split__format="csv")(data)), stages=tuple(STAGES)
    ),
    "a cell of 32,768 characters, with `split.format: xlsx`": Case(
        long_cell, "32,768 characters; Excel takes 32,767 in a cell.", stages=tuple(STAGES)
    ),
}


def documented() -> dict[str, str]:
    """The rows of the table in the docs."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows[1:])


def test_the_table_has_a_row_for_every_case() -> None:
    assert list(documented()) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_input_is_answered_as_the_table_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    case, answer = CASES[name], documented()[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", "1")
    data = Dataset(tmp_path)
    case.spoil(data)
    if not Path(data.sheet).exists():
        write_sheet(data.columns, data.rows, Path(data.sheet), data.sheet.rpartition(".")[2])
    write_params(tmp_path / "params.yaml", data.params)
    for number, stage in enumerate(case.stages, 1):
        main, options = STAGES[stage]
        if case.said and number == len(case.stages):
            assert f"`{case.said}" in answer
            with pytest.raises(InputError) as error:
                main([data.sheet if option == "labels.xlsx" else option for option in options])
            assert case.said in str(error.value)
        else:
            main([data.sheet if option == "labels.xlsx" else option for option in options])
    assert not list(tmp_path.rglob("pwned"))
    if not case.said:
        assert answer.startswith("Taken")
        assert case.warned in caplog.text
        assert f"`{case.warned}`" in answer or not case.warned
        table = manifest.read(tmp_path / "data/manifest.csv").set_index("image_id")
        assert len(table) == len(data.rows)
        for (image_id, *_), expected in zip(data.rows, case.shows(data) if case.shows else [], strict=False):
            found = codec.read(data.images / table.loc[image_id, "path"])
            assert found.shape == np.asarray(expected).shape
            # Half of them come from formats that lose something.
            assert np.corrcoef(found.ravel(), np.asarray(expected).ravel())[0, 1] > 0.8
