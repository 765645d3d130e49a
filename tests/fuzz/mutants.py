"""Damage image files at random, and read each as the pipeline does.

    python -m tests.fuzz.mutants FOLDER FORMAT COUNT SEED

Prints, as JSON, how many were taken, refused when they were checked, and refused when they were decoded. Ends with a
traceback if a file ends in anything but a picture or an error that names it, and by a signal if one takes more than ten
seconds or crashes the decoder. The process may take no more than `MOST_MEMORY`.
"""

import io
import json
import random
import resource
import signal
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.images.sources import FolderImages

SECONDS = 10
MOST_MEMORY = 2 * 2**30
MOST_PIXELS = 10**7

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
SMOOTH = Image.fromarray(PIXELS).resize((96, 64), Image.Resampling.BICUBIC)
DEEP = Image.fromarray(np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


EXIF = Image.Exif()
EXIF[274] = 6
SEEDS: dict[str, list[bytes]] = {
    "JPEG": [
        saved(SMOOTH, "JPEG", exif=EXIF), saved(SMOOTH, "JPEG", progressive=True), saved(SMOOTH.convert("L"), "JPEG"),
        saved(SMOOTH.convert("CMYK"), "JPEG"),
    ],
    "PNG": [
        saved(SMOOTH, "PNG"), saved(SMOOTH.quantize(16), "PNG"), saved(SMOOTH.convert("LA"), "PNG"), saved(DEEP, "PNG"),
        saved(SMOOTH, "PNG", exif=EXIF),
    ],
    "WEBP": [saved(SMOOTH, "WEBP"), saved(SMOOTH, "WEBP", lossless=True), saved(SMOOTH.convert("RGBA"), "WEBP")],
    "BMP": [saved(SMOOTH, "BMP"), saved(SMOOTH.quantize(16), "BMP"), saved(SMOOTH.convert("1"), "BMP")],
    "TIFF": [
        saved(SMOOTH, "TIFF"), saved(DEEP, "TIFF"), saved(SMOOTH, "TIFF", compression="tiff_lzw"),
        saved(SMOOTH, "TIFF", compression="tiff_adobe_deflate"), saved(SMOOTH, "TIFF", compression="jpeg"),
        saved(SMOOTH, "TIFF", save_all=True, append_images=[SMOOTH]),
    ],
    "GIF": [saved(SMOOTH.quantize(16), "GIF"), saved(SMOOTH, "GIF", save_all=True, append_images=[SMOOTH.rotate(90)])],
    "AVIF": [saved(SMOOTH, "AVIF"), saved(SMOOTH.convert("RGBA"), "AVIF")],
}  # fmt: skip


def flip(data: bytearray, rng: random.Random) -> None:
    """Change a few bytes."""
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def spoil_header(data: bytearray, rng: random.Random) -> None:
    """Change bytes among the first, where sizes and kinds stand."""
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(min(len(data), 200))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))


def cut(data: bytearray, rng: random.Random) -> None:
    """Cut the end off."""
    del data[rng.randrange(len(data)) :]


def take_out(data: bytearray, rng: random.Random) -> None:
    """Take a piece out."""
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 64)]


def repeat(data: bytearray, rng: random.Random) -> None:
    """Put a piece in a second time, somewhere else."""
    start = rng.randrange(len(data))
    place = rng.randrange(len(data))
    data[place:place] = data[start : start + rng.randint(1, 64)]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, spoil_header, cut, take_out, repeat)


def mutant(format: str, rng: random.Random) -> bytes:
    """A damaged file."""
    data = bytearray(rng.choice(SEEDS[format]))
    for _ in range(rng.randint(1, 3)):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    if format == "PNG" and rng.random() < 0.7:
        mend_checksums(data)
    return bytes(data)


def mend_checksums(data: bytearray) -> None:
    """Make the checksums of a PNG's chunks fit what was damaged, or no damage would come as far as the decoder."""
    start = 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        data[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")
        start = end + 4


def outcome(source: FolderImages, name: str) -> str:
    """What becomes of a file."""
    # An image that needs more memory than this process may have is an InputError here, and so the end of the process.
    checked = source.check(name, MOST_PIXELS)
    if checked.problem is not None:
        assert name in checked.problem, checked.problem
        return "refused"
    try:
        pixels = source.read(name, checked.checksum)
    except InputError as error:
        return "refused when decoded" if name in str(error) else f"refused without its name: {error}"
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return "taken"


def main(folder: Path, format: str, count: int, seed: int) -> None:
    """Try so many mutants of a format."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    rng, source, found = random.Random(f"{format} {seed}"), FolderImages(folder), Counter[str]()
    for _ in range(count):
        # The file that is being tried when the process ends is the one to look at.
        (folder / f"mutant.{format.lower()}").write_bytes(mutant(format, rng))
        signal.alarm(SECONDS)
        found[outcome(source, f"mutant.{format.lower()}")] += 1
        signal.alarm(0)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
