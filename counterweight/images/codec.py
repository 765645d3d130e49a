"""Decode image files to RGB and encode them."""

import hashlib
import io
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features
from PIL.TiffImagePlugin import TiffImageFile

from counterweight.base.errors import InputError
from counterweight.base.timing import timed
from counterweight.images.geometry import Pixels, TargetSize, jpeg_reduction
from counterweight.runtime.file_links import link_or_copy

# HEIC needs the extra heif.
HAS_HEIF = find_spec("pillow_heif") is not None
if HAS_HEIF:
    import_module("pillow_heif").register_heif_opener()

# Packages that decide the pixels and bytes of a written image.
PACKAGES = ("numpy", "opencv-python-headless", "pillow", *(["pillow-heif"] if HAS_HEIF else []))

# Pillow warns at half the pixels that it refuses; `validate_bytes` checks the size first.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

# Pillow's wheels on PyPI support AVIF since 11.3.
FORMATS = (
    "JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", *(["AVIF"] if features.check("avif") else []),
    *(["HEIF"] if HAS_HEIF else []),
)  # fmt: skip
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm",
     ".pbm", ".pnm", *([".heic", ".heif"] if HAS_HEIF else [])}
)  # fmt: skip

# Minimum side of a sketch in pixels, unless the image is smaller.
SKETCH_SIDE = 128

_SAMPLES, _EXTRA_SAMPLES = 277, 338  # TIFF's tags

# Reported as an error of the machine: the image may be fine, so it is never dropped as unreadable.
OUT_OF_MEMORY = (
    "decoding this image needs more memory than is available. Set COUNTERWEIGHT_WORKERS or data.max_pixels lower."
)

# Full color resolution: in small images, the usual subsampling visibly blurs colors.
_ENCODING = {
    "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
}
# Flags that decode a JPEG at reduced size. The grayscale ones, since OpenCV 5 combines IMREAD_COLOR_RGB with no other
# color flag; combined with it, they set the reduction alone.
_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


def checksum(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def validate_bytes(data: bytes, max_pixels: int) -> tuple[str | None, Pixels | None]:
    """Check that an image file can be decoded to its last byte.

    Parameters
    ----------
    data : bytes
        The file's content.
    max_pixels : int
        Most pixels that the file's header may claim, since a small file can claim more than memory holds.

    Returns
    -------
    problem : str or None
        Why `decode` cannot read the file.
    sketch : array of uint8, shape (h, w, 3), or None
        The image as RGB, possibly reduced, which is much faster for a JPEG; None if there is a problem.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                return f"has {image.width} x {image.height} pixels, more than the {max_pixels} of data.max_pixels", None
            # A JPEG decoded at reduced size is still read to the end, which detects a truncated file.
            image.draft("RGB", (SKETCH_SIDE, SKETCH_SIDE))
            image.load()
            if image.mode == "F":
                return "holds floating-point pixels", None
            return None, _to_upright_rgb(_shrink(image))
    except UnidentifiedImageError:
        return f"is not an image ({', '.join(FORMATS)})", None
    except MemoryError:
        raise
    except Exception as error:  # Decoders document no common exception for damaged files.
        return f"cannot be decoded: {_reason(error)}", None


def decode(data: bytes, target: TargetSize | None = None) -> Pixels:
    """Decode an image file the way a viewer shows it.

    EXIF orientation is applied, palettes are looked up, CMYK is converted, 16 bits become 8, and transparency shows a
    white background. A fourth band that is not marked as transparency, such as infrared, is dropped. Only the first
    frame or page is read. Damaged files raise whatever their decoder raises.

    Parameters
    ----------
    data : bytes
        The file's content, in one of `FORMATS`.
    target : TargetSize, optional
        Size that the image will be resized to. A JPEG may then be decoded at a half, a quarter or an eighth of its
        size, but no smaller than the target, which saves most of the time of a large photograph; after resizing, pixels
        of photographs differ from Pillow's by less than 4 of 255 levels on average.

    Returns
    -------
    array of uint8, shape (height, width, 3)
        RGB.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format == "JPEG" and image.mode in {"RGB", "L"}:
            sideways = image.getexif().get(ExifTags.Base.Orientation) in {5, 6, 7, 8}  # width and height swapped
            size = (image.height, image.width) if sideways else image.size
            factor = 1 if target is None else jpeg_reduction(size, target)
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | _REDUCED[factor])
            if pixels is None:
                raise OSError("damaged JPEG")
            return np.asarray(pixels, dtype=np.uint8)
        return _to_upright_rgb(image)


