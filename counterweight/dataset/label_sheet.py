"""The user's sheet with the names of its columns, or the sheet that a folder amounts to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from counterweight.base.errors import InputError
from counterweight.images.array_images import zero_padded
from counterweight.images.folder_scan import scan_folder
from counterweight.images.sources import ImageSource
from counterweight.sheets.cells import unknown_names
from counterweight.sheets.folder_sheets import class_folder_sheet, image_column, read_sheets_of_splits, sheets_of_splits
from counterweight.sheets.long_form import join_rows
from counterweight.sheets.spreadsheet import Sheet, free_name, read_sheet


@dataclass(frozen=True)
class SheetConfig:
    """How a sheet is read.

    Attributes
    ----------
    image, split, group : str or None
        Column names. Without an image column, row i is image i, and a column ``image_id`` of numbers is added.
    labels : str or sequence of str
        The column of label names, or the 0/1 columns, one per label.
    allowed : sequence of str or None
        The allowed labels; None allows any.
    worksheet : str or None
        Name of a workbook's worksheet; None is the first.
    join_rows : bool
        Whether several rows of an image are joined; see `counterweight.sheets.long_form.join_rows`.
    separator : str
        Separates the names in a cell.
    values : mapping of str to sequence of str, or None
        What 0/1 columns hold; see `counterweight.sheets.cells.flag_values`.
    """

    image: str | None
    split: str | None
    labels: str | Sequence[str]
    group: str | None = None
    allowed: Sequence[str] | None = None
    worksheet: str | None = None
    join_rows: bool = False
    separator: str = ","
    values: Mapping[str, Sequence[str]] | None = None

    @classmethod
    def from_params(cls, data: Mapping[str, Any]) -> Self:
        """Take the section ``data`` of params.yaml."""
        return cls(
            **data["columns"], allowed=data["labels"], worksheet=data["worksheet"],
            join_rows=data["duplicate_rows"] == "merge", separator=data["separator"], values=data["values"],
        )  # fmt: skip


@dataclass(frozen=True)
class LabelSheet:
    """A sheet with one row per image, and the names of its columns."""

    sheet: Sheet
    image: str
    split: str | None  # train, val or test; None if the sheet has no splits
    labels: str | list[str]  # the column of label names, or the 0/1 columns, one per label
    label_names: list[str] | None  # the allowed labels; None allows any
    group: str | None = None  # the column of groups that stay in one split
    unknown: dict[str, int] | None = None  # what `unknown_names` counts in the rows before they were joined
    in_order: bool = False  # whether row i is image i of an array because the user's sheet has no image column


def open_label_sheet(path: Path, config: SheetConfig, links: Collection[Path] = ()) -> LabelSheet:
    """Read a sheet, or derive one from class folders, or from folders of splits with a sheet each.

    Parameters
    ----------
    path : Path
        A file that `counterweight.sheets.spreadsheet.read_sheet` reads, or a folder.
    config : SheetConfig
        How it is read.
    links : collection of Path
        Folders that links in a folder of class folders may lead into.

    Raises
    ------
    InputError
        If the sheet cannot be read, rows of one image contradict each other, or an image of the folder is in no class
        folder.
    """
    labels = config.labels if isinstance(config.labels, str) else list(config.labels)
    allowed = None if config.allowed is None else list(config.allowed)
    if path.is_dir():
        rows = _from_folder(path, config, labels, allowed, links)
    else:
        sheet = read_sheet(path, config.worksheet)
        if config.image is None:
            added, count = free_name("image_id", sheet.columns), len(sheet.rows)
            numbered = [[*cells, zero_padded(i, count)] for i, cells in enumerate(sheet.rows)]
            sheet = replace(sheet, columns=[*sheet.columns, added], rows=numbered)
            return LabelSheet(sheet, added, config.split, labels, allowed, config.group, in_order=True)
        rows = LabelSheet(sheet, config.image, config.split, labels, allowed, config.group)
    return joined(rows, config, str(path)) if config.join_rows else rows


def joined(rows: LabelSheet, config: SheetConfig, where: str) -> LabelSheet:
    """Join the rows of each image; without one of the columns, `read_annotations` says which is missing."""
    same = [name for name in (rows.split, rows.group) if name]
    label_columns = [rows.labels] if isinstance(rows.labels, str) else rows.labels
    if not {rows.image, *same, *label_columns} <= set(rows.sheet.columns):
        return rows
    sheet = join_rows(
        rows.sheet, image=rows.image, labels=rows.labels, same=same, separator=config.separator,
        allowed=rows.label_names, values=config.values, where=where,
    )  # fmt: skip
    unknown = None
    if isinstance(rows.labels, str):
        at = rows.sheet.columns.index(rows.labels)
        unknown = unknown_names((row[at] for row in rows.sheet.rows), rows.label_names)
    return replace(rows, sheet=sheet, unknown=unknown)


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


def _from_folder(
    folder: Path, config: SheetConfig, labels: str | list[str], allowed: list[str] | None, links: Collection[Path]
) -> LabelSheet:
    """Make the sheet of a folder of class folders, or of folders of splits with a sheet each."""
    image = config.image
    if sheets_of_splits(folder):
        sheet, split, group = read_sheets_of_splits(folder, image, config.split, config.group)
        rows = LabelSheet(sheet, image or image_column(sheet), split, labels, allowed, group)
    else:
        if image is None or isinstance(labels, list) or len({image, config.split, labels}) < 3:
            raise InputError(
                f"{folder}: data.sheet is a folder, so its subfolders are the classes, and data.columns needs three "
                "different names: image, split (or null) and labels (not a list). Set data.columns in params.yaml to "
                "such names; they become the columns of the balanced sheet."
            )
        files = scan_folder(folder, links).images
        sheet, part, group, classes = class_folder_sheet(
            folder, files, image=image, split=config.split, labels=labels, group=config.group, allowed=allowed
        )
        rows = LabelSheet(sheet, image, part, labels, allowed or classes, group)
    if config.group is not None and rows.group is None:
        raise InputError(
            f"{folder}: a folder has no column '{config.group}' of groups, unless its images are named as variants, "
            "NAME.rf.HASH.jpg. Set data.columns.group to null, or write a sheet."
        )
    return rows
