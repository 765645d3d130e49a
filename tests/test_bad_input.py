"""Try every row of docs/bad-input.md: the error of the stage, or that it accepts the input."""

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
from counterweight.images import codec
from counterweight.sheets.sheet_writer import write_sheet
from stages import augment, cluster, features, impute, ingest, resize, sheet
from tests.conftest import AUGMENT, CLUSTER, FEATURES, IMPUTE, INGEST, RESIZE, SHEET, TINY
from tests.pictures import tiff_with_four_bands
from tests.workspace import PROJECT, write_params

TABLE = PROJECT / "docs/bad-input.md"
STAGES = {
    "ingest": (ingest.main, INGEST),
    "resize": (resize.main, RESIZE),
    "features": (features.main, FEATURES),
    "impute": (impute.main, IMPUTE),
    "cluster": (cluster.main, CLUSTER),
    "augment": (augment.main, AUGMENT),
    "sheet": (sheet.main, SHEET),
}
TO_CLUSTERS = tuple(STAGES)[:5]
FEW = TINY | {"cluster.n_components": 2, "cluster.n_clusters": 2}


@dataclass
class Dataset:
    """Ten noise images and a sheet, to be corrupted."""

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
        """Return a unique image."""
        return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8))

    def put(self, name: str) -> Path:
        """Rename the first row's image."""
        (self.images / "0.png").unlink()
        self.rows[0][0] = name
        return self.images / name

    def book(self) -> openpyxl.Workbook:
        """Return the sheet as an openpyxl workbook, for features that the project's own writer lacks."""
        made = openpyxl.Workbook()
        assert made.active is not None
        for row in [self.columns, *self.rows]:
            made.active.append(row)
        return made

    def cell(self, row: int, column: int, value: Any) -> None:
        """Change a cell; rows and columns are counted as in Excel."""
        self.rows[row - 2][column - 1] = value


@dataclass(frozen=True)
class Case:
    """How to corrupt the data, the stages to run, and the error of the last one, or how the input is accepted."""

    spoil: Callable[[Dataset], object]
    error: str = ""
    warning: str = ""
    stages: tuple[str, ...] = ("ingest",)
    # The first rows' images as they should be read, in RGB.
    shows: Callable[[Dataset], Sequence[Image.Image]] | None = None


def drawn(data: Dataset) -> Sequence[Image.Image]:
    return [data.draw(0)]


def converted(mode: str) -> Callable[[Dataset], Sequence[Image.Image]]:
    return lambda data: [data.draw(0).convert(mode).convert("RGB")]


def upright(data: Dataset) -> Sequence[Image.Image]:
    flips = (None, *(Image.Transpose(flip) for flip in (0, 3, 1, 5, 4, 6, 2)))
    return [data.draw(i) if flip is None else data.draw(i).transpose(flip) for i, flip in enumerate(flips, 1)]


def image(save: Callable[[Dataset, Path], object], name: str) -> Callable[[Dataset], object]:
    """Replace the first row's image."""
    return lambda data: save(data, data.put(name))


def content(change: Callable[[bytes], bytes]) -> Callable[[Dataset], object]:
    """Change the bytes of the first row's file."""

    def spoil(data: Dataset) -> None:
        file = data.images / "0.png"
        file.write_bytes(change(file.read_bytes()))

    return spoil


def rotated(data: Dataset) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        data.draw(orientation).save(data.images / f"{orientation - 1}.png", exif=exif)


