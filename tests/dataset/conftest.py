import numpy as np
import pytest

from tests.dataset.targets import Targets


@pytest.fixture
def many_labels() -> Targets:
    """Five independent labels on 5 % to 50 % of 2,000 images."""
    return (np.random.default_rng(0).random((2000, 5)) < [0.05, 0.1, 0.2, 0.4, 0.5]).astype(np.int8)
