import base64
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from counterweight.base.errors import InputError
from counterweight.explanation.thumbnails import SIDE, mean_difference, thumbnail, thumbnails
from counterweight.images import codec


def decoded(url: str) -> np.ndarray:
    head, text = url.split(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((400, 400), (SIDE, SIDE)), ((224, 448), (SIDE // 2, SIDE)), ((30, 20), (30, 20)), ((4_000, 2), (SIDE, 1))],
)
def test_longer_side_is_at_most_that_of_a_thumbnail(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert decoded(thumbnail(np.zeros((*shape, 3), np.uint8))).shape[:2] == expected


def test_colors_are_kept() -> None:
    orange = np.full((50, 50, 3), (250, 130, 20), np.uint8)
    assert np.abs(decoded(thumbnail(orange)).astype(int) - orange).max() <= 4


def test_changed_file_is_an_error(tmp_path: Path) -> None:
    checksum = codec.write(np.zeros((8, 8, 3), np.uint8), tmp_path / "a.png", "png")
    codec.write(np.ones((8, 8, 3), np.uint8), tmp_path / "a.png", "png")
    with pytest.raises(InputError, match=r"a\.png: the file has changed"):
        thumbnails(pd.DataFrame({"path": ["a.png"], "checksum": [checksum]}), tmp_path)


def test_change_is_the_mean_difference_in_gray_levels() -> None:
    source = np.full((10, 10, 3), 100, np.uint8)
    copy = source.copy()
    copy[:5] = 140
    assert mean_difference(copy, source) == 20
    assert mean_difference(source, source) == 0
