"""Single-color images for tests."""

import numpy as np

from counterweight.images.geometry import Pixels

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def of_color(color: tuple[int, int, int], height: int, width: int) -> Pixels:
    return np.full((height, width, 3), color, np.uint8)
