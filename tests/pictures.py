"""Single-color images for tests."""

import struct

import numpy as np

from counterweight.images.geometry import Pixels

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def of_color(color: tuple[int, int, int], height: int, width: int) -> Pixels:
    return np.full((height, width, 3), color, np.uint8)


def tiff_with_four_bands(extra_samples: int | None) -> tuple[bytes, Pixels]:
    """A TIFF of 8 x 8 pixels whose fourth band is what its tag says, and the first three."""
    bands = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    short, long = 3, 4
    tags = [
        (256, short, 1, 8), (257, short, 1, 8), (258, short, 4, None), (259, short, 1, 1), (262, short, 1, 2),
        (273, long, 1, None), (277, short, 1, 4), (278, short, 1, 8), (279, long, 1, 256),
    ]  # fmt: skip
    if extra_samples is not None:
        tags.append((338, short, 1, extra_samples))
    after = 8 + 2 + 12 * len(tags) + 4
    values = {258: after, 273: after + 8}
    entries = b"".join(
        struct.pack("<HHII", tag, kind, count, values.get(tag, value)) for tag, kind, count, value in tags
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head + struct.pack("<4H", 8, 8, 8, 8) + bands.tobytes(), bands[..., :3]
