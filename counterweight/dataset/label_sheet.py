"""The user's sheet with the names of its columns, or the sheet that a folder of class folders amounts to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from counterweight.base.errors import InputError, raise_problems
from counterweight.images.array_images import zero_padded
from counterweight.images.folder_scan import scan_folder
from counterweight.images.sources import ImageSource
from counterweight.sheets.spreadsheet import Sheet, free_name, read_sheet

# Spellings of a split, in lower case.
SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "development": "val", "test": "test", "testing": "test",
}  # fmt: skip
# Folders whose names may also be those of classes are splits only beside others.
_SPLIT_FOLDERS = frozenset(SPLIT_NAMES) - {"dev", "development", "testing"}


@dataclass(frozen=True)
class LabelSheet:
    """A sheet with one row per image, and the names of its columns."""

    sheet: Sheet
    image: str
    split: str | None  # None if the sheet has no splits
    labels: str | list[str]  # the column of label names, or the 0/1 columns, one per label
    label_names: list[str] | None  # the allowed labels; None allows any
    group: str | None = None  # the column of groups that stay in one split
    in_order: bool = False  # whether row i is image i of an array because the user's sheet has no image column


def open_label_sheet(
    path: Path,
    *,
    image: str | None,
    split: str | None,
    labels: str | Sequence[str],
    group: str | None = None,
    allowed_labels: Sequence[str] | None = None,
    links: Collection[Path] = (),
) -> LabelSheet:
    """Read a sheet, or derive one from class folders.

    Parameters
    ----------
    path : Path
        An .xlsx or .csv, or a folder of class folders.
    image, split, group : str or None
        Column names. Without an image column, row i is image i, and a column ``image_id`` of numbers is added.
    labels : str or sequence of str
        The column of label names, or the 0/1 columns, one per label.
    allowed_labels : sequence of str or None
        The allowed labels; None allows any.
    links : collection of Path
        Folders that links in a folder of class folders may lead into.

    Raises
    ------
    InputError
        If the sheet cannot be read, or an image of the folder is in no class folder.
    """
    labels = labels if isinstance(labels, str) else list(labels)
    allowed = None if allowed_labels is None else list(allowed_labels)
    if path.is_dir():
        if group is not None:
            raise InputError(
                f"{path}: class folders have no column '{group}' of groups. Set data.columns.group to null, or write a "
                "sheet."
            )
        files = scan_folder(path, links).images
        return _from_class_folders(path, files, image, split, labels, allowed)
    sheet = read_sheet(path)
    if image is not None:
        return LabelSheet(sheet, image, split, labels, allowed, group)
    added, count = free_name("image_id", sheet.columns), len(sheet.rows)
    rows = [[*cells, zero_padded(i, count)] for i, cells in enumerate(sheet.rows)]
    return LabelSheet(Sheet([*sheet.columns, added], rows), added, split, labels, allowed, group, in_order=True)


def check_source(rows: LabelSheet, sheet: Path, images: Path, source: ImageSource) -> None:
    """Raise if the rows and the images cannot belong together.

    Parameters
    ----------
    rows, source : LabelSheet, ImageSource
        The content of ``sheet`` and of ``images``.
    sheet, images : Path
        ``data.sheet`` and ``data.images``.
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


def _from_class_folders(
    folder: Path, files: Sequence[str], image: str | None, split: str | None, labels: str | list[str],
    allowed: list[str] | None,
) -> LabelSheet:  # fmt: skip
    """Make the sheet of ``CLASS/any/file``, or of ``SPLIT/CLASS/any/file`` if a subfolder is named as a split.

    Its rows are sorted by path. Only split folders give it a split column, named ``split`` if the params name none.
    """
    if image is None or isinstance(labels, list) or len({image, split, labels}) < 3:
        raise InputError(
            f"{folder}: data.sheet is a folder, so its subfolders are the classes, and data.columns needs three "
            "different names: image, split (or null) and labels (not a list). Set data.columns in params.yaml to such "
            "names; they become the columns of the balanced sheet."
        )
    folders = {file: PurePosixPath(file).parts[:-1] for file in files}
    has_splits = any(parts and parts[0].lower() in _SPLIT_FOLDERS for parts in folders.values())
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
    classes = sorted({parts[has_splits].strip() for parts in folders.values()})
    raise_problems(
        [
            f"folder '{name}' is not one of {', '.join(allowed)}. Rename it, or add it to data.labels."
            for name in classes
            if allowed is not None and name not in allowed
        ],
        str(folder),
    )
    split = (split or free_name("split", [image, labels])) if has_splits else None
    sheet = Sheet(
        [image, *([split] if split else []), labels],
        [[file, *parts[: 1 + has_splits]] for file, parts in folders.items()],
    )
    return LabelSheet(sheet, image, split, labels, allowed or classes)
