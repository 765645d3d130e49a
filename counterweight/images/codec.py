"""Images as files: what may come in, how it becomes plain RGB, and how it is written."""

import hashlib
import io
import os
import warnings
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features

from counterweight.base.errors import InputError, raise_problems
from counterweight.base.timing import spent
from counterweight.images.geometry import Pixels, Wanted, reduction
from counterweight.runtime.file_links import link_or_copy

# What the pixels and the bytes of a written image depend on, beside this module.
PACKAGES = ("numpy", "opencv-python-headless", "pillow")

# Pillow warns of half the pixels that it refuses; `examine` is asked before.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

# AVIF where this Pillow was built with it, as those from the Python index are since 11.3.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", *(["AVIF"] if features.check("avif") else []))
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})

# Pixels that a side of a sketch has at least, if the image has them.
SKETCH = 128

# What is said of an image that is fine, on a machine that is not: it is never dropped for that.
TOO_LITTLE_MEMORY = (
    "decoding it needs more memory than there is. Set COUNTERWEIGHT_WORKERS to fewer, or data.max_pixels lower."
)

# Full colour resolution: on small images the usual halving blurs a sixteenth of the picture into each colour sample.
_ENCODING = {
    "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
}
# EXIF orientations of a picture that lies on its side.
_ON_SIDE = (5, 6, 7, 8)
# OpenCV's names for a JPEG at a part of its size, which its decoder gives from a part of the coefficients.
# Beside IMREAD_COLOR_RGB, which OpenCV 5 lets no other flag of colour stand with; these say the reduction alone.
_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


def image_files(folder: Path) -> list[str]:
    """Paths of all image files in a folder and below, relative to it, with forward slashes, sorted."""
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    raise_problems(
        [
            f"the file name {os.fsencode(name)!r} is not UTF-8, so no table can hold it. Rename the file."
            for name in found
            if not name.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in name)
        ],
        str(folder),
    )
    return found


def checksum(data: bytes) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def examine(data: bytes, max_pixels: int) -> tuple[str | None, Pixels | None]:
    """Read a file's bytes to the last one, and say what is wrong with them or give a sketch of the image.

    Parameters
    ----------
    data : bytes
        The file's content.
    max_pixels : int
        Most pixels, by the file's header: a small file may claim an image that no memory holds.

    Returns
    -------
    problem : str or None
        Why they are no image that `decode` takes.
    sketch : array of uint8, shape (h, w, 3), or None
        The image as `decode` shows it, of a JPEG perhaps at a smaller scale, which is much faster; None if there is a
        problem.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                size = f"{image.width} x {image.height}"
                return f"has {size} pixels, more than the {max_pixels} of data.max_pixels", None
            # Decoding a JPEG at an eighth of its size still reads all of it, and so finds a file that was cut off.
            image.draft("RGB", (SKETCH, SKETCH))
            image.load()
            if image.mode == "F":
                return "holds floating-point pixels", None
            return None, _upright(_reduced(image))
    except UnidentifiedImageError:
        return f"is not an image ({', '.join(FORMATS)})", None
    except MemoryError:
        raise
    except Exception as error:  # Each decoder raises what it likes for a damaged file, and none says what.
        return f"cannot be decoded: {_said(error)}", None


def decode(data: bytes, wanted: Wanted | None = None) -> Pixels:
    """Decode an image file the way a viewer shows it.

    EXIF orientation is applied, palettes are looked up, CMYK is converted, 16 bits become 8, and what is transparent
    shows a white page. Of an animation or a file of several pages, the first is taken.

    Parameters
    ----------
    data : bytes
        The file's content, in one of `FORMATS`.
    wanted : Wanted, optional
        To what it will be resized: a JPEG may then come at a half, a quarter or an eighth of its size, but not smaller
        than that. It saves most of the time that a large photograph takes; after resizing, the pixels of photographs
        are on the mean less than 4 of 255 levels from those that Pillow gives.

    Returns
    -------
    array of uint8, shape (height, width, 3)
        RGB.

    Raises
    ------
    Exception
        If it cannot be decoded; of which kind is up to the decoder.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format == "JPEG" and image.mode in {"RGB", "L"}:
            lies = image.getexif().get(ExifTags.Base.Orientation) in _ON_SIDE
            size = (image.height, image.width) if lies else image.size
            factor = 1 if wanted is None else reduction(size, wanted)
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | _REDUCED[factor])
            if pixels is None:
                raise OSError("not a JPEG that can be decoded")
            return np.asarray(pixels, dtype=np.uint8)
        return _upright(image)


