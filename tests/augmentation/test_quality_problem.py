import numpy as np
import pytest

from counterweight.augmentation.copy_maker import copy_seed, quality_problem
from counterweight.images.geometry import Pixels


@pytest.fixture
def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_seed_of_a_copy_is_stable() -> None:
    assert copy_seed(0, "sea/17.jpg", 1, 1) == 1_461_210_695_351_585_293


@pytest.mark.parametrize(
    "other", [(1, "17", 1, 2), (0, "18", 1, 2), (0, "17", 2, 2), (0, "17", 1, 3), (0, "17", 2, 1), (0, "171", 1, 2)]
)
def test_seed_of_a_copy_depends_on_each_value(other: tuple[int, str, int, int]) -> None:
    assert copy_seed(*other) != copy_seed(0, "17", 1, 2)


def test_black_copy_is_uniform(noise: Pixels) -> None:
    assert quality_problem(np.zeros_like(noise), noise, min_std=4, min_contrast=0.25) == "uniform"


def test_copy_with_a_tenth_of_its_sources_contrast_lacks_contrast(noise: Pixels) -> None:
    faint = (100 + 0.1 * noise).astype(np.uint8)
    assert quality_problem(faint, noise, min_std=4, min_contrast=0.25) == "contrast"


def test_image_itself_is_a_usable_copy(noise: Pixels) -> None:
    assert quality_problem(noise, noise, min_std=4, min_contrast=1) is None


def test_colors_of_equal_brightness_are_uniform() -> None:
    # Gray is 0.299 red + 0.587 green + 0.114 blue: 59 for both halves.
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, :4, 0] = 196
    halves[:, 4:, 1] = 100
    assert quality_problem(halves, halves, min_std=4, min_contrast=0.25) == "uniform"


def stripes(contrast: int) -> Pixels:
    """Half black and half of one gray level: the standard deviation is half the contrast."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = contrast
    return pixels


@pytest.mark.parametrize(
    ("copy", "source", "problem"),
    [
        (8, 32, None),  # Standard deviations of 4 and 16: at both thresholds.
        (7, 8, "uniform"),
        (8, 34, "contrast"),
        (7, 200, "uniform"),  # Below both thresholds.
        (200, 8, None),
    ],
)
def test_thresholds_are_the_lowest_values_that_pass(copy: int, source: int, problem: str | None) -> None:
    assert quality_problem(stripes(copy), stripes(source), min_std=4, min_contrast=0.25) == problem


def test_zero_thresholds_pass_everything(noise: Pixels) -> None:
    assert quality_problem(np.zeros_like(noise), noise, min_std=0, min_contrast=0) is None
