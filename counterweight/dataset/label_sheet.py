"""The user's sheet with the names of its columns, or the sheet that a folder of class folders amounts to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from counterweight.base.errors import InputError, raise_problems
from counterweight.dataset.spreadsheet import Sheet, free_name, read_sheet
from counterweight.images.codec import image_files
from counterweight.images.sources import ImageSource, zero_padded

# Spellings of a split, in lower case.
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class LabelSheet:
    """A sheet and the names of its columns.

    Attributes
    ----------
    sheet : Sheet
        One row per image.
    image : str
        Column with the image ids.
    split : str or None
        Column with the splits; None if the sheet has none.
    labels : str or list of str
        The column of label names, or the 0/1 columns, one per label.
    label_names : list of str or None
        The allowed labels; None allows any.
    in_order : bool
        Whether row i is image i of an array because the user's sheet has no image column.
    """

    sheet: Sheet
    image: str
    split: str | None
    labels: str | list[str]
    label_names: list[str] | None
    in_order: bool = False


def open_label_sheet(
    path: Path,
    *,
    image: str | None,
    split: str | None,
    labels: str | Sequence[str],
    allowed_labels: Sequence[str] | None = None,
) -> LabelSheet:
    """Read a sheet, or derive one from class folders.

    Parameters
    ----------
    path : Path
        An .xlsx or .csv, or a folder of class folders.
    image, split : str or None
        Column names. Without an image column, row i is image i, and a column ``image_id`` of numbers is added.
    labels : str or sequence of str
        The column of label names, or the 0/1 columns, one per label.
    allowed_labels : sequence of str or None
        The allowed labels; None allows any.

    Raises
    ------
    InputError
        If the sheet cannot be read, or an image of the folder is in no class folder.
    """
    labels = labels if isinstance(labels, str) else list(labels)
    allowed = None if allowed_labels is None else list(allowed_labels)
    if path.is_dir():
        return _from_class_folders(path, image, split, labels, allowed)
    sheet = read_sheet(path)
    if image is not None:
        return LabelSheet(sheet, image, split, labels, allowed)
    added, count = free_name("image_id", sheet.columns), len(sheet.rows)
    rows = [[*cells, zero_padded(i, count)] for i, cells in enumerate(sheet.rows)]
    return LabelSheet(Sheet([*sheet.columns, added], rows), added, split, labels, allowed, in_order=True)


def check_source(rows: LabelSheet, sheet: Path, images: Path, source: ImageSource) -> None:
    """Raise if the rows and the images cannot belong together.

    Parameters
    ----------
    rows : LabelSheet
        The content of ``sheet``.
    sheet, images : Path
        ``data.sheet`` and ``data.images``.
    source : FolderImages or ArrayImages
        The content of ``images``.
    """
    if sheet.is_dir() and not (images.is_dir() and sheet.samefile(images)):
        raise InputError(
            f"{sheet}: data.sheet is a folder other than data.images, {images}. Set both to the same folder if its "
            "subfolders are the classes, or set data.sheet to a sheet."
        )
    if rows.in_order and len(rows.sheet.rows) != len(source.names()):
        raise InputError(
            f"{sheet}: {len(rows.sheet.rows)} rows, but {images} has {len(source.names())} images. With "
            "data.columns.image null, row i is image i. Make the two numbers equal, or set data.columns.image to a "
            "column of image numbers."
        )


def class_sheet(folder: Path, *, image: str, split: str | None, labels: str) -> tuple[Sheet, str | None]:
    """Make the sheet of a folder whose subfolders are the classes.

    Parameters
    ----------
    folder : Path
        Contains ``CLASS/any/file``; or, if a subfolder is named train, val (valid, validation) or test, only
        ``SPLIT/CLASS/any/file``.
    image, labels : str
        Names for the columns of image paths and of classes.
    split : str or None
        Name for the column of splits; None is ``split``.

    Returns
    -------
    sheet : Sheet
        One row per image, sorted by path.
    split : str or None
        Name of the split column; None without split folders.

    Raises
    ------
    InputError
        If an image is outside the class folders, or outside the split folders if there are any.
    """
    folders = {file: PurePosixPath(file).parts[:-1] for file in image_files(folder)}
    has_splits = any(parts and parts[0].lower() in SPLIT_NAMES for parts in folders.values())
    if not folders:
        problems = ["the folder has no images. Set data.images to your images."]
    elif has_splits:
        problems = [
            f"{file} is not in SPLIT/CLASS/, but other images are in a folder train, val or test. Move or delete it."
            for file, parts in folders.items()
            if len(parts) < 2 or parts[0].lower() not in SPLIT_NAMES
        ]
    else:
        problems = [f"{file} is in no class folder. Move or delete it." for file, parts in folders.items() if not parts]
    raise_problems(problems, str(folder))
    if has_splits:
        split = split or free_name("split", [image, labels])
        return Sheet([image, split, labels], [[file, *parts[:2]] for file, parts in folders.items()]), split
    return Sheet([image, labels], [[file, parts[0]] for file, parts in folders.items()]), None


def _from_class_folders(
    folder: Path, image: str | None, split: str | None, labels: str | list[str], allowed: list[str] | None
) -> LabelSheet:
    if image is None or isinstance(labels, list) or len({image, split, labels}) < 3:
        raise InputError(
            f"{folder}: data.sheet is a folder, so its subfolders are the classes, and data.columns needs three "
            "different names: image, split (or null) and labels (not a list). Set data.columns in params.yaml to such "
            "names; they become the columns of the balanced sheet."
        )
    sheet, split = class_sheet(folder, image=image, split=split, labels=labels)
    classes = sorted({str(row[-1]).strip() for row in sheet.rows})
    raise_problems(
        [
            f"folder '{name}' is not one of {', '.join(allowed)}. Rename it, or add it to data.labels."
            for name in classes
            if allowed is not None and name not in allowed
        ],
        str(folder),
    )
    return LabelSheet(sheet, image, split, labels, allowed or classes)
