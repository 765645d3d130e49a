import numpy as np
import pytest

from counterweight.networks.openvino import DualRidge


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_linear_error_is_corrected(rng: np.random.Generator) -> None:
    expected = rng.normal(size=(100, 8)).astype(np.float32)
    mixed = np.eye(8) + 0.1 * rng.normal(size=(8, 8))
    found = (expected @ mixed + 0.5).astype(np.float32)
    corrected = DualRidge(found[:50], expected[:50])(found[50:])
    # The penalty leaves part of the error: in each direction as much as one of 50 images contributes.
    assert np.abs(found - expected)[50:].mean() > 0.4
    assert np.abs(corrected - expected[50:]).mean() < 0.04


def test_part_of_the_error_is_corrected_by_fewer_images_than_columns(rng: np.random.Generator) -> None:
    """Rows vary in few directions, which the images cover."""
    expected = (rng.normal(size=(200, 4)) @ rng.normal(size=(4, 300))).astype(np.float32)
    found = (0.9 * expected + 0.05 * rng.normal(size=expected.shape)).astype(np.float32)
    corrected = DualRidge(found[:20], expected[:20])(found[20:])
    before, after = (np.linalg.norm(rows - expected[20:]) for rows in (found[20:], corrected))
    assert after < 0.6 * before


def test_one_image_gives_a_shift() -> None:
    ridge = DualRidge(np.array([[2, 5]], np.float32), np.array([[3, 4]], np.float32))
    assert ridge(np.array([[2, 5], [10, 10]], np.float32)).tolist() == [[3, 4], [11, 9]]


def test_prior_weighs_as_much_as_one_image() -> None:
    """Each is 1 from their mean, so the penalty is 1, and their sum of squares 2: two thirds of the factor 4."""
    ridge = DualRidge(np.array([[-1, 5], [1, 5]], np.float32), np.array([[-4, 7], [4, 7]], np.float32))
    np.testing.assert_allclose(ridge(np.array([[1, 5], [2, 6]], np.float32)), [[3, 7], [6, 8]], rtol=1e-6)


def test_identical_images_give_a_shift() -> None:
    same = np.full((3, 2), 0.1, np.float32)
    np.testing.assert_allclose(DualRidge(same, same + 1)(same + 2), same + 3, rtol=1e-6)


@pytest.mark.parametrize("columns", [5, 256, 2048])
def test_row_does_not_depend_on_its_position(columns: int, rng: np.random.Generator) -> None:
    found = rng.normal(size=(64, columns)).astype(np.float32)
    ridge = DualRidge(found, found + rng.normal(size=found.shape).astype(np.float32))
    rows = rng.normal(size=(8, columns)).astype(np.float32)
    np.testing.assert_array_equal(ridge(rows[::-1].copy())[::-1], ridge(rows))
    np.testing.assert_array_equal([ridge(np.tile(row, (8, 1)))[5] for row in rows], ridge(rows))
