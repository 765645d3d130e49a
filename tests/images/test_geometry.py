import tracemalloc

import numpy as np
import pytest

from counterweight.images.geometry import Pixels, TargetSize, jpeg_reduction, network_view, resize
from tests.pictures import BLACK, BLUE, GREEN, RED, WHITE, of_color


@pytest.mark.parametrize(
    ("size", "target", "factor"),
    [
        ((800, 800), TargetSize(100, 100, "stretch"), 8),
        ((799, 800), TargetSize(100, 100, "stretch"), 4),
        ((800, 400), TargetSize(100, 100, "crop"), 4),
        ((800, 400), TargetSize(100, 100, "fit"), 8),
        ((199, 400), TargetSize(100, 100, "crop"), 1),
        ((50, 50), TargetSize(100, 100, "fit"), 1),
    ],
)
def test_a_reduced_image_is_never_smaller_than_its_target(
    size: tuple[int, int], target: TargetSize, factor: int
) -> None:
    assert jpeg_reduction(size, target) == factor


@pytest.mark.parametrize("mode", ["stretch", "crop"])
@pytest.mark.parametrize(("width", "height"), [(8, 8), (30, 10), (10, 30), (20, 40), (200, 7), (1, 1)])
def test_a_white_image_stays_white(width: int, height: int, mode: str) -> None:
    resized = resize(of_color(WHITE, 20, 40), TargetSize(width, height, mode))
    np.testing.assert_array_equal(resized, of_color(WHITE, height, width))


def test_an_image_of_the_target_size_is_unchanged(noise: Pixels) -> None:
    for mode in ("stretch", "fit", "crop"):
        np.testing.assert_array_equal(resize(noise, TargetSize(13, 9, mode)), noise)


def test_fit_puts_even_black_bars_above_and_below_a_wide_image() -> None:
    resized = resize(of_color(WHITE, 20, 40), TargetSize(20, 20, "fit"))
    assert resized[:, :, 0].mean(axis=1).tolist() == [0] * 5 + [255] * 10 + [0] * 5


def test_fit_puts_even_black_bars_beside_a_tall_image() -> None:
    resized = resize(of_color(WHITE, 40, 20), TargetSize(20, 20, "fit"))
    assert resized[:, :, 0].mean(axis=0).tolist() == [0] * 5 + [255] * 10 + [0] * 5


def test_fit_enlarges_a_small_image() -> None:
    resized = resize(of_color(WHITE, 4, 2), TargetSize(16, 16, "fit"))
    assert resized[:, :, 0].mean(axis=0).tolist() == [0] * 4 + [255] * 8 + [0] * 4


def test_fit_keeps_a_thin_line() -> None:
    resized = resize(of_color(WHITE, 1, 100), TargetSize(10, 10, "fit"))
    assert resized[:, :, 0].mean(axis=1).tolist() == [0] * 4 + [255] + [0] * 5


def test_crop_keeps_the_center_of_a_wide_image() -> None:
    thirds = np.hstack([of_color(RED, 8, 8), of_color(GREEN, 8, 8), of_color(BLUE, 8, 8)])
    np.testing.assert_array_equal(resize(thirds, TargetSize(8, 8, "crop")), of_color(GREEN, 8, 8))


def test_crop_keeps_the_center_of_a_tall_image_and_shrinks_it() -> None:
    thirds = np.vstack([of_color(RED, 8, 8), of_color(GREEN, 8, 8), of_color(BLUE, 8, 8)])
    np.testing.assert_array_equal(resize(thirds, TargetSize(4, 4, "crop")), of_color(GREEN, 4, 4))


def test_stretch_keeps_the_whole_image(four_colors: Pixels) -> None:
    resized = resize(four_colors, TargetSize(2, 2, "stretch"))
    assert resized.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


def test_shrinking_averages_pixels() -> None:
    board = np.array([[BLACK, WHITE], [WHITE, BLACK]], np.uint8)
    assert resize(board, TargetSize(1, 1, "stretch"))[0, 0, 0] in (127, 128)


