"""Rows and files: which file belongs to which row, and whether it is an image."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stages.core import images
from stages.core.errors import InputError
from stages.core.parallel import for_each


def match_files(image_ids: Sequence[str], folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Find the file of each row.

    Parameters
    ----------
    image_ids : sequence of str
        Paths relative to the folder, with or without the file's suffix, one a row of the sheet.
    folder : Path
        The images' folder. Only files in it are found, whatever the ids say.

    Returns
    -------
    paths : list of str
        The file of each row, relative to the folder; empty where there is none.
    unlisted : list of str
        Image files that no row names.
    problems : list of str
        A sentence for each row without a file, or with more than one.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Set data.images in params.yaml to the images' folder.")
    files = images.image_files(folder)
    present = set(files)
    by_stem = defaultdict(list)
    for file in files:
        by_stem[str(PurePosixPath(file).with_suffix(""))].append(file)

    paths, problems = [], []
    user_of: dict[str, int] = {}
    for row, image_id in enumerate(image_ids, start=2):
        found = [image_id] if image_id in present else by_stem.get(image_id, [])
        paths.append(found[0] if len(found) == 1 else "")
        if len(found) > 1:
            problems.append(f"row {row}: image '{image_id}' may be {' or '.join(found)}. Give its suffix in the sheet.")
        elif not found and image_id:
            problems.append(f"row {row}: image '{image_id}' is not in {folder}. Add the file or delete the row.")
        elif found and user_of.setdefault(found[0], row) != row and image_ids[user_of[found[0]] - 2] != image_id:
            problems.append(
                f"row {row}: image '{image_id}' is {found[0]}, the file of row {user_of[found[0]]}. Delete a row."
            )
    return paths, sorted(present - set(paths)), problems


def check_files(folder: Path, paths: Sequence[str], *, workers: int) -> tuple[list[str], list[str]]:
    """Read every image to its last byte.

    Parameters
    ----------
    folder : Path
        The images' folder.
    paths : sequence of str
        Relative to it, one a row; an empty one is left out.
    workers : int
        Processes.

    Returns
    -------
    checksums : list of str
        SHA-256 of each file; empty where there is none.
    problems : list of str
        A sentence for each file that is no image.
    """
    checked = for_each(_Check(folder), paths, workers=workers, what="check")
    problems = [
        f"row {row}: {folder / path} {problem}. Replace the file or delete the row."
        for row, (path, (_, problem)) in enumerate(zip(paths, checked, strict=True), start=2)
        if problem
    ]
    return [checksum for checksum, _ in checked], problems


@dataclass(frozen=True)
class _Check:
    folder: Path

    def __call__(self, path: str) -> tuple[str, str | None]:
        """Checksum of a file, and what is wrong with it."""
        if not path:
            return "", None
        try:
            data = (self.folder / path).read_bytes()
        except OSError as error:
            return "", f"cannot be read: {error.strerror}"
        return images.checksum(data), images.problem_with(data)
