"""Label matrices for tests of splits."""

import numpy as np
from numpy.typing import NDArray

Targets = NDArray[np.int8]


def one_label_each(*counts: int) -> Targets:
    """Images with one label each, so many of each label."""
    return np.repeat(np.eye(len(counts), dtype=np.int8), counts, axis=0)