def test_every_pixel_counts_in_the_mean() -> None:
    corner = of_color(BLACK, 4, 4)
    corner[0, 0] = 240
    assert resize(corner, TargetSize(1, 1, "stretch")).tolist() == [[[15, 15, 15]]]


def test_shrinking_a_checkerboard_does_not_alias() -> None:
    board = np.tile(np.array([[BLACK, WHITE], [WHITE, BLACK]], np.uint8), (16, 16, 1))
    resized = resize(board, TargetSize(8, 4, "stretch"))
    assert set(np.unique(resized)) <= {127, 128}


def test_one_side_shrinks_while_the_other_grows() -> None:
    stripes = np.tile(np.array([BLACK, WHITE], np.uint8), (4, 8, 1))
    resized = resize(stripes, TargetSize(8, 16, "stretch"))
    assert resized.shape == (16, 8, 3)
    assert set(np.unique(resized)) <= {127, 128}


def test_resizing_does_not_change_its_input(four_colors: Pixels) -> None:
    before = four_colors.copy()
    for mode in ("stretch", "fit", "crop"):
        resize(four_colors, TargetSize(10, 10, mode))
    np.testing.assert_array_equal(four_colors, before)


def test_a_view_without_crop_keeps_every_corner(four_colors: Pixels) -> None:
    view = network_view(four_colors, "none", (2, 2))
    assert view.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


@pytest.mark.parametrize(("height", "width"), [(400, 400), (400, 800), (1000, 400)])
def test_the_center_crop_is_the_middle_224_of_400(height: int, width: int) -> None:
    framed = of_color(RED, height, width)
    top, left = (height - 224) // 2, (width - 224) // 2
    framed[top : top + 224, left : left + 224] = GREEN
    np.testing.assert_array_equal(network_view(framed, "center", (224, 224)), of_color(GREEN, 224, 224))


def test_the_center_crop_of_another_size_keeps_the_same_fraction() -> None:
    framed = of_color(RED, 200, 200)
    framed[44:156, 44:156] = GREEN
    np.testing.assert_array_equal(network_view(framed, "center", (112, 112)), of_color(GREEN, 112, 112))


@pytest.mark.parametrize("shape", [(40_000, 1), (1, 40_000), (9_000, 3), (8192, 8)])
def test_a_line_of_pixels_takes_little_memory_and_keeps_its_center(shape: tuple[int, int]) -> None:
    """Scaled as a whole, the first would take 19 GB."""
    pixels = np.zeros((*shape, 3), dtype=np.uint8)
    half = max(shape) // 2
    (pixels if shape[0] > shape[1] else pixels.swapaxes(0, 1))[half:] = 200
    tracemalloc.start()
    shown = [resize(pixels, TargetSize(400, 400, mode)) for mode in ("crop", "fit", "stretch")]
    shown.append(network_view(pixels, "center", (224, 224)))
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    for view in (shown[0], shown[3]):
        upright = view if shape[0] > shape[1] else view.swapaxes(0, 1)
        above, below = np.split(upright, 2)
        assert above.mean() == pytest.approx(200 - below.mean(), abs=10)
        assert above.mean() < 70


@pytest.mark.parametrize("crop", ["center", "none"])
@pytest.mark.parametrize(("height", "width"), [(5, 900), (64, 64), (333, 57)])
def test_a_view_has_the_input_size(height: int, width: int, crop: str) -> None:
    np.testing.assert_array_equal(network_view(of_color(WHITE, height, width), crop, (64, 64)), of_color(WHITE, 64, 64))


def test_a_view_may_be_wider_than_tall(four_colors: Pixels) -> None:
    assert network_view(four_colors, "none", (48, 32)).shape == (32, 48, 3)
    assert network_view(four_colors, "center", (48, 32)).shape == (32, 48, 3)


def test_the_center_crop_of_a_wide_input_has_its_shape() -> None:
    # For 112 x 56, the image is resized to fill 200 x 100, which it does already; 44 and 22 pixels go on each side.
    framed = of_color(RED, 100, 200)
    framed[22:78, 44:156] = GREEN
    np.testing.assert_array_equal(network_view(framed, "center", (112, 56)), of_color(GREEN, 56, 112))
