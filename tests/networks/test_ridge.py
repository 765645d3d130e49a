import numpy as np
import pytest

from counterweight.networks.ridge import Regression


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rows_of_a_linear_error_are_led_back(rng: np.random.Generator) -> None:
    expected = rng.normal(size=(100, 8)).astype(np.float32)
    mixed = np.eye(8) + 0.1 * rng.normal(size=(8, 8))
    found = (expected @ mixed + 0.5).astype(np.float32)
    corrected = Regression(found[:50], expected[:50])(found[50:])
    # The penalty keeps a part of the error: in each direction as much as one of its 50 examples says.
    assert np.abs(found - expected)[50:].mean() > 0.4
    assert np.abs(corrected - expected[50:]).mean() < 0.04


def test_of_fewer_images_than_columns_a_part_of_the_error_is_led_back(rng: np.random.Generator) -> None:
    """Rows vary most in few directions, and it is these that the examples tell of."""
    expected = (rng.normal(size=(200, 4)) @ rng.normal(size=(4, 300))).astype(np.float32)
    found = (0.9 * expected + 0.05 * rng.normal(size=expected.shape)).astype(np.float32)
    corrected = Regression(found[:20], expected[:20])(found[20:])
    before, after = (np.linalg.norm(rows - expected[20:]) for rows in (found[20:], corrected))
    assert after < 0.6 * before


def test_of_one_image_only_a_shift_is_known() -> None:
    regression = Regression(np.array([[2, 5]], np.float32), np.array([[3, 4]], np.float32))
    assert regression(np.array([[2, 5], [10, 10]], np.float32)).tolist() == [[3, 4], [11, 9]]


def test_two_images_say_as_much_as_that_nothing_changes() -> None:
    """Each lies 1 from their mean, so the penalty is 1, beside their sum of squares, 2: two thirds of the factor 4."""
    regression = Regression(np.array([[-1, 5], [1, 5]], np.float32), np.array([[-4, 7], [4, 7]], np.float32))
    np.testing.assert_allclose(regression(np.array([[1, 5], [2, 6]], np.float32)), [[3, 7], [6, 8]], rtol=1e-6)


def test_images_that_are_all_the_same_are_shifted() -> None:
    same = np.full((3, 2), 0.1, np.float32)
    np.testing.assert_allclose(Regression(same, same + 1)(same + 2), same + 3, rtol=1e-6)


@pytest.mark.parametrize("columns", [5, 256, 2048])
def test_row_does_not_depend_on_its_place(columns: int, rng: np.random.Generator) -> None:
    found = rng.normal(size=(64, columns)).astype(np.float32)
    regression = Regression(found, found + rng.normal(size=found.shape).astype(np.float32))
    rows = rng.normal(size=(8, columns)).astype(np.float32)
    np.testing.assert_array_equal(regression(rows[::-1].copy())[::-1], regression(rows))
    np.testing.assert_array_equal([regression(np.tile(row, (8, 1)))[5] for row in rows], regression(rows))
