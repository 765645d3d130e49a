"""Where the images come from, a folder of files or one array; nothing outside this module asks which."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import Pixels, Wanted
from counterweight.images.perceptual_hash import perceptual_hash

# Bytes of an array that are looked at together: it may be larger than memory.
BLOCK = 2**26

# A channel of 16 bits goes to 65535, which is 257 times 255.
_DEEP = 257


class Checked(NamedTuple):
    """What is known of an image once it was read.

    Attributes
    ----------
    checksum : str
        SHA-256; empty if it could not be read.
    hash : int or None
        Its perceptual hash; None if there is none.
    problem : str or None
        What is wrong with it.
    """

    checksum: str
    hash: int | None
    problem: str | None


@dataclass(frozen=True)
class FolderImages:
    """The image files in a folder and below.

    Attributes
    ----------
    folder : Path
        Names of images are paths relative to it.
    """

    folder: Path

    @property
    def place(self) -> str:
        """Where the images are, for messages."""
        return str(self.folder)

    @property
    def remedy(self) -> str:
        """What to do about a row whose image is not there."""
        return "Add the file or delete the row"

    def names(self) -> list[str]:
        """All images, sorted."""
        return codec.image_files(self.folder)

    def find(self, image_ids: Sequence[str]) -> list[list[str]]:
        """For each id, a path with or without its suffix, the files that it may mean."""
        files = self.names()
        present = set(files)
        # What looks the same may be written in two ways: a Mac's file system takes accents apart, and Excel does not.
        by_look, by_stem = defaultdict(list), defaultdict(list)
        for file in files:
            by_look[normalize("NFC", file)].append(file)
            by_stem[normalize("NFC", str(PurePosixPath(file).with_suffix("")))].append(file)
        return [
            [image_id] if image_id in present else by_look.get(look, []) or by_stem.get(look, [])
            for image_id in image_ids
            for look in [normalize("NFC", image_id)]
        ]

    def check(self, name: str, max_pixels: int) -> Checked:
        """Read an image to its last byte."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            return Checked("", None, f"{path} is a link that leads out of the folder")
        try:
            data = path.read_bytes()
        except OSError as error:
            return Checked("", None, f"{path} cannot be read: {error.strerror}")
        try:
            problem, sketch = codec.examine(data, max_pixels)
        except MemoryError:
            raise InputError(f"{path}: {codec.TOO_LITTLE_MEMORY}") from None
        return Checked(
            codec.checksum(data),
            None if sketch is None else perceptual_hash(sketch),
            problem and f"{path} {problem}",
        )

    def read(self, name: str, checksum: str | None = None, wanted: Wanted | None = None) -> Pixels:
        """An image as RGB, see `codec.decode`; with the manifest's checksum, an error if it has changed."""
        return codec.read(self.folder / name, checksum, wanted)


@dataclass(frozen=True)
class ArrayImages:
    """The images of a ``.npy`` array, of which only those asked for are ever in memory.

    Attributes
    ----------
    path : Path
        The file.
    count : int
        Images in it. Their names are their numbers from 0, with zeros in front so that all are equally long.
    factor : float
        What brings the array's values to 0..255.
    """

    path: Path
    count: int
    factor: float

    @property
    def place(self) -> str:
        """Where the images are, for messages."""
        return f"{self.path}, whose images have the numbers 0 to {self.count - 1}"

    @property
    def remedy(self) -> str:
        """What to do about a row whose image is not there."""
        return "Correct the number or delete the row"

    def names(self) -> list[str]:
        """All images, sorted."""
        return [self._name(number) for number in range(self.count)]

    def find(self, image_ids: Sequence[str]) -> list[list[str]]:
        """For each id, a number with or without zeros in front, the image that it means."""
        numbers = [int(image_id) if image_id.isdecimal() else self.count for image_id in image_ids]
        return [[self._name(number)] if number < self.count else [] for number in numbers]

    def check(self, name: str, max_pixels: int) -> Checked:
        """Look at an image; there is nothing wrong with it, since the values were seen before."""
        pixels = self.read(name)
        return Checked(_checksum(pixels), perceptual_hash(pixels), None)

    def read(self, name: str, checksum: str | None = None, wanted: Wanted | None = None) -> Pixels:
        """An image as RGB, whatever is wanted of it; with the manifest's checksum, an error if it has changed."""
        try:
            values = _mapped(self.path)[int(name)]
        except IndexError:
            raise InputError(f"{self.path}: there is no image {name} any more. Run dvc repro.") from None
        pixels = _rgb(np.rint(values.astype(np.float64) * self.factor).astype(np.uint8))
        if checksum is not None and _checksum(pixels) != checksum:
            raise InputError(f"{self.path}: image {name} has changed since the manifest was written. Run dvc repro.")
        return pixels

    def _name(self, number: int) -> str:
        return numbered(number, self.count)


