"""Damage image files at random, and read them as the pipeline does.

    python -m tests.fuzz.mutants FOLDER FORMAT COUNT SEED

Prints, as JSON, how many were accepted, refused by the check, and refused by the decoder. Ends with a traceback if a
file yields anything but an image or an error that names it, and with a signal if one takes more than ten seconds or
crashes the decoder. The process may use at most `MOST_MEMORY`.
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
from counterweight.images.folder_images import FolderImages

SECONDS = 10
MOST_MEMORY = 2 * 2**30
MOST_PIXELS = 10**7

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
SMOOTH = Image.fromarray(PIXELS).resize((96, 64), Image.Resampling.BICUBIC)
DEEP = Image.fromarray(np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80)


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    """Encode an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


EXIF = Image.Exif()
EXIF[274] = 6
SEEDS: dict[str, list[bytes]] = {
    "JPEG": [
        encode(SMOOTH, "JPEG", exif=EXIF), encode(SMOOTH, "JPEG", progressive=True),
        encode(SMOOTH.convert("L"), "JPEG"), encode(SMOOTH.convert("CMYK"), "JPEG"),
    ],
    "PNG": [
        encode(SMOOTH, "PNG"), encode(SMOOTH.quantize(16), "PNG"), encode(SMOOTH.convert("LA"), "PNG"),
        encode(DEEP, "PNG"), encode(SMOOTH, "PNG", exif=EXIF),
    ],
    "WEBP": [encode(SMOOTH, "WEBP"), encode(SMOOTH, "WEBP", lossless=True), encode(SMOOTH.convert("RGBA"), "WEBP")],
    "BMP": [encode(SMOOTH, "BMP"), encode(SMOOTH.quantize(16), "BMP"), encode(SMOOTH.convert("1"), "BMP")],
    "TIFF": [
        encode(SMOOTH, "TIFF"), encode(DEEP, "TIFF"), encode(SMOOTH, "TIFF", compression="tiff_lzw"),
        encode(SMOOTH, "TIFF", compression="tiff_adobe_deflate"), encode(SMOOTH, "TIFF", compression="jpeg"),
        encode(SMOOTH, "TIFF", save_all=True, append_images=[SMOOTH]),
    ],
    "GIF": [
        encode(SMOOTH.quantize(16), "GIF"), encode(SMOOTH, "GIF", save_all=True, append_images=[SMOOTH.rotate(90)]),
    ],
    "AVIF": [encode(SMOOTH, "AVIF"), encode(SMOOTH.convert("RGBA"), "AVIF")],
}  # fmt: skip


def flip(data: bytearray, rng: random.Random) -> None:
    """Change a few bytes."""
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def spoil_header(data: bytearray, rng: random.Random) -> None:
    """Change bytes of the header, which has sizes and types."""
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(min(len(data), 200))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))


def cut(data: bytearray, rng: random.Random) -> None:
    """Truncate the file."""
    del data[rng.randrange(len(data)) :]


def remove(data: bytearray, rng: random.Random) -> None:
    """Remove a piece."""
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 64)]


def repeat(data: bytearray, rng: random.Random) -> None:
    """Insert a copy of a piece somewhere else."""
    start = rng.randrange(len(data))
    target = rng.randrange(len(data))
    data[target:target] = data[start : start + rng.randint(1, 64)]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, spoil_header, cut, remove, repeat)


def mutant(format: str, rng: random.Random) -> bytes:
    """Return a damaged file."""
    data = bytearray(rng.choice(SEEDS[format]))
    for _ in range(rng.randint(1, 3)):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    if format == "PNG" and rng.random() < 0.7:
        fix_checksums(data)
    return bytes(data)


def fix_checksums(data: bytearray) -> None:
    """Update the checksums of a PNG's chunks, without which no damage would reach the decoder."""
    start = 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        data[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")
        start = end + 4


def outcome(source: FolderImages, name: str) -> str:
    """Check and decode a file."""
    # An image that needs more memory than allowed raises InputError here, which ends the process.
    check = source.check(name, MOST_PIXELS)
    if check.problem is not None:
        assert name in check.problem, check.problem
        return "refused"
    try:
        pixels = source.read(name, check.checksum)
    except InputError as error:
        return "refused when decoded" if name in str(error) else f"refused without its name: {error}"
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return "accepted"


def main(folder: Path, format: str, count: int, seed: int) -> None:
    """Try a number of mutants of a format."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    rng, source, outcomes = random.Random(f"{format} {seed}"), FolderImages(folder), Counter[str]()
    for _ in range(count):
        # If the process crashes, this is the file that caused it.
        (folder / f"mutant.{format.lower()}").write_bytes(mutant(format, rng))
        signal.alarm(SECONDS)
        outcomes[outcome(source, f"mutant.{format.lower()}")] += 1
        signal.alarm(0)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
