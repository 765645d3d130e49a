"""Principal components of features, in float64 and batch by batch.

In float32, processors differ in digits that are written. In float64, they differ in digits that the components, as
float32, do not have, but for a few in a million. Only a batch at a time is float64, so that features may be
memory-mapped.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Images per batch, also of `minibatch` and of distances.
BATCH_SIZE = 4_096


@dataclass(frozen=True)
class PrincipalComponents:
    """The mean and the axes of features.

    Attributes
    ----------
    mean : array of float64, shape (n_features,)
    axes : array of float64, shape (n_features, n_features)
        One column per component, that of the largest variance first. The largest entry of each is positive.
    scatter : array of float64, shape (n_features,)
        Sum of squared deviations along each axis.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    scatter: NDArray[np.float64]

    def project(self, features: NDArray[np.float32], axes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return features, less the mean, along some axes, shape (n_images, n_axes)."""
        projected = np.empty((len(features), axes.shape[1]), np.float32)
        for batch in _batches(len(features)):
            projected[batch] = (features[batch] - self.mean) @ axes
        return projected


def fit_pca(features: NDArray[np.float32]) -> PrincipalComponents:
    """Find the axes along which features vary most, as scikit-learn's ``PCA(svd_solver="covariance_eigh")`` does."""
    mean = features.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for batch in _batches(len(features)):
        centered = features[batch] - mean
        covariance += centered.T @ centered
    scatter, axes = np.linalg.eigh(covariance)
    axes = axes[:, ::-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(mean))])
    return PrincipalComponents(mean, axes, scatter[::-1])


# Scikit-learn's gen_batches does the same, but the stage leaks would load all of it for this alone.
def _batches(count: int) -> list[slice]:
    return [slice(start, start + BATCH_SIZE) for start in range(0, count, BATCH_SIZE)]
