"""Median filter by a sorting network that neighboring windows share, with the bytes of ``cv2.medianBlur``.

For windows of 7 x 7 and more, OpenCV's median filter dominates the time of a copy; this one needs a third to two thirds
of it. The method is that of Adams, Fast Median Filters using Separable Sorting Networks, ACM Transactions on Graphics
40 (4), 2021: the windows of all pixels of a tile have most values in common. These are sorted once, values too small or
too large to be a median are dropped, and each half of the tile continues from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from counterweight.augmentation.sorting_network import Network, Plane, Program, Run, Value, program
from counterweight.images.geometry import Pixels

# Window sides and the minimum number of pixels for which this is faster than OpenCV, which has networks of its own for
# smaller windows and does not pay for a thousand NumPy calls per image.
SIDES = (7, 9, 11)
MIN_PIXELS = 200 * 200
# Rows and columns of a tile: among powers of two, about the fewest comparisons per pixel.
TILE = (2, 4)
# Tiles per band, each a byte in a hundred planes and more: some megabytes for an image of any size.
_BAND_TILES = 1 << 17


@dataclass(frozen=True)
class _Tile:
    """What the windows around the pixels of a tile, or of a part of it, have in common.

    ``core`` holds those of the ``n_shared`` values in all windows that may still be a median; ``n_below`` were dropped
    as too small. ``lines`` are the rows that only some windows contain, by position, cut to the columns of all windows;
    and the columns, likewise.
    """

    start: tuple[int, int]
    size: tuple[int, int]
    core: Run
    n_shared: int
    n_below: int
    lines: tuple[Mapping[int, Run], Mapping[int, Run]]


def _pixel(row: int, column: int) -> Value:
    """A pixel relative to the first of its tile; the first pixels of all tiles form a plane, and so on."""
    (tiles_down, y), (tiles_right, x) = divmod(row, TILE[0]), divmod(column, TILE[1])
    return Value(y * TILE[1] + x, tiles_down, tiles_right)


def _candidates(core: Run, n_shared: int, n_below: int, side: int) -> tuple[Run, int, int]:
    """Drop from a core what cannot be the median of any window; return it with ``n_shared`` and ``n_below``."""
    middle = (side * side + 1) // 2
    first, last = max(n_shared - middle, 0), min(middle, n_shared)
    return core[first - n_below : last - n_below], n_shared, first


def _whole_tile(network: Network, side: int) -> _Tile:
    reach = side // 2
    rows, columns = (range(size - 1 - reach, reach + 1) for size in TILE)  # In all windows.
    all_rows, all_columns = (range(-reach, size + reach) for size in TILE)
    by_column = {x: network.sorted([_pixel(y, x) for y in rows]) for x in all_columns}
    by_row = {y: network.sorted([_pixel(y, x) for x in columns]) for y in all_rows if y not in rows}
    core = network.merged([by_column.pop(x) for x in columns])
    return _Tile((0, 0), TILE, *_candidates(core, len(core), 0, side), (by_row, by_column))


def _half(network: Network, tile: _Tile, axis: int, start: int, side: int) -> _Tile:
    """The half of a tile that begins at row (axis 0) or column (axis 1) ``start``."""
    reach, length = side // 2, tile.size[axis] // 2
    lines, crossing = tile.lines[axis], tile.lines[1 - axis]
    new = [at for at in range(start + length - 1 - reach, start + reach + 1) if at in lines]
    kept = {at: run for at, run in lines.items() if start - reach <= at < start + length + reach and at not in new}
    longer = {}
    for across, run in crossing.items():
        pixels = [_pixel(at, across) if axis == 0 else _pixel(across, at) for at in new]
        longer[across] = network.merged([run, network.sorted(pixels)])
    added = network.merged([lines[at] for at in new])
    core = _candidates(network.merged([tile.core, added]), tile.n_shared + len(added), tile.n_below, side)
    if axis == 0:
        return _Tile((start, tile.start[1]), (length, tile.size[1]), *core, (kept, longer))
    return _Tile((tile.start[0], start), (tile.size[0], length), *core, (longer, kept))


def _medians(network: Network, tile: _Tile, side: int) -> dict[tuple[int, int], Value]:
    """The median of each pixel of a tile, by row and column."""
    if tile.size == (1, 1):
        return {tile.start: tile.core[0]}
    axis = 1 if tile.size[1] >= tile.size[0] else 0
    starts = (tile.start[axis], tile.start[axis] + tile.size[axis] // 2)
    first, second = (_medians(network, _half(network, tile, axis, start, side), side) for start in starts)
    return first | second


@cache
def _program(side: int) -> Program:
    """From the pixels of a tile to their medians, both row by row."""
    network = Network(TILE[0] * TILE[1])
    medians = _medians(network, _whole_tile(network, side), side)
    return program(network, [medians[pixel] for pixel in sorted(medians)])


def median_blur(pixels: Pixels, side: int) -> Pixels:
    """Replace each pixel by the median of the window around it, per channel.

    Parameters
    ----------
    pixels : array of uint8, shape (height, width, n_channels)
        The image; its edge pixels are repeated beyond the edge.
    side : int
        Side of the window in pixels, odd and at least 3.

    Returns
    -------
    array of uint8, shape (height, width, n_channels)
        The bytes of ``cv2.medianBlur``.
    """
    height, width, channels = pixels.shape
    if side not in SIDES or height * width < MIN_PIXELS:
        return np.asarray(cv2.medianBlur(pixels, side), np.uint8).reshape(pixels.shape)
    # On each side as many whole tiles as a window reaches; below and to the right also the rest of the last tile.
    down, right = (-(-(side // 2) // length) * length for length in TILE)
    below, beside = down + -height % TILE[0], right + -width % TILE[1]
    # The channels one below the other, each with its own border.
    padded = np.vstack(
        [cv2.copyMakeBorder(channel, down, below, right, beside, cv2.BORDER_REPLICATE) for channel in cv2.split(pixels)]
    )
    blurred = np.empty_like(padded)
    band = max(_BAND_TILES // (padded.shape[1] // TILE[1]) * TILE[0], 3 * down)
    for first in range(0, len(padded) - 2 * down, band - 2 * down):
        part = padded[first : first + band]
        blurred[first + down : first + len(part) - down] = _blurred(part, side)[down:-down]
    by_channel = blurred.reshape(channels, -1, padded.shape[1])
    inner = by_channel[:, down : down + height, right : right + width]
    return np.asarray(cv2.merge([*inner]), np.uint8).reshape(pixels.shape)


def _blurred(part: Plane, side: int) -> Plane:
    """Medians of an image of whole tiles; invalid near its edges."""
    rows, columns = len(part) // TILE[0], part.shape[1] // TILE[1]
    by_column = cv2.split(part.reshape(len(part), columns, TILE[1]))
    planes = [column[y :: TILE[0]].ravel() for y in range(TILE[0]) for column in by_column]
    medians = [plane.reshape(rows, columns) for plane in _program(side).run(planes, columns)]
    blurred = np.empty_like(part)
    for y in range(TILE[0]):
        blurred[y :: TILE[0]] = cv2.merge(medians[y * TILE[1] : (y + 1) * TILE[1]]).reshape(rows, -1)
    return blurred
