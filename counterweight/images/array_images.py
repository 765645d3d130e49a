"""Images in one array."""

import hashlib
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import Pixels, TargetSize
from counterweight.images.image_check import ImageCheck
from counterweight.images.perceptual_hash import perceptual_hashes

# Bytes of an array to scan at a time, since it may be larger than memory.
BLOCK_BYTES = 2**26
# What numpy raises for headers that are damaged: they are parsed as Python, and shapes are multiplied.
_UNREADABLE = (
    OSError, ValueError, EOFError, OverflowError, SyntaxError, RecursionError, MemoryError, TypeError,
    tokenize.TokenError,
)  # fmt: skip


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

    def near(self, image_ids: Sequence[str], taken: Collection[str] = (), *, other_folders: bool = False) -> list[str]:
        """Return no image: a number is an image's or it is not."""
        return [""] * len(image_ids)

    def check(self, name: str, max_pixels: int) -> ImageCheck:
        """Hash an image; `open_images` has already validated its values."""
        pixels = self.read(name)
        image_hash, mirrored = perceptual_hashes(pixels)
        return ImageCheck(_checksum(pixels), image_hash, None, mirrored=mirrored)

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


def open_array(path: Path, named: str = "data.images in params.yaml") -> ArrayImages:
    """Open an array and validate its values; see `counterweight.images.sources.open_images`."""
    array = _open_array(path, named)
    return ArrayImages(path, len(array), _scale_factor(array, path))


def zero_padded(number: int, count: int) -> str:
    """Format a number from 0 to ``count - 1`` with leading zeros, all to the same length.

    Examples
    --------
    >>> zero_padded(7, 10), zero_padded(7, 11), zero_padded(7, 1000)
    ('7', '07', '007')
    """
    return str(number).zfill(len(str(count - 1)))


def _open_array(path: Path, named: str = "data.images in params.yaml") -> NDArray[Any]:
    """Map an array of images from disk."""
    if path.exists() and not path.is_file():  # To open a pipe would wait for good.
        raise InputError(f"{path}: is no regular file. Set {named} to your array.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Set {named} to your array.") from None
    except _UNREADABLE as error:
        raise InputError(f"{path}: not an array of images: {error!s:.200}. Write it with numpy.save.") from None
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
