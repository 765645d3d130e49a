import cv2
import numpy as np
import pytest

from counterweight.augmentation import median_filter
from counterweight.augmentation.median_filter import MIN_PIXELS, SIDES, median_blur
from counterweight.images.codec import Pixels


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_each_pixel_becomes_the_median_of_its_window() -> None:
    pixels = noise(200, 201)
    window = pixels[50 - 3 : 50 + 4, 77 - 3 : 77 + 4]
    assert median_blur(pixels, 7)[50, 77].tolist() == np.median(window, axis=(0, 1)).tolist()


@pytest.mark.parametrize("side", [3, 5, *SIDES, 13])
@pytest.mark.parametrize("shape", [(400, 400), (203, 197), (1, MIN_PIXELS), (MIN_PIXELS, 1), (9, 40_001), (12, 12)])
def test_bytes_are_those_of_opencv(side: int, shape: tuple[int, int]) -> None:
    pixels = noise(*shape)
    assert np.array_equal(median_blur(pixels, side), cv2.medianBlur(pixels, side))


@pytest.mark.parametrize("side", SIDES)
def test_bytes_of_a_smooth_image_with_edges_are_those_of_opencv(side: int) -> None:
    pixels = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(pixels, (150, 100), 70, (250, 120, 30), -1)
    pixels[:, 200:] += np.arange(120, dtype=np.uint8)[:, None]
    assert np.array_equal(median_blur(pixels, side), cv2.medianBlur(pixels, side))


@pytest.mark.parametrize("side", SIDES)
def test_a_gray_image_keeps_its_channel(side: int) -> None:
    pixels = noise(210, 220, 1)
    assert np.array_equal(median_blur(pixels, side)[..., 0], cv2.medianBlur(pixels, side))


@pytest.mark.parametrize("tiles", [1, 1_000])
@pytest.mark.parametrize("side", SIDES)
def test_an_image_of_several_bands_has_no_seams(side: int, tiles: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(205, 203)
    monkeypatch.setattr(median_filter, "_BAND_TILES", tiles)
    assert np.array_equal(median_blur(pixels, side), cv2.medianBlur(pixels, side))


def test_the_input_is_not_changed() -> None:
    pixels = noise(200, 200)
    before = pixels.copy()
    median_blur(pixels, 9)
    assert np.array_equal(pixels, before)
