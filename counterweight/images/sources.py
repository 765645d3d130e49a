"""Sources of images: a folder of files or one array, with the same methods."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.folder_scan import FolderScan, scan_folder
from counterweight.images.geometry import Pixels, TargetSize
from counterweight.images.perceptual_hash import perceptual_hash

# Bytes of an array to scan at a time, since it may be larger than memory.
BLOCK_BYTES = 2**26


class ImageCheck(NamedTuple):
    """Result of checking one image."""

    checksum: str  # SHA-256; empty if the image cannot be read
    hash: int | None  # perceptual hash; None if the image is nearly uniform or cannot be read
    problem: str | None  # why the image cannot be used


@dataclass(frozen=True)
class FolderImages:
    """Image files in a folder and its subfolders, named by their relative paths.

    ``links`` are folders that links may lead into, as in `scan_folder`.
    """

    folder: Path
    links: tuple[Path, ...] = ()

    def __reduce__(self) -> tuple[type, tuple[Path, tuple[Path, ...]]]:
        """Leave the list of the files behind, which processes that read single images do not need."""
        return FolderImages, (self.folder, self.links)

    @cached_property
    def scan(self) -> FolderScan:
        """The files, as they are when this is first read."""
        return scan_folder(self.folder, self.links)

    @property
    def others(self) -> Mapping[str, str]:
        """Files that are not read as images, and why."""
        return self.scan.others

    @property
    def linked_folders(self) -> Sequence[str]:
        """Links to folders that were followed."""
        return self.scan.linked_folders

    @property
    def location(self) -> str:
        """Where the images are, for messages."""
        return str(self.folder)

    @property
    def fix(self) -> str:
        """How to fix a row whose image is missing."""
        return "Add the file or delete the row"

    def names(self) -> list[str]:
        """Return the names of all images, sorted."""
        return self.scan.images

    def find(self, image_ids: Sequence[str]) -> list[list[str]]:
        """Return the files that each id, a path with or without suffix, may refer to."""
        files = self.names()
        present = set(files)
        # macOS decomposes accented letters in file names, and Excel does not, so compare them in one normal form.
        by_path, by_stem = defaultdict(list), defaultdict(list)
        for file in files:
            by_path[normalize("NFC", file)].append(file)
            by_stem[normalize("NFC", str(PurePosixPath(file).with_suffix("")))].append(file)
        return [
            [image_id] if image_id in present else by_path.get(path, []) or by_stem.get(path, [])
            for image_id, path in ((image_id, normalize("NFC", image_id)) for image_id in image_ids)
        ]

    def check(self, name: str, max_pixels: int) -> ImageCheck:
        """Read an image to its last byte."""
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            return ImageCheck("", None, f"{path} cannot be read: {error.strerror}")
        try:
            problem, sketch = codec.validate_bytes(data, max_pixels)
        except MemoryError:
            raise InputError(f"{path}: {codec.OUT_OF_MEMORY}") from None
        image_hash = None if sketch is None else perceptual_hash(sketch)
        return ImageCheck(codec.checksum(data), image_hash, problem and f"{path} {problem}")

    def read(self, name: str, checksum: str | None = None, target: TargetSize | None = None) -> Pixels:
        """Read an image by `codec.read`."""
        return codec.read(self.folder / name, checksum, target)


@dataclass(frozen=True)
class ArrayImages:
    """Images in a memory-mapped ``.npy`` array, named by their zero-padded indices."""

    path: Path
    count: int  # number of images
    scale: float  # factor that maps the array's values to 0..255

    @property
    def location(self) -> str:
        """Where the images are, for messages."""
        return f"{self.path}, whose images are numbered 0 to {self.count - 1}"

    @property
    def others(self) -> Mapping[str, str]:
        """Nothing: an array has only images."""
        return {}

    @property
    def linked_folders(self) -> Sequence[str]:
        """Nothing: an array has no links."""
        return ()

    @property
    def fix(self) -> str:
        """How to fix a row whose image is missing."""
        return "Correct the number or delete the row"

    def names(self) -> list[str]:
        """Return the names of all images, sorted."""
        return [zero_padded(number, self.count) for number in range(self.count)]

    def find(self, image_ids: Sequence[str]) -> list[list[str]]:
        """Return the image that each id, an index with or without leading zeros, refers to."""
        numbers = [int(image_id) if image_id.isdecimal() else self.count for image_id in image_ids]
        return [[zero_padded(number, self.count)] if number < self.count else [] for number in numbers]

    def check(self, name: str, max_pixels: int) -> ImageCheck:
        """Hash an image; `open_images` has already validated its values."""
        pixels = self.read(name)
        return ImageCheck(_checksum(pixels), perceptual_hash(pixels), None)

    def read(self, name: str, checksum: str | None = None, target: TargetSize | None = None) -> Pixels:
        """Return an image as RGB at full size, after verifying its checksum, if given."""
        try:
            values = _open_array(self.path)[int(name)]
        except IndexError:
            raise InputError(f"{self.path}: image {name} no longer exists. Run dvc repro.") from None
        pixels = _to_rgb(np.rint(values.astype(np.float64) * self.scale).astype(np.uint8))
        if checksum is not None and _checksum(pixels) != checksum:
            raise InputError(f"{self.path}: image {name} has changed since the manifest was written. Run dvc repro.")
        return pixels


ImageSource = FolderImages | ArrayImages


def open_images(path: Path, links: Collection[Path] = ()) -> ImageSource:
    """Open a folder of images or a ``.npy`` array of images.

    Parameters
    ----------
    path : Path
        A folder; or an array of shape (images, height, width) or (images, height, width, channels) with 1, 3 or 4
        channels. Its values, which are all scanned once, may be bool; integers from 0 to 255; uint16 up to 65535,
        divided by 257 if any is above 255; or floating-point numbers, all from 0 to 1 or all from 0 to 255.
    links : collection of Path
        Folders that links in a folder may lead into; see `counterweight.images.folder_scan.scan_folder`.

    Returns
    -------
    FolderImages or ArrayImages
        Holds no pixels, so it is cheap to send to worker processes.

    Raises
    ------
    InputError
        If the folder or array does not exist, or the array does not hold images.
    """
    if path.suffix.lower() == ".npy":
        array = _open_array(path)
        return ArrayImages(path, len(array), _scale_factor(array, path))
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder. Set data.images in params.yaml to the images' folder.")
    return FolderImages(path, tuple(links))


def zero_padded(number: int, count: int) -> str:
    """Format a number from 0 to ``count - 1`` with leading zeros, all to the same length.

    Examples
    --------
    >>> zero_padded(7, 10), zero_padded(7, 11), zero_padded(7, 1000)
    ('7', '07', '007')
    """
    return str(number).zfill(len(str(count - 1)))


def _open_array(path: Path) -> NDArray[Any]:
    """Map an array of images from disk."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Set data.images in params.yaml to your array.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an array of images: {error}. Write it with numpy.save.") from None
    if not isinstance(array, np.memmap) or array.dtype.kind not in "buif":
        raise InputError(f"{path}: not an array of numbers. Write one with numpy.save.")
    if not array.size:
        raise InputError(f"{path}: not an array of images: its shape is {array.shape}. Give at least one image.")
    if array.ndim not in {3, 4} or (array.ndim == 4 and array.shape[3] not in {1, 3, 4}):
        raise InputError(
            f"{path}: an array of images has the shape (images, height, width), or (images, height, width, channels) "
            f"with 1, 3 or 4 channels, not {array.shape}. Bring its axes into that order with numpy.moveaxis."
        )
    return array