Images = FolderImages | ArrayImages


def open_images(path: Path) -> Images:
    """Open a folder of images, or a ``.npy`` array of them.

    Parameters
    ----------
    path : Path
        A folder; or an array of shape (images, height, width) or (images, height, width, channels) with 1, 3 or 4
        channels. Its values may be bool; whole numbers from 0 to 255; uint16 up to 65535, which are divided by 257 if
        any is above 255; or floating-point numbers, all from 0 to 1 or all from 0 to 255. Each is looked at once.

    Returns
    -------
    FolderImages or ArrayImages
        Small enough to travel to a worker process.

    Raises
    ------
    InputError
        If there is no such folder or array, or the array is no array of images.
    """
    if path.suffix.lower() == ".npy":
        array = _mapped(path)
        return ArrayImages(path, len(array), _factor(array, path))
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder. Set data.images in params.yaml to the images' folder.")
    return FolderImages(path)


def numbered(number: int, count: int) -> str:
    """A number from 0 with so many zeros in front that ``count`` numbers are equally long.

    Examples
    --------
    >>> numbered(7, 10), numbered(7, 11), numbered(7, 1000)
    ('7', '07', '007')
    """
    return str(number).zfill(len(str(count - 1)))


def _mapped(path: Path) -> NDArray[Any]:
    """The array, on disk: memory is taken by what is looked at, and only as long as there is plenty."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Set data.images in params.yaml to your array.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no array of images: {error}. Write it with numpy.save.") from None
    if not isinstance(array, np.memmap) or array.dtype.kind not in "buif":
        raise InputError(f"{path}: no array of numbers. Write one with numpy.save.")
    if not array.size:
        raise InputError(f"{path}: no array of images: its shape is {array.shape}. Give at least one image.")
    if array.ndim not in {3, 4} or (array.ndim == 4 and array.shape[3] not in {1, 3, 4}):
        raise InputError(
            f"{path}: an array of images has the shape (images, height, width), or (images, height, width, channels) "
            f"with 1, 3 or 4 channels, not {array.shape}. Bring its axes into that order, with numpy.moveaxis."
        )
    return array


def _factor(array: NDArray[Any], path: Path) -> float:
    kind, deep = array.dtype.kind, array.dtype.kind == "u" and array.dtype.itemsize == 2
    if kind == "b":
        return 255.0
    most = 255 * _DEEP if deep else 255
    highest = max(_highest(start, block, most, path) for start, block in _blocks(array))
    if kind == "f" and 1 < highest < 2:
        # A shade above 1 is a rounding error of values from 0 to 1; taken as 0 to 255, every image would be black.
        number, value = next(found for start, block in _blocks(array) if (found := _first(start, block > 1, block)))
        raise InputError(
            f"{path}: image {number} holds {value}, and no value is 2 or more. Floating-point values are all from 0 to "
            "1, or all from 0 to 255. Clip or multiply them."
        )
    if kind == "f":
        return 255.0 if highest <= 1 else 1.0
    return 1 / _DEEP if highest > 255 else 1.0


def _blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Parts of the array, with the number of the first image in each."""
    step = max(BLOCK // max(array[0].nbytes, 1), 1)
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def _highest(start: int, block: NDArray[Any], most: int, path: Path) -> float:
    lowest, highest = block.min(), block.max()
    if lowest >= 0 and highest <= most:  # False for NaN
        return float(highest)
    number, value = _first(start, ~((block >= 0) & (block <= most)), block) or (start, highest)
    raise InputError(
        f"{path}: image {number} holds {value}. Values are numbers from 0 to {most}, or floating-point from 0 to 1. "
        "Replace, clip or scale them."
    )


def _first(start: int, where: NDArray[np.bool_], block: NDArray[Any]) -> tuple[int, Any] | None:
    """Number of the first image, and its first value, where a condition holds."""
    if not where.any():
        return None
    place = np.unravel_index(int(where.argmax()), block.shape)
    return start + int(place[0]), block[place]


def _rgb(values: Pixels) -> Pixels:
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] == 4:
        return codec.on_white(Image.fromarray(values))
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))


def _checksum(pixels: Pixels) -> str:
    """SHA-256 of an image's shape and pixels, in hexadecimal."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
