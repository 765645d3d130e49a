"""Correct the rows of a quantized network, learned from a few images."""

import numpy as np
from numpy.typing import NDArray


class DualRidge:
    """Ridge regression that predicts the difference between two kinds of rows of an image.

    Without evidence, rows do not change (Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal
    Problems, 1970). The cost of the dual form grows with the images, not with the outputs (Saunders, Gammerman and
    Vovk, Ridge Regression Learning Algorithm in Dual Variables, 1998). The penalty is the mean squared distance of an
    image's row from the mean row, so that each image weighs as much as the prior; a single image gives a shift.

    Parameters
    ----------
    found, expected : arrays of float32, shape (n_images, n_outputs)
        Rows before and after the correction, of the same images.
    """

    def __init__(self, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        differences = expected.astype(np.float64) - found
        self.center, self.shift = found.mean(axis=0, dtype=np.float64), differences.mean(axis=0)
        self.examples = found - self.center
        kernel = self.examples @ self.examples.T
        penalty = max(float(kernel.diagonal().mean()), np.finfo(np.float64).tiny)
        self.coefficients = np.linalg.solve(kernel + penalty * np.eye(len(found)), differences - self.shift)

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return corrected rows, float32 of the same shape.

        Unlike a BLAS product, einsum rounds a row the same wherever it is in the array.
        """
        kernel = np.einsum("ij,kj->ik", rows - self.center, self.examples)
        corrected: NDArray[np.float64] = rows + self.shift + np.einsum("ik,kj->ij", kernel, self.coefficients)
        return corrected.astype(np.float32)