def _scale_factor(array: NDArray[Any], path: Path) -> float:
    """Validate an array's values and return the factor that maps them to 0..255."""
    kind = array.dtype.kind
    if kind == "b":
        return 255.0
    limit = 65_535 if kind == "u" and array.dtype.itemsize == 2 else 255
    lows, highs = zip(*((block.min(), block.max()) for _, block in _blocks(array)), strict=True)
    lowest, highest = np.min(lows), np.max(highs)
    if not (lowest >= 0 and highest <= limit):  # True for NaN
        rule = f"Values are integers from 0 to {limit}, or floating-point numbers from 0 to 1 or 255."
        _refuse(array, path, limit, rule, "Replace, clip or scale them.")
    if kind == "f" and 1 < highest < 2:
        # Probably rounding errors in values from 0 to 1; read as 0 to 255, every image would be black.
        rule = "Floating-point values are all from 0 to 1, or all from 0 to 255 and some of them 2 or more."
        _refuse(array, path, 1, rule, "Clip or multiply them.")
    if kind == "f":
        return 255.0 if highest <= 1 else 1.0
    return 1 / 257 if highest > 255 else 1.0  # 65535 / 257 = 255


def _blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield blocks of images, each with the index of its first image."""
    step = max(BLOCK_BYTES // max(array[0].nbytes, 1), 1)
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def _refuse(array: NDArray[Any], path: Path, limit: int, rule: str, fix: str) -> None:
    """Raise an error that names the first value that is not from 0 to the limit."""
    for start, block in _blocks(array):
        wrong = ~((block >= 0) & (block <= limit))
        if wrong.any():
            index = np.unravel_index(int(wrong.argmax()), block.shape)
            raise InputError(f"{path}: image {start + index[0]} holds {block[index]}. {rule} {fix}")


def _to_rgb(values: Pixels) -> Pixels:
    if values.ndim == 3 and values.shape[2] == 4:
        return codec.flatten_alpha(Image.fromarray(values))
    height, width = values.shape[:2]
    return np.ascontiguousarray(np.broadcast_to(values.reshape(height, width, -1), (height, width, 3)))


def _checksum(pixels: Pixels) -> str:
    """Return the SHA-256 of an image's shape and pixels, in hexadecimal."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
