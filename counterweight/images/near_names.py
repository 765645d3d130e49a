"""Find the file that a name most likely means, though it is not quite the file's."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from unicodedata import normalize

from counterweight.images.codec import SUFFIXES


def near_names(names: Sequence[str], files: Sequence[str]) -> list[str]:
    r"""Return the one file whose name differs least from each name; an empty text if there is none, or several.

    They may differ in case, in leading folders, in backslashes, in the suffix, and in leading zeros, in this order.

    Parameters
    ----------
    names : sequence of str
        Paths as people write them.
    files : sequence of str
        Relative paths with forward slashes.

    Examples
    --------
    >>> near_names(["9", "images/a.JPG", "b\\c.png", "x"], ["00009.png", "a.jpg", "b/c.png"])
    ['00009.png', 'a.jpg', 'b/c.png', '']
    """
    forms: tuple[Callable[[str], str], ...] = (_path, _without_suffix, _without_zeros)
    found = [""] * len(names)
    for form in forms:
        file_of: dict[str, str | None] = {}
        for file in files:
            for tail in _tails(form(file)):
                file_of[tail] = None if tail in file_of else file
        for i, name in enumerate(names):
            if not found[i] and name:
                found[i] = next((match for tail in _tails(form(name)) if (match := file_of.get(tail))), "")
    return found


def _path(name: str) -> str:
    return normalize("NFC", name.replace("\\", "/")).casefold().strip("/")


def _without_suffix(name: str) -> str:
    path = PurePosixPath(_path(name))
    return str(path.with_suffix("") if path.suffix in SUFFIXES else path)


def _without_zeros(name: str) -> str:
    path = PurePosixPath(_without_suffix(name))
    return str(path.with_name(path.name.lstrip("0") or "0")) if path.name else ""


def _tails(path: str) -> Iterator[str]:
    """Return the path, and what is left of it without its first folders."""
    parts = path.split("/")
    return ("/".join(parts[i:]) for i in range(len(parts)))
