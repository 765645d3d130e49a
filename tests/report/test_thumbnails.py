import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.report.thumbnails import SIDE, change, thumbnail, thumbnails


def decoded(address: str) -> np.ndarray:
    head, text = address.split(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((400, 400), (SIDE, SIDE)), ((224, 448), (SIDE // 2, SIDE)), ((30, 20), (30, 20)), ((4_000, 2), (SIDE, 1))],
)
def test_longer_side_is_brought_to_the_thumbnails(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert decoded(thumbnail(np.zeros((*shape, 3), np.uint8))).shape[:2] == expected


def test_colours_are_the_images() -> None:
    orange = np.full((50, 50, 3), (250, 130, 20), np.uint8)
    assert np.abs(decoded(thumbnail(orange)).astype(int) - orange).max() <= 4


def test_file_that_has_changed_is_an_error(tmp_path: Path) -> None:
    known = codec.write(np.zeros((8, 8, 3), np.uint8), tmp_path / "a.png", "png")
    codec.write(np.ones((8, 8, 3), np.uint8), tmp_path / "a.png", "png")
    with pytest.raises(InputError, match=r"a\.png: the file has changed"):
        thumbnails([tmp_path / "a.png"], [known])


def test_change_is_the_mean_difference_in_grey_levels() -> None:
    source = np.full((10, 10, 3), 100, np.uint8)
    copy = source.copy()
    copy[:5] = 140
    assert change(copy, source) == 20
    assert change(source, source) == 0
