"""Images without a sheet, sorted into folders by class: the sheet that says the same."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from stages.base.errors import raise_problems
from stages.core.images import image_files
from stages.core.labels import SPLIT_NAMES
from stages.core.workbook import Cell, Sheet, free_name


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
