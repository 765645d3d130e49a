import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stages.core.scaling import Pixels
from tests.core.pictures import BLUE, GREEN, RED, WHITE, of_colour


@pytest.fixture
def four_colours() -> Pixels:
    top = np.hstack([of_colour(RED, 16, 24), of_colour(GREEN, 16, 24)])
    return np.vstack([top, np.hstack([of_colour(BLUE, 16, 24), of_colour(WHITE, 16, 24)])])


@pytest.fixture
def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)


@pytest.fixture
def photograph() -> Pixels:
    """Blurred noise, 600 x 800, with edges and fine grain as a photograph has them."""
    random = np.random.default_rng(0)
    coarse = gaussian_filter(random.normal(0, 900, (600, 800, 3)), (9, 9, 0))
    coarse[200:400, 300:500] += 90
    return np.clip(128 + coarse + random.normal(0, 6, coarse.shape), 0, 255).astype(np.uint8)
