"""The sheet that a folder amounts to: its subfolders are the classes, or have a sheet each."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from counterweight.base.errors import MAX_SHOWN, InputError, name_some, raise_problems
from counterweight.sheets.cells import SPLIT_NAMES, cell_text
from counterweight.sheets.spreadsheet import Sheet, free_name, read_sheet

# The sheets of Hugging Face's image folders and of Roboflow's exports.
_SHEETS = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")
_IMAGE_COLUMNS = ("file_name", "filename", "image", "path")
# Folders whose names may also be those of classes are splits only beside others.
_SPLIT_FOLDERS = frozenset(SPLIT_NAMES) - {"dev", "development", "testing"}
# Roboflow names the variants of an image NAME.rf.HASH.jpg.
_VARIANT = ".rf."


def sheet_in(folder: Path) -> Path | None:
    """Return the sheet that a folder of images holds, the folder itself if its splits hold one each, or None."""
    for name in _SHEETS:
        if (folder / name).is_file():
            return folder / name
    return folder if sheets_of_splits(folder) else None


def sheets_of_splits(folder: Path) -> list[Path]:
    """Return the sheets in subfolders that are named as splits, sorted."""
    return sorted(
        path for path in folder.glob("*/*") if path.name in _SHEETS and path.parent.name.lower() in SPLIT_NAMES
    )


def read_sheets_of_splits(
    folder: Path, image: str | None, split: str | None, group: str | None
) -> tuple[Sheet, str, str | None]:
    """Read the sheets in the folders of the splits as one.

    Parameters
    ----------
    folder : Path
        The folder with ``train/`` and others, each with images and a sheet of them.
    image : str or None
        The column of image names, which are relative to their sheet; None is the usual one, or the first.
    split, group : str or None
        Names of the columns of splits and of groups; one of groups may be in the sheets.

    Returns
    -------
    sheet : Sheet
        Names of images relative to ``folder``, the columns of the sheets, and those of splits and of groups.
    split : str
        The column with the splits.
    group : str or None
        The column of groups, or the one with what variants of an image have in common; None if there is neither.

    Raises
    ------
    InputError
        If one cannot be read, or has other columns than the first.
    """
    paths = sheets_of_splits(folder)
    sheets = [read_sheet(path) for path in paths]
    columns = sheets[0].columns
    raise_problems(
        [
            f"{path} has the columns {', '.join(sheet.columns)}, but {paths[0]} has {', '.join(columns)}. Make them "
            "the same."
            for path, sheet in zip(paths, sheets, strict=True)
            if set(sheet.columns) != set(columns)
        ],
        str(folder),
    )
    image = image or image_column(sheets[0])
    if image not in columns:
        raise InputError(
            f"{paths[0]}: there is no column '{image}'. Its columns are: {', '.join(columns)}. Set data.columns.image "
            "in params.yaml to one of them."
        )
    at = columns.index(image)
    split = free_name(split or "split", columns)
    rows, numbers, files = [], [], []
    for path, sheet in zip(paths, sheets, strict=True):
        part = path.parent.name
        order = [sheet.columns.index(name) for name in columns]
        for i, unordered in enumerate(sheet.rows):
            row = [unordered[j] for j in order]
            name = cell_text(row[at])
            rows.append([*row[:at], name and f"{part}/{name}", *row[at + 1 :], part])
            numbers.append(sheet.number(i))
            files.append(f"{part}/{path.name}")
    notes = tuple(note for sheet in sheets for note in sheet.notes)
    sheet = Sheet([*columns, split], rows, numbers, files, notes)
    if group not in columns:
        sheet, group = with_groups(sheet, image, group)
    return sheet, split, group


def image_column(sheet: Sheet) -> str:
    """Return the column that is named as one of images, or the first."""
    return next((name for name in sheet.columns if name.lower() in _IMAGE_COLUMNS), sheet.columns[0])


def class_folder_sheet(
    folder: Path, files: Sequence[str], *, image: str, split: str | None, labels: str, group: str | None,
    allowed: Sequence[str] | None,
) -> tuple[Sheet, str | None, str | None, list[str]]:  # fmt: skip
    """Make the sheet of ``CLASS/any/file``, or of ``SPLIT/CLASS/any/file`` if a subfolder is named as a split.

    Parameters
    ----------
    folder, files : Path, sequence of str
        The folder, and its images by their relative paths.
    image, labels, split, group : str or None
        Names of the columns; for splits and groups None is ``split`` and ``group``.
    allowed : sequence of str or None
        The allowed classes; None allows any.

    Returns
    -------
    sheet : Sheet
        One row per file, in the order of ``files``.
    split, group : str or None
        The columns of splits and of groups, see `read_sheets_of_splits`; None if there are none.
    classes : list of str
        Names of the class folders, sorted.
    """
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
            f"folder '{name}' is not one of {name_some(allowed, MAX_SHOWN)}. Rename it, or add it to data.labels."
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
    sheet, group = with_groups(sheet, image, group)
    return sheet, split, group, classes


def with_groups(sheet: Sheet, image: str, group: str | None) -> tuple[Sheet, str | None]:
    """Add a column of what variants of one image have in common, if some are named so; and return its name.

    Examples
    --------
    >>> with_groups(Sheet(["id"], [["a.rf.1.jpg"], ["a.rf.2.jpg"]]), "id", None)[0].rows
    [['a.rf.1.jpg', 'a'], ['a.rf.2.jpg', 'a']]
    """
    names = [PurePosixPath(cell_text(row[sheet.columns.index(image)])).name for row in sheet.rows]
    if not any(_VARIANT in name for name in names):
        return sheet, None
    group = free_name(group or "group", sheet.columns)
    originals = [name.partition(_VARIANT)[0] if _VARIANT in name else "" for name in names]
    rows = [[*row, original] for row, original in zip(sheet.rows, originals, strict=True)]
    return Sheet([*sheet.columns, group], rows, sheet.numbers, sheet.files, sheet.notes), group