def has_unmarked_band(image: Image.Image) -> bool:
    """Whether a TIFF has a fourth band without a tag that says what it is, which Pillow takes for transparency."""
    return isinstance(image, TiffImageFile) and image.mode == "RGBA" and _EXTRA_SAMPLES not in image.tag_v2


def drops_band(image: Image.Image) -> bool:
    """Whether a TIFF has a band that is neither color nor marked as transparency, and so is not read."""
    if not isinstance(image, TiffImageFile):
        return False
    return has_unmarked_band(image) or image.tag_v2.get(_SAMPLES, 1) > len(image.getbands())


def _shrink(image: Image.Image) -> Image.Image:
    """Shrink a large image before its conversion to RGB, which makes several copies."""
    factor = min(image.size) // SKETCH_SIDE
    if factor < 2 or image.mode not in {"L", "LA", "RGB", "RGBA", "CMYK"}:
        return image
    is_opaque = has_unmarked_band(image)
    ImageOps.exif_transpose(image, in_place=True)
    return (Image.merge("RGB", image.split()[:3]) if is_opaque else image).reduce(factor)


def _to_upright_rgb(image: Image.Image) -> Pixels:
    """Apply the EXIF orientation and convert to RGB."""
    upright = ImageOps.exif_transpose(image)
    if has_unmarked_band(image):
        upright = Image.merge("RGB", upright.split()[:3])
    if upright.mode.startswith("I"):
        deep = np.asarray(upright).astype(np.uint32)
        gray = np.clip((deep + 128) // 257, 0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    return flatten_alpha(upright) if upright.has_transparency_data else np.array(upright.convert("RGB"))


def flatten_alpha(image: Image.Image) -> Pixels:
    """Composite an image with transparency on a white background, as RGB."""
    color = image.convert("RGBA")
    page = Image.new("RGBA", color.size, "white")
    return np.array(Image.alpha_composite(page, color).convert("RGB"))


def read(path: Path, expected_checksum: str | None = None, target: TargetSize | None = None) -> Pixels:
    """Read and `decode` an image file.

    Raises
    ------
    InputError
        As `read_bytes`, or if the file cannot be decoded.
    """
    try:
        with timed("decode"):
            return decode(read_bytes(path, expected_checksum), target)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: {OUT_OF_MEMORY}") from None
    except Exception as error:
        raise InputError(f"{path}: cannot be decoded: {_reason(error)}. Replace the file, or delete its row.") from None


def read_bytes(path: Path, expected_checksum: str | None = None) -> bytes:
    """Read a file and verify its checksum, if given.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, or does not have the manifest's checksum.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: listed in the manifest, but missing. Put it back, or run dvc repro.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Replace the file, or delete its row.") from None
    if expected_checksum is not None and checksum(data) != expected_checksum:
        raise InputError(f"{path}: the file has changed since the manifest was written. Run dvc repro.")
    return data


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def write(pixels: Pixels, path: Path, format: str) -> str:
    """Write an RGB image, shape (height, width, 3), creating missing folders, and return the checksum of the file.

    ``format`` is ``jpg`` (quality 95, full color resolution) or ``png``.
    """
    with timed("encode and write"):
        ok, encoded = cv2.imencode(f".{format}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _ENCODING[format])
        if not ok:
            raise RuntimeError(f"OpenCV could not encode {path}")
        data = encoded.tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # Writing through a hard link would change other copies.
        path.write_bytes(data)
        return checksum(data)


def copy_file(source: Path, expected: str, target: Path) -> str:
    """Copy an image file unchanged and return its checksum; raise as `read` does."""
    read(source, expected)
    target.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(source, target)
    return expected


def output_name(path: str, format: str) -> str:
    """Return the name of an image's file in another format, adding a suffix if its own differs.

    The suffix is added, not replaced, to keep ``a.png`` and ``a.jpg`` apart.

    Examples
    --------
    >>> output_name("sea/a.JPEG", "jpg"), output_name("sea/a.tif", "jpg")
    ('sea/a.JPEG', 'sea/a.tif.jpg')
    """
    suffixes = {"jpg": {".jpg", ".jpeg"}, "png": {".png"}}[format]
    return path if PurePosixPath(path).suffix.lower() in suffixes else f"{path}.{format}"
