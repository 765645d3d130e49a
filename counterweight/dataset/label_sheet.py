"""Images without a sheet, sorted into folders by class: the sheet that says the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from counterweight.base.errors import InputError, raise_problems
from counterweight.dataset.annotations import SPLIT_NAMES
from counterweight.dataset.spreadsheet import Cell, Sheet, free_name, read_sheet
from counterweight.images.codec import image_files
from counterweight.images.sources import Images, numbered


def class_sheet(folder: Path, *, image: str, split: str | None, labels: str) -> tuple[Sheet, str | None]:
    """Make the sheet of a folder whose folders are the classes.

    Parameters
    ----------
    folder : Path
        With ``CLASS/any/file``; or, if a folder in it is called train, val (valid, validation) or test, with
        ``SPLIT/CLASS/any/file`` throughout.
    image, labels : str
        Names for the columns of the image's path and of its class.
    split : str or None
        Name for the column of the split folder; None is ``split``.

    Returns
    -------
    sheet : Sheet
        A row an image, sorted by path.
    split : str or None
        Name of its split column; None without split folders.

    Raises
    ------
    InputError
        If an image lies in no class folder, or, where there are split folders, outside them.
    """
    files = image_files(folder)
    raise_problems([] if files else ["there is no image in it. Set data.images to your images"], str(folder))
    folders = {file: PurePosixPath(file).parts[:-1] for file in files}
    if any(parts and parts[0].lower() in SPLIT_NAMES for parts in folders.values()):
        split = split or free_name("split", [image, labels])
        return Sheet([image, split, labels], _below_splits(folders, str(folder))), split
    raise_problems(
        [f"{file} is in no class folder. Move or delete it." for file, parts in folders.items() if not parts],
        str(folder),
    )
    return Sheet([image, labels], [[file, parts[0]] for file, parts in folders.items()]), None


def _below_splits(folders: Mapping[str, Sequence[str]], where: str) -> list[list[Cell]]:
    raise_problems(
        [
            f"{file} is not in SPLIT/CLASS/, and other images are in a folder train, val or test. Move or delete it."
            for file, parts in folders.items()
            if len(parts) < 2 or parts[0].lower() not in SPLIT_NAMES
        ],
        where,
    )
    return [[file, *parts[:2]] for file, parts in folders.items()]


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
