"""What leads rows of rounded numbers back to those of exact ones, learnt from a few images."""

import numpy as np
from numpy.typing import NDArray


class Regression:
    """The linear map from rows to others that is most likely after a few examples, where none is expected to change.

    Ridge regression of the differences (Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal
    Problems, 1970), in the form whose cost grows with the examples and not with the columns (Saunders, Gammerman and
    Vovk, Ridge Regression Learning Algorithm in Dual Variables, 1998). The penalty is the mean squared distance of an
    example from the mean of all: so each says as much as the expectation that rows stay as they are, and of one
    example alone the differences are a shift.

    Parameters
    ----------
    found, expected : arrays of float32, shape (n_images, n_outputs)
        Rows of the same images.
    """

    def __init__(self, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        differences = expected.astype(np.float64) - found
        self.centre, self.shift = found.mean(axis=0, dtype=np.float64), differences.mean(axis=0)
        self.examples = found - self.centre
        likeness = self.examples @ self.examples.T
        penalty = max(float(likeness.diagonal().mean()), np.finfo(np.float64).tiny)
        self.changes = np.linalg.solve(likeness + penalty * np.eye(len(found)), differences - self.shift)

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows as they should have been, of float32 and in the same shape.

        A row's last bit does not depend on its place among so many others, as it would by BLAS.
        """
        shares = np.einsum("ij,kj->ik", rows - self.centre, self.examples)
        corrected: NDArray[np.float64] = rows + self.shift + np.einsum("ik,kj->ij", shares, self.changes)
        return corrected.astype(np.float32)
