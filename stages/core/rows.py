"""The user's rows, whatever they are in: a sheet, a sheet in the order of an array, or folders by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.base.errors import InputError, raise_problems
from stages.core.class_folders import class_sheet
from stages.core.sources import Images, numbered
from stages.core.workbook import Sheet, free_name, read_sheet


@dataclass(frozen=True)
class Rows:
    """A sheet, and what its columns are called.

    Attributes
    ----------
    sheet : Sheet
        A row an image.
    image, split : str
        Names of the columns with the image's id and its split; no split column is None.
    labels : str or list of str
        Name of the column of names, or of the 0/1 columns.
    known : list of str or None
        The labels there are; None leaves it to the cells.
    in_order : bool
        Whether row i is image i of an array: the sheet has no column that says so.
    """

    sheet: Sheet
    image: str
    split: str | None
    labels: str | list[str]
    known: list[str] | None
    in_order: bool = False


def open_rows(
    path: Path,
    *,
    image: str | None,
    split: str | None,
    labels: str | Sequence[str],
    known: Sequence[str] | None = None,
) -> Rows:
    """Read a sheet, or make one from what stands in its place.

    Parameters
    ----------
    path : Path
        An .xlsx or .csv, or a folder whose folders are the classes.
    image, split : str or None
        Names of columns. Without an image column, row i is image i; a column ``image_id`` of numbers is added.
    labels : str or sequence of str
        One column of names, or 0/1 columns.
    known : sequence of str or None
        The labels there are.

    Raises
    ------
    InputError
        If the sheet cannot be read, or the folder is not one of class folders.
    """
    labels = labels if isinstance(labels, str) else list(labels)
    given = None if known is None else list(known)
    if path.is_dir():
        return _of_classes(path, image, split, labels, given)
    sheet = read_sheet(path)
    if image is not None:
        return Rows(sheet, image, split, labels, given)
    added, count = free_name("image_id", sheet.columns), len(sheet.rows)
    rows = [[*cells, numbered(i, count)] for i, cells in enumerate(sheet.rows)]
    return Rows(Sheet([*sheet.columns, added], rows), added, split, labels, given, in_order=True)


def check_source(rows: Rows, sheet: Path, images: Path, source: Images) -> None:
    """Raise if the rows and the images cannot belong together.

    Parameters
    ----------
    rows : Rows
        What ``sheet`` holds.
    sheet, images : Path
        Where rows and images come from.
    source : FolderImages or ArrayImages
        What ``images`` holds.
    """
    if sheet.is_dir() and not (images.is_dir() and sheet.samefile(images)):
        raise InputError(
            f"{sheet}: data.sheet is a folder, and not that of data.images, {images}. Give the same folder twice where "
            "its folders are the classes, or else a sheet."
        )
    if rows.in_order and len(rows.sheet.rows) != len(source.names()):
        raise InputError(
            f"{sheet}: {len(rows.sheet.rows)} rows, and {images} has {len(source.names())} images. With "
            "data.columns.image null row i is image i. Make them as many, or name a column of image numbers."
        )


def _of_classes(
    folder: Path, image: str | None, split: str | None, labels: str | list[str], known: list[str] | None
) -> Rows:
    wrong = "Set data.columns in params.yaml to other names: the balanced sheet will have columns of these names."
    if image is None or isinstance(labels, list) or len({image, split, labels}) < 3:
        raise InputError(
            f"{folder}: data.sheet is a folder, so that its folders are the classes, and data.columns needs three "
            f"different names: image, split (or null) and labels, which is no list. {wrong}"
        )
    sheet, split = class_sheet(folder, image=image, split=split, labels=labels)
    classes = sorted({str(row[-1]).strip() for row in sheet.rows})
    raise_problems(
        [
            f"folder '{name}' is none of {', '.join(known)}. Rename it, or add it to data.labels."
            for name in classes
            if known is not None and name not in known
        ],
        str(folder),
    )
    return Rows(sheet, image, split, labels, known or classes)