def bomb(data: Dataset) -> None:
    """Make a PNG whose header claims 30,000 x 30,000 pixels, without data."""
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = [
        length.to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        for length, chunk in ((13, header), (0, b"IDAT"))
    ]
    (data.images / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def normal_forms(data: Dataset) -> None:
    """Name images in NFC in the sheet and NFD in the folder, and vice versa."""
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


def not_a_workbook(data: Dataset) -> None:
    data.sheet = data.params["data.sheet"] = "page.xlsx"
    (data.folder / data.sheet).write_text("<html><table></table></html>")


def with_book(change: Callable[[Any], object]) -> Callable[[Dataset], object]:
    """Change the sheet and save it with openpyxl."""

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
    """Give the first images (cell, name) pairs of a sheet cell and a file name."""

    def spoil(data: Dataset) -> None:
        for row, (cell, name) in enumerate(values):
            (data.images / f"{row}.png").rename(data.images / f"{name}.png")
            data.rows[row][0] = cell

    return spoil


def cells(column: int, values: dict[int, Any]) -> Callable[[Dataset], object]:
    """Change cells of a column, by row."""

    def spoil(data: Dataset) -> None:
        for row, value in values.items():
            data.cell(row, column, value)

    return spoil


def leads_out(data: Dataset) -> None:
    outside = data.folder.with_name(f"outside {data.folder.name}")
    outside.mkdir()
    shutil.move(data.images / "0.png", outside)
    (data.images / "0.png").symlink_to(outside / "0.png")


def links_classes(data: Dataset) -> None:
    """Put the images beside the folder, and let the folder have a link to them."""
    shutil.move(data.images, data.folder / "photos")
    data.images.mkdir()
    for image in sorted((data.folder / "photos").iterdir()):
        (data.images / image.name).symlink_to(image)


def outside(path: str) -> Callable[[Dataset], object]:
    """Make the first row name an existing file outside the folder."""

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
    """Add text that is too long for an .xlsx, in a .csv."""
    data.sheet = data.params["data.sheet"] = "labels.csv"
    data.columns.append("note")
    data.rows = [[*row, "x" * 32_768] for row in data.rows]


def params(**changes: Any) -> Callable[[Dataset], object]:
    """Change params; two underscores stand for the dot in a name."""
    return lambda data: data.params.update({name.replace("__", "."): value for name, value in changes.items()})


DEEP = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160)
SHALLOW = Image.fromarray((np.arange(400).reshape(20, 20) * 160 / 257).astype(np.uint8)).convert("RGB")
CASES = {
    "a truncated image": Case(content(lambda data: data[: len(data) // 2]), "images/0.png cannot be decoded"),
    "an empty file": Case(content(lambda _: b""), "images/0.png is not an image"),
    "a web page named .png": Case(content(lambda _: b"<html>404</html>"), "images/0.png is not an image"),
    "an animated GIF": Case(
        image(lambda data, path: data.draw(0).save(path, save_all=True, append_images=[data.draw(1)]), "0.gif"),
        shows=converted("P"),
    ),
    "a TIFF with several pages": Case(
        image(lambda data, path: data.draw(0).save(path, save_all=True, append_images=[data.draw(1)]), "0.tif"),
        shows=drawn,
    ),
    "16 bits per channel": Case(image(lambda _, path: DEEP.save(path), "d.png"), shows=lambda _: [SHALLOW]),
    "CMYK": Case(image(lambda data, path: data.draw(0).convert("CMYK").save(path), "0.jpg"), shows=drawn),
    "a palette": Case(image(lambda data, path: data.draw(0).convert("P").save(path), "p.png"), shows=converted("P")),
    "gray with transparency": Case(
        image(lambda data, path: data.draw(0).convert("LA").save(path), "la.png"), shows=converted("LA")
    ),
    "EXIF orientations 1 to 8": Case(rotated, shows=upright),
    "30,000 x 30,000 pixels in a file of a few bytes": Case(bomb, "images/0.png cannot be decoded: Image size"),
    "more pixels than `data.max_pixels`": Case(
        params(data__max_pixels=400), "images/0.png has 24 x 20 pixels, more than the 400 of data.max_pixels"
    ),
    "a TIFF whose fourth band is not marked as transparency": Case(
        image(lambda data, path: path.write_bytes(tiff_with_four_bands(None)[0]), "0.tif"),
        warning="1 images have a fourth band that is not marked as transparency; it is dropped",
        shows=lambda _: [Image.fromarray(tiff_with_four_bands(None)[1])],
    ),
    "12 bits in 16": Case(
        image(lambda _, path: Image.fromarray(np.full((8, 8), 4080, np.uint16)).save(path), "d.png"),
        warning="1 images have 16 bits, but no value above 8,191 of 65,535, and come out dark; multiply their values",
    ),
    "an image whose suffix says nothing": Case(
        image(lambda data, path: data.draw(0).save(path, "PNG"), "0.image"), shows=drawn
    ),
    "WebP": Case(image(lambda data, path: data.draw(0).save(path, lossless=True), "0.webp"), shows=drawn),
    "AVIF": Case(image(lambda data, path: data.draw(0).save(path, subsampling="4:4:4"), "0.avif"), shows=drawn),
    "a format that differs from the suffix": Case(
        image(lambda data, path: data.draw(0).save(path, format="PNG"), "0.jpg"), shows=drawn
    ),
    "a name with spaces": Case(image(lambda data, path: data.draw(0).save(path), "my photo 1.png")),
    "a name that a shell would run": Case(
        image(lambda data, path: data.draw(0).save(path), "$(touch pwned) `touch pwned`; touch pwned & '\".png"),
        stages=tuple(STAGES),
    ),
    "accents composed in the sheet and decomposed in the folder, or vice versa": Case(normal_forms),
    "names that differ only in case": Case(cases_apart),
    "a name of more than 200 bytes": Case(
        image(lambda data, path: data.draw(0).save(path), "x" * 251 + ".png"), "has a name of 255 bytes"
    ),
    "a file whose name is not UTF-8": Case(
        lambda data: Path(os.fsdecode(os.fsencode(data.images) + b"/caf\xe9.png")).write_bytes(b""),
        "the file name b'caf\\xe9.png' is not UTF-8",
    ),
    "a sheet without rows": Case(
        lambda data: data.rows.clear(), "the sheet needs a row of column names and one row per image, found 1 rows."
    ),
    "a sheet with a password": Case(protected, "the workbook is protected by a password"),
    "a file that is not a workbook": Case(not_a_workbook, "not a workbook"),
    "merged cells": Case(with_book(lambda sheet: sheet.merge_cells("C2:C3")), "the cells C2:C3 are merged."),
    "hidden rows": Case(with_book(hidden)),
    "a formula that was never calculated": Case(
        with_book(lambda sheet: sheet.__setitem__("C3", "=C2")), "a formula was never calculated in C3."
    ),
    "a cell with #N/A or another error of Excel's": Case(
        with_book(error_cell), "there is an error, such as #N/A, in C3."
    ),
    "numbers as ids, such as 123 and 1e5": Case(ids((123, "123"), (1e5, "100000"), (42.0, "42"))),
    "numbers as text, such as 00123 and 1e5": Case(ids(("00123", "00123"), ("1e5", "1e5"))),
    "dates as ids": Case(
        with_book(lambda sheet: sheet.__setitem__("A2", date(2024, 5, 1))),
        "image '2024-05-01' is not in images.",
    ),
    "spaces at the end of a cell": Case(cells(1, {2: "0.png "})),
    "a repeated id": Case(cells(1, {3: "0.png"}), "row 3: image '0.png' is already in row 2."),
    "a row without an id": Case(cells(1, {3: ""}), "row 3: the image's id is empty."),
    "lists in label cells": Case(cells(3, {2: "['sea', 'ice']", 3: '["sea"]'})),
    "what looks like a list and is none": Case(
        cells(3, {2: "[sea, ice]"}), "row 2: the label cell [sea, ice] looks like"
    ),
    "an unknown split": Case(cells(2, {3: "tset"}), "row 3: split 'tset' is not one of train, val, test."),
    "empty label cells": Case(
        cells(3, {3: "", 4: ""}), warning="2 rows have no label; they count as images that show none"
    ),
    "no label in the whole sheet": Case(cells(3, dict.fromkeys(range(2, 12), "")), "no row has a label."),
    "one label only": Case(cells(3, {row: "sea" if row % 3 else "" for row in range(2, 12)})),
    "a label that never occurs in train": Case(
        cells(3, {10: "sea,fog"}), warning="no train image has 'fog': nothing to learn from"
    ),
    "a class that occurs only in test": Case(
        lambda data: (cells(3, {10: "fog"})(data), params(data__task="multiclass")(data)),
        warning="no train image has 'fog': nothing to learn from",
    ),
    "two train rows": Case(cells(2, dict.fromkeys(range(4, 12), "test"))),
    "one train row": Case(
        cells(2, dict.fromkeys(range(3, 12), "test")), "the sheet has 1 train rows; at least 2 are needed"
    ),
    "no test rows": Case(cells(2, {10: "train", 11: "train"}), "no row is in test."),
    "fewer images than clusters": Case(params(cluster__n_clusters=50), "cluster.n_clusters is 50", stages=TO_CLUSTERS),
    "fewer images than components": Case(
        params(cluster__n_components=50), "cluster.n_components is 50", stages=TO_CLUSTERS
    ),
    "as many clusters as images": Case(params(cluster__n_clusters=6), stages=tuple(STAGES)),
    "all images equal": Case(
        all_equal, "the train images have only 1 different looks, and cluster.n_clusters is 2.", stages=TO_CLUSTERS
    ),
    "all images equal, with `data.duplicates: drop`": Case(
        lambda data: (all_equal(data), params(data__duplicates="drop")(data)),
        "all images of train are duplicates of others, and none is left.",
    ),
    "a path with ../": Case(outside("../outside.png"), "image '../outside.png' is not in images."),
    "an absolute path": Case(outside("{}/outside.png"), "outside.png' is not in images."),
    "a link that leads out of the folder": Case(
        leads_out, "0.png is a link that leads out of the folder. Name its target in data.follow_links"
    ),
    "links to images beside the folder": Case(links_classes),
    "1,048,576 rows below the column names, with `sheet.format: xlsx`": Case(
        too_many_rows, "and Excel holds 1,048,575 below the column names. Set sheet.format to csv"
    ),
    "a cell of 32,768 characters, with `sheet.format: csv`": Case(
        lambda data: (long_cell(data), params(sheet__format="csv")(data)), stages=tuple(STAGES)
    ),
    "a cell of 32,768 characters, with `sheet.format: xlsx`": Case(
        long_cell, "32,768 characters; Excel takes 32,767 in a cell.", stages=tuple(STAGES)
    ),
}


def documented() -> dict[str, str]:
    """Return the rows of the table in the docs."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows[1:])


def test_the_table_has_a_row_for_every_case() -> None:
    assert list(documented()) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_input_is_handled_as_documented(
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
        if case.error and number == len(case.stages):
            assert f"`{case.error}" in answer
            with pytest.raises(InputError) as raised:
                main([data.sheet if option == "labels.xlsx" else option for option in options])
            assert case.error in str(raised.value)
        else:
            main([data.sheet if option == "labels.xlsx" else option for option in options])
    assert not list(tmp_path.rglob("pwned"))
    if not case.error:
        assert answer.startswith("Taken")
        assert case.warning in caplog.text
        assert f"`{case.warning}`" in answer or not case.warning
        table = manifest.read(tmp_path / "data/manifest.csv").set_index("image_id")
        assert len(table) == len(data.rows)
        for (image_id, *_), expected in zip(data.rows, case.shows(data) if case.shows else [], strict=False):
            pixels = codec.read(data.images / table.loc[image_id, "path"])
            assert pixels.shape == np.asarray(expected).shape
            # Some of the formats are lossy.
            assert np.corrcoef(pixels.ravel(), np.asarray(expected).ravel())[0, 1] > 0.8
