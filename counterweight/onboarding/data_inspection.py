"""Inspect a sheet, or a folder that amounts to one, whose columns are not known yet."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from counterweight.base.errors import InputError, name_some
from counterweight.dataset.label_sheet import SheetConfig, open_label_sheet
from counterweight.images.folder_images import FolderImages
from counterweight.images.sources import ImageSource
from counterweight.onboarding.column_inference import SheetSchema, infer_schema
from counterweight.onboarding.suggested_params import Sizes
from counterweight.sheets.cells import unknown_hint
from counterweight.sheets.folder_sheets import sheets_of_splits
from counterweight.sheets.spreadsheet import worksheet_names

# A name that ends in a number; fewer different names, or more views of one, are classes or a series.
_NUMBERED = re.compile(r"(.+)[_-]\d{1,3}")
_MIN_STEMS, _MOST_VIEWS = 10, 20
# Names of folders that hold all images, in lower case, and the part of them from which on one does.
_DATA_FOLDERS = frozenset({"data", "image", "images", "img", "imgs", "jpegimages", "photo", "photos", "pictures"})
_MOST_IMAGES = 0.9


@dataclass(frozen=True)
class Inspection:
    """What a sheet holds, how it had to be read, and the name of the worksheet, unless it is a workbook's first."""

    schema: SheetSchema
    notes: tuple[str, ...]
    worksheet: str | None


def inspect_sheet(path: Path, source: ImageSource, links: Collection[Path]) -> Inspection:
    """Infer the columns of a sheet; of a workbook, those of the first worksheet that has images and labels.

    Parameters
    ----------
    path, source : Path, ImageSource
        The sheet, or a folder that amounts to one, and the images.
    links : collection of Path
        Folders that links may lead into.

    Raises
    ------
    InputError
        If the sheet cannot be read, or has no columns of images and of labels. For a workbook, it says what is wrong
        with the first worksheet.
    """
    image = None if path.is_dir() and sheets_of_splits(path) else "image"
    if path.is_dir() and image:
        _check_class_folders(path, source.names())
    first_error: InputError | None = None
    for worksheet in [None, *worksheet_names(path)[1:]]:
        config = SheetConfig(image, split=None, labels="class", worksheet=worksheet)
        try:
            rows, in_order = open_label_sheet(path, config, links), not isinstance(source, FolderImages)
            if rows.label_names is not None and len(rows.label_names) < 2:
                raise InputError(
                    f"{path}: all images are in one class folder, {name_some(rows.label_names)}. Give --images a "
                    "folder with a folder for each class, or --sheet your sheet."
                )
            schema = infer_schema(rows.sheet, source, in_order=in_order, classes=rows.label_names)
            return Inspection(schema, rows.sheet.notes, worksheet)
        except InputError as error:
            first_error = first_error or error
    assert first_error is not None  # The first worksheet was tried.
    raise first_error


def _check_class_folders(folder: Path, images: Sequence[str]) -> None:
    """Raise if one subfolder is no class, but has the classes in it, or nearly all images and a name such as data."""
    parts = [PurePosixPath(image).parts for image in images]
    beside = sum(len(each) == 1 for each in parts)
    below = {each[0] for each in parts if len(each) > 1}
    if beside and len(below) == 1 and all(len(each) != 2 for each in parts):
        name = below.pop()
        raise InputError(
            f"{folder}: the class folders are in its subfolder {name}, and {beside:,} images beside it are in none. "
            f"Give --images {folder / name}."
        )
    counts = Counter(each[0] for each in parts)
    for name, count in counts.most_common(1):
        if name.lower() in _DATA_FOLDERS and count >= _MOST_IMAGES * len(images):
            raise InputError(
                f"{folder}: the subfolder {name} has {count:,} of {len(images):,} images, so the subfolders are no "
                f"classes. Give --images {folder / name}, and --sheet your sheet."
            )


def describe(found: Inspection, images: Sequence[str], sizes: Sizes, sheet: Path) -> list[str]:
    """Return lines that show what was inferred.

    ``images`` are the names of all images, and ``sizes`` their sizes; ``sheet`` is the path of what was inspected.
    """
    schema = found.schema
    rarest = list(schema.counts)[-1]
    absent = sum(not names for names in schema.files)
    odd = name_some([f"{count:,} '{cell}'" for cell, count in schema.odd_splits.items()])
    near = name_some([f"'{image_id}' for {name}" for image_id, name in schema.nearly])
    shape = "0/1 columns" if isinstance(schema.labels, list) else f"names in the column {schema.labels}"
    return [
        *found.notes,
        f"images    {len(images):,}, {sizes}",
        f"sheet     {sheet}: images in the column {schema.image}, "
        + (f"split in {schema.split}" if schema.split else "no split, so one will be made"),
        *([f"names     {len(schema.nearly):,} rows name an image only nearly: {near}"] if near else []),
        *(["rows      images have several rows, which are merged"] if schema.repeats else []),
        *_stem_hint(images),
        *([f"splits    {odd} say no split. Correct these cells before dvc repro"] if odd else []),
        *(
            f"splits    no row says {split}. Give some rows that split, or set data.columns.split to null"
            for split in schema.absent_splits
        ),
        f"labels    {len(schema.counts):,}, {schema.task}, {shape}: "
        + name_some([f"{name} {count:,}" for name, count in schema.counts.items()], 12),
        f"rarest    {rarest}, {schema.counts[rarest]:,} images",
        f"unmatched {len(set(images) - schema.matched):,} images without a row, {absent:,} rows without an image",
        f"missing   {schema.missing:,} label cells; {schema.without:,} rows without a label",
        *([f"unknown   {unknown_hint(schema.unknown)}"] if schema.unknown else []),
    ]


def _stem_hint(images: Sequence[str]) -> list[str]:
    """Return a line about names that repeat but for a number at their end, as those of views of one object do."""
    matches = (_NUMBERED.fullmatch(PurePosixPath(image).stem) for image in images)
    counts = Counter(match[1] for match in matches if match)
    several = {stem: count for stem, count in counts.items() if count > 1}
    if len(several) < _MIN_STEMS or not images or not sum(several.values()) / len(images) >= 0.5:
        return []
    if max(several.values()) > _MOST_VIEWS:
        return []
    example = min(several)
    return [
        f"groups    {len(several):,} names repeat but for a number at their end, such as {example}: if these show the "
        f"same, set data.group_pattern to '(.+)[_-]\\d+'"
    ]
