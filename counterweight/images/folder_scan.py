"""Find the images in a folder, and account for every other file."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from counterweight.base.errors import InputError, raise_problems
from counterweight.images.codec import FORMATS, SUFFIXES

# What operating systems, file servers and notebooks leave behind; and all that begins with a dot.
_LEFT_BEHIND = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"}
)
# First bytes of files in the formats that can be read, whatever they are called.
_STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*",
    *(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b" \t\r\n"),
)  # fmt: skip
_HEAD_BYTES = 132
# Sizes of the second header of a BMP, whose first two letters begin many a text.
_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))
# Raw photographs of cameras; many begin like a TIFF.
_RAW = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw"}
)
# What often lies beside images and is none, so that nobody needs a warning.
_TEXTS = frozenset(
    {".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html",
     ".dvc"}
)  # fmt: skip
TABLE_OR_TEXT = "is a table or text"


@dataclass(frozen=True)
class FolderScan:
    """The files of a folder and its subfolders, by their relative paths with forward slashes, sorted.

    Attributes
    ----------
    images : list of str
        The images.
    others : dict of str to str
        Files and links that are not read, and why.
    linked_folders : list of str
        Links to folders that were followed.
    """

    images: list[str]
    others: dict[str, str]
    linked_folders: list[str] = field(default_factory=list)


def scan_folder(folder: Path, links: Collection[Path] = ()) -> FolderScan:
    """Find the images in a folder and its subfolders.

    An image has one of `counterweight.images.codec.SUFFIXES`, or another suffix and the first bytes of an image. Names
    that begin with a dot, and what operating systems leave behind, such as ``Thumbs.db``, are no data and not listed.

    Parameters
    ----------
    folder : Path
        The folder.
    links : collection of Path
        Folders that links may lead into, apart from the folder itself and its parent.

    Raises
    ------
    InputError
        If the folder cannot be read, or the name of an image is not UTF-8.
    """
    home = folder.resolve()
    # Everything is below the root: the parent of a folder there is no boundary.
    near = home if home.parent == home.parent.parent else home.parent
    allowed = [near, *(link.resolve() for link in links)]
    images: list[str] = []
    others: dict[str, str] = {}
    followed: dict[str, Path] = {}
    waiting = [(folder, "")]
    while waiting:
        here, prefix = waiting.pop()
        try:
            with os.scandir(here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise InputError(f"{folder}: the folder cannot be read: {error.strerror}. Check its rights.") from None
            others[prefix] = f"cannot be read: {error.strerror}"
            continue
        for entry in entries:
            name, reason = prefix + entry.name, None
            if entry.name.startswith(".") or entry.name.lower() in _LEFT_BEHIND:
                continue
            if entry.is_symlink():
                reason = _link_reason(Path(entry.path), home, allowed, followed.values())
            is_folder = reason is None and entry.is_dir()
            if is_folder:
                waiting.append((Path(entry.path), f"{name}/"))
                if entry.is_symlink():
                    followed[name] = Path(entry.path).resolve()
            elif (reason := reason or _reason(entry)) is None:
                images.append(name)
            else:
                others[name] = reason
    _check_names(images, folder)
    return FolderScan(sorted(images), dict(sorted(others.items())), sorted(followed))


def _link_reason(link: Path, home: Path, allowed: Collection[Path], followed: Collection[Path]) -> str | None:
    """Say why a link is not followed; None if it is."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # Links in a circle are either.
        return "leads nowhere"
    if not any(target.is_relative_to(root) for root in allowed):
        return "is a link that leads out of the folder. Name its target in data.follow_links"
    if target.is_dir():
        if home.is_relative_to(target):
            return "is a link to a folder that it is in"
        if target.is_relative_to(home) or any(target.is_relative_to(other) for other in followed):
            return "is a link to a folder that is read anyway"
    return None


def _reason(entry: "os.DirEntry[str]") -> str | None:
    """Say why a file is not read as an image; None if it is."""
    if not entry.is_file():
        return "is no regular file"
    suffix = PurePosixPath(entry.name).suffix.lower()
    if suffix in SUFFIXES:
        return None
    if suffix in _TEXTS:
        return TABLE_OR_TEXT
    if suffix in _RAW:
        return "is a raw photograph. Convert it, unless its JPEG is there, too"
    try:
        with Path(entry.path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    kind = head[8:12] if head[4:8] == b"ftyp" else b""
    if (
        head.startswith(_STARTS)
        or (head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    ):
        return None
    if kind in (b"avif", b"avis"):
        return None if "AVIF" in FORMATS else "is AVIF, which this Pillow cannot read. Install a newer one"
    if kind in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return None if "HEIF" in FORMATS else "is HEIC, which needs pillow-heif. Run make heif, or convert it"
    if head[128:132] == b"DICM":
        return "is DICOM. Convert it to PNG, for example with dcm2img of DCMTK"
    return "is no image"


def _check_names(names: Sequence[str], folder: Path) -> None:
    problems = [
        f"the file name {os.fsencode(name)!r} is not UTF-8, so no table can hold it. Rename the file."
        for name in sorted(names)
        if not name.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in name)
    ]
    raise_problems(problems, str(folder))
