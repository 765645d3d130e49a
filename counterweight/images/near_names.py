"""Find the file that a name most likely means, though it is not quite the file's."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from unicodedata import normalize

from counterweight.images.codec import SUFFIXES


def near_names(
    names: Sequence[str], files: Sequence[str], taken: Collection[str] = (), *, other_folders: bool = False
) -> list[str]:
    r"""Return the one file whose name differs least from each name; an empty text if there is none, or several.

    They may differ in case, backslashes and leading folders; or also in the suffix; or also in leading zeros.

    Parameters
    ----------
    names : sequence of str
        Paths as people write them.
    files : sequence of str
        Relative paths with forward slashes.
    taken : collection of str
        Files that are not meant.
    other_folders : bool
        Whether both may have folders that the other has not, so that the name without folders decides.

    Examples
    --------
    >>> near_names(["9", "images/a.JPG", "b\\c.png", "x"], ["00009.png", "a.jpg", "b/c.png"])
    ['00009.png', 'a.jpg', 'b/c.png', '']
    >>> near_names(["dog/1.jpg"], ["cat/1.jpg"]), near_names(["dog/1.jpg"], ["cat/1.jpg"], other_folders=True)
    ([''], ['cat/1.jpg'])
    """
    found = [""] * len(names)
    free = [file for file in files if file not in taken] if any(names) else []
    for form in (_path, _without_suffix, _without_zeros) if free else ():
        whole: dict[str, str | None] = {}
        ends: dict[str, str | None] = {}
        for file in free:
            path = form(file)
            whole[path] = None if path in whole else file
            for end in islice(_ends(path), 1, None):
                ends[end] = None if end in ends else file
        for i, name in enumerate(names):
            if not found[i] and name:
                path = form(name)
                found[i] = whole.get(path) or ends.get(path) or next(filter(None, map(whole.get, _ends(path))), "")
                if other_folders and not found[i]:
                    found[i] = ends.get(path.rpartition("/")[2]) or ""
    return found


def _path(name: str) -> str:
    return normalize("NFC", name.replace("\\", "/")).casefold().strip("/").removeprefix("./")


def _without_suffix(name: str) -> str:
    path = _path(name)
    stem, dot, suffix = path.rpartition(".")
    return stem if f"{dot}{suffix}" in SUFFIXES else path


def _without_zeros(name: str) -> str:
    folder, slash, stem = _without_suffix(name).rpartition("/")
    return folder + slash + (stem.lstrip("0") or stem[-1:])


def _ends(path: str) -> Iterator[str]:
    """Return the path, and what is left of it without its first folders."""
    parts = path.split("/")
    return ("/".join(parts[i:]) for i in range(len(parts)))
