"""Pool the feature maps of a layer to one row of features per image."""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d

# Cells along each side, per level of the pyramid.
PYRAMID_LEVELS = (1, 2)

# Channels that bilinear pooling keeps; the products of more channels are mostly noise.
REDUCED_CHANNELS = 64
# Newton-Schulz iterations, as many as Li et al. use. The smallest eigenvalues, which are noise, stay too small.
NEWTON_STEPS = 5


def pool(maps: Tensor, pooling: str) -> Tensor:
    """Pool feature maps over space.

    Parameters
    ----------
    maps : Tensor of float, shape (n, channels, height, width)
        The output of a layer.
    pooling : str
        ``average`` or ``max`` over height and width; or ``pyramid``: both, over the whole map and over its quarters,
        which keeps rough positions (Lazebnik, Schmid and Ponce, Beyond Bags of Features, 2006).

    Returns
    -------
    Tensor of float, shape (n, channels), or (n, 10 x channels) for ``pyramid``
    """
    if pooling == "average":
        return maps.mean(dim=(2, 3))
    if pooling == "max":
        return maps.amax(dim=(2, 3))
    kinds = (adaptive_avg_pool2d, adaptive_max_pool2d)
    parts = [pool_to(maps, cells).flatten(1) for cells in PYRAMID_LEVELS for pool_to in kinds]
    return torch.cat(parts, dim=1)


class BilinearPooling(nn.Module):
    """Mean products of all pairs of reduced channels, and their means.

    Bilinear pooling (Lin, RoyChowdhury and Maji, Bilinear CNN Models for Fine-grained Visual Recognition, ICCV 2015)
    with the matrix square root (Lin and Maji, Improved Bilinear Pooling with CNNs, BMVC 2017), computed iteratively (Li
    et al., Towards Faster Training of Global Covariance Pooling Networks, CVPR 2018).

    Parameters
    ----------
    channels : int
        Channels of the feature maps; at most `REDUCED_CHANNELS` linear combinations of them are kept.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, min(REDUCED_CHANNELS, channels), 1)

    def fit(self, maps: Tensor) -> None:
        """Reduce channels to the principal components with the most variance of maps (n, channels, height, width).

        Each position is a sample.
        """
        points = maps.transpose(0, 1).flatten(1).double()
        _, vectors = torch.linalg.eigh(torch.cov(points))
        components = vectors.flip(1)[:, : self.reduce.out_channels].T
        # The sign of a component is arbitrary. Make its largest entry positive, for reproducible results.
        largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
        components = components * largest.sign()
        with torch.no_grad():
            self.reduce.weight.copy_(components[:, :, None, None])
            self.reduce.bias.copy_(-components @ points.mean(dim=1))  # type: ignore[union-attr]

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, channels, height, width) to (n, k (k + 1) / 2 + k), for k reduced channels."""
        with torch.autocast(maps.device.type, enabled=False):  # Half precision is not enough for the square root.
            points = self.reduce(maps.float()).flatten(2)
            root = square_root(points @ points.transpose(1, 2) / points.shape[2])
            upper = torch.triu_indices(*root.shape[1:], device=root.device)
            return torch.cat([root[:, upper[0], upper[1]], points.mean(dim=2)], dim=1)


def square_root(matrices: Tensor, steps: int = NEWTON_STEPS) -> Tensor:
    """Square roots of positive semidefinite matrices, float of shape (n, k, k), by Newton-Schulz iteration.

    Eigenvalues that are small relative to the trace converge last.
    """
    trace = matrices.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None].clamp_min(torch.finfo(matrices.dtype).tiny)
    one = torch.eye(matrices.shape[1], device=matrices.device, dtype=matrices.dtype)
    root, inverse = matrices / trace, one.expand_as(matrices)
    for _ in range(steps):
        correction = 1.5 * one - 0.5 * inverse @ root
        root, inverse = root @ correction, correction @ inverse
    return root * trace.sqrt()
