import numpy as np
import pytest

from counterweight.images.geometry import Pixels, Wanted, reduction, resize, view
from tests.pictures import BLACK, BLUE, GREEN, RED, WHITE, of_colour


@pytest.mark.parametrize(
    ("size", "wanted", "factor"),
    [
        ((800, 800), Wanted(100, 100, "stretch"), 8),
        ((799, 800), Wanted(100, 100, "stretch"), 4),
        ((800, 400), Wanted(100, 100, "crop"), 4),
        ((800, 400), Wanted(100, 100, "fit"), 8),
        ((199, 400), Wanted(100, 100, "crop"), 1),
        ((50, 50), Wanted(100, 100, "fit"), 1),
    ],
)
def test_an_image_is_reduced_only_as_far_as_nothing_must_be_enlarged(
    size: tuple[int, int], wanted: Wanted, factor: int
) -> None:
    assert reduction(size, wanted) == factor


@pytest.mark.parametrize("mode", ["stretch", "crop"])
@pytest.mark.parametrize(("width", "height"), [(8, 8), (30, 10), (10, 30), (20, 40), (200, 7), (1, 1)])
def test_a_white_image_stays_white(width: int, height: int, mode: str) -> None:
    resized = resize(of_colour(WHITE, 20, 40), Wanted(width, height, mode))
    np.testing.assert_array_equal(resized, of_colour(WHITE, height, width))


def test_an_image_of_the_size_wanted_stays_as_it_is(noise: Pixels) -> None:
    for mode in ("stretch", "fit", "crop"):
        np.testing.assert_array_equal(resize(noise, Wanted(13, 9, mode)), noise)


def test_fit_puts_even_black_bars_above_and_below_a_wide_image() -> None:
    resized = resize(of_colour(WHITE, 20, 40), Wanted(20, 20, "fit"))
    assert resized[:, :, 0].mean(axis=1).tolist() == [0] * 5 + [255] * 10 + [0] * 5


def test_fit_puts_even_black_bars_beside_a_high_image() -> None:
    resized = resize(of_colour(WHITE, 40, 20), Wanted(20, 20, "fit"))
    assert resized[:, :, 0].mean(axis=0).tolist() == [0] * 5 + [255] * 10 + [0] * 5


def test_fit_enlarges_a_small_image() -> None:
    resized = resize(of_colour(WHITE, 4, 2), Wanted(16, 16, "fit"))
    assert resized[:, :, 0].mean(axis=0).tolist() == [0] * 4 + [255] * 8 + [0] * 4


def test_fit_keeps_a_thin_line() -> None:
    resized = resize(of_colour(WHITE, 1, 100), Wanted(10, 10, "fit"))
    assert resized[:, :, 0].mean(axis=1).tolist() == [0] * 4 + [255] + [0] * 5


def test_crop_takes_the_centre_of_a_wide_image() -> None:
    thirds = np.hstack([of_colour(RED, 8, 8), of_colour(GREEN, 8, 8), of_colour(BLUE, 8, 8)])
    np.testing.assert_array_equal(resize(thirds, Wanted(8, 8, "crop")), of_colour(GREEN, 8, 8))


def test_crop_takes_the_centre_of_a_high_image_and_shrinks_it() -> None:
    thirds = np.vstack([of_colour(RED, 8, 8), of_colour(GREEN, 8, 8), of_colour(BLUE, 8, 8)])
    np.testing.assert_array_equal(resize(thirds, Wanted(4, 4, "crop")), of_colour(GREEN, 4, 4))


def test_stretch_keeps_all_of_the_image(four_colours: Pixels) -> None:
    resized = resize(four_colours, Wanted(2, 2, "stretch"))
    assert resized.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


def test_shrinking_takes_the_mean() -> None:
    board = np.array([[BLACK, WHITE], [WHITE, BLACK]], np.uint8)
    assert resize(board, Wanted(1, 1, "stretch"))[0, 0, 0] in (127, 128)


def test_every_pixel_has_its_part_in_the_mean() -> None:
    corner = of_colour(BLACK, 4, 4)
    corner[0, 0] = 240
    assert resize(corner, Wanted(1, 1, "stretch")).tolist() == [[[15, 15, 15]]]


def test_a_fine_board_does_not_alias_when_it_shrinks() -> None:
    board = np.tile(np.array([[BLACK, WHITE], [WHITE, BLACK]], np.uint8), (16, 16, 1))
    resized = resize(board, Wanted(8, 4, "stretch"))
    assert set(np.unique(resized)) <= {127, 128}


def test_one_side_may_shrink_while_the_other_grows() -> None:
    stripes = np.tile(np.array([BLACK, WHITE], np.uint8), (4, 8, 1))
    resized = resize(stripes, Wanted(8, 16, "stretch"))
    assert resized.shape == (16, 8, 3)
    assert set(np.unique(resized)) <= {127, 128}


def test_resizing_leaves_the_image_as_it_was(four_colours: Pixels) -> None:
    before = four_colours.copy()
    for mode in ("stretch", "fit", "crop"):
        resize(four_colours, Wanted(10, 10, mode))
    np.testing.assert_array_equal(four_colours, before)


def test_the_whole_view_keeps_every_corner(four_colours: Pixels) -> None:
    seen = view(four_colours, "whole", (2, 2))
    assert seen.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


@pytest.mark.parametrize(("height", "width"), [(400, 400), (400, 800), (1000, 400)])
def test_the_centre_view_is_the_middle_224_of_400(height: int, width: int) -> None:
    framed = of_colour(RED, height, width)
    top, left = (height - 224) // 2, (width - 224) // 2
    framed[top : top + 224, left : left + 224] = GREEN
    np.testing.assert_array_equal(view(framed, "centre", (224, 224)), of_colour(GREEN, 224, 224))


def test_the_centre_view_of_another_size_has_the_same_share() -> None:
    framed = of_colour(RED, 200, 200)
    framed[44:156, 44:156] = GREEN
    np.testing.assert_array_equal(view(framed, "centre", (112, 112)), of_colour(GREEN, 112, 112))


@pytest.mark.parametrize("how", ["centre", "whole"])
@pytest.mark.parametrize(("height", "width"), [(5, 900), (64, 64), (333, 57)])
def test_a_view_is_a_square_of_the_size_wanted(height: int, width: int, how: str) -> None:
    np.testing.assert_array_equal(view(of_colour(WHITE, height, width), how, (64, 64)), of_colour(WHITE, 64, 64))


def test_view_may_be_wider_than_high(four_colours: Pixels) -> None:
    assert view(four_colours, "whole", (48, 32)).shape == (32, 48, 3)
    assert view(four_colours, "centre", (48, 32)).shape == (32, 48, 3)


def test_centre_of_a_view_that_is_wider_than_high_is_cut_to_its_own_shape() -> None:
    # Wanted are 112 x 56: the image is brought to fill 200 x 100, which it does already, and 44 and 22 go on each side.
    framed = of_colour(RED, 100, 200)
    framed[22:78, 44:156] = GREEN
    np.testing.assert_array_equal(view(framed, "centre", (112, 56)), of_colour(GREEN, 56, 112))