def _reduced(image: Image.Image) -> Image.Image:
    """A large image at a smaller scale, before it becomes several others on its way to RGB."""
    factor = min(image.size) // SKETCH
    if factor < 2 or image.mode not in {"L", "LA", "RGB", "RGBA", "CMYK"}:
        return image
    ImageOps.exif_transpose(image, in_place=True)
    return image.reduce(factor)


def _upright(image: Image.Image) -> Pixels:
    """An image turned as EXIF says, as plain RGB."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        deep = np.asarray(upright).astype(np.uint32)
        grey = np.clip((deep + 128) // 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return on_white(upright) if upright.has_transparency_data else np.array(upright.convert("RGB"))


def on_white(image: Image.Image) -> Pixels:
    """An image with transparency as a white page shows it."""
    colour = image.convert("RGBA")
    page = Image.new("RGBA", colour.size, "white")
    return np.array(Image.alpha_composite(page, colour).convert("RGB"))


def read(path: Path, expected: str | None = None, wanted: Wanted | None = None) -> Pixels:
    """Read an image file.

    Parameters
    ----------
    path : Path
        The file.
    expected : str, optional
        The checksum that the manifest has for it.
    wanted : Wanted, optional
        As in `decode`.

    Raises
    ------
    InputError
        If the file is missing, is not what the manifest says, or cannot be decoded.
    """
    try:
        with spent("decode"):
            return decode(content(path, expected), wanted)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: {TOO_LITTLE_MEMORY}") from None
    except Exception as error:
        raise InputError(f"{path}: cannot be decoded: {_said(error)}. Replace the file, or delete its row.") from None


def content(path: Path, expected: str | None = None) -> bytes:
    """The bytes of a file of the manifest.

    Parameters
    ----------
    path : Path
        The file.
    expected : str, optional
        The checksum that the manifest has for it.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, or is not what the manifest says.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: the file of the manifest is not there. Put it back, or run dvc repro.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Replace the file, or delete its row.") from None
    if expected is not None and checksum(data) != expected:
        raise InputError(f"{path}: the file has changed since the manifest was written. Run dvc repro.")
    return data


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def write(pixels: Pixels, path: Path, format: str) -> str:
    """Write an RGB image and return the checksum of the file.

    Parameters
    ----------
    pixels : array of uint8, shape (height, width, 3)
        RGB.
    path : Path
        The file; its folder is made.
    format : str
        ``jpg`` (quality 95, full colour resolution) or ``png``.
    """
    with spent("encode and write"):
        ok, encoded = cv2.imencode(f".{format}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _ENCODING[format])
        if not ok:
            raise RuntimeError(f"OpenCV could not encode {path}")
        data = encoded.tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # It may be a link to a file that others hold.
        path.write_bytes(data)
        return checksum(data)


def duplicate(source: Path, expected: str, target: Path) -> str:
    """Copy a file of the manifest as it is, and return its checksum; raises as `read` does."""
    read(source, expected)
    target.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(source, target)
    return expected


def file_name(path: str, format: str) -> str:
    """Name of an image's file in another format: the same name, with a suffix added where its own is another.

    Adding, not replacing, keeps ``a.png`` and ``a.jpg`` apart.

    Examples
    --------
    >>> file_name("sea/a.JPEG", "jpg"), file_name("sea/a.tif", "jpg")
    ('sea/a.JPEG', 'sea/a.tif.jpg')
    """
    same = {"jpg": {".jpg", ".jpeg"}, "png": {".png"}}[format]
    return path if PurePosixPath(path).suffix.lower() in same else f"{path}.{format}"
