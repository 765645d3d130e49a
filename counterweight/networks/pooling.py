"""How the maps of a layer become a row of features."""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d

# Cells along each side of the levels of the pyramid.
PYRAMID = (1, 2)

# To which a map's channels are brought before their products; the products of all say more of noise than of the image.
CHANNELS = 64
# Steps towards the square root: as many as its authors take. The smallest eigenvalues, which are noise, stay smaller.
STEPS = 5


def pooled(maps: Tensor, pooling: str) -> Tensor:
    """Maps as rows.

    Parameters
    ----------
    maps : Tensor of float, shape (n, channels, height, width)
        The output of a layer.
    pooling : str
        ``average`` or ``max`` over height and width; or ``pyramid``: both, over the whole and over its quarters, so
        that a row says where things are (Lazebnik, Schmid and Ponce, Beyond Bags of Features, 2006).

    Returns
    -------
    Tensor of float, shape (n, channels) or, of ``pyramid``, (n, 10 x channels)
    """
    if pooling == "average":
        return maps.mean(dim=(2, 3))
    if pooling == "max":
        return maps.amax(dim=(2, 3))
    parts = [over(maps, cells).flatten(1) for cells in PYRAMID for over in (adaptive_avg_pool2d, adaptive_max_pool2d)]
    return torch.cat(parts, dim=1)


class Bilinear(nn.Module):
    """Which channels are strong in the same places: the mean products of all pairs, and the means.

    Bilinear pooling (Lin, RoyChowdhury and Maji, Bilinear CNN Models for Fine-grained Visual Recognition, ICCV 2015) of
    fewer channels, by the square root of the matrix of products (Lin and Maji, Improved Bilinear Pooling with CNNs,
    BMVC 2017), in the iteration of Li et al., Towards Faster Training of Global Covariance Pooling Networks, CVPR 2018.

    Parameters
    ----------
    channels : int
        Of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, min(CHANNELS, channels), 1)

    def fit(self, maps: Tensor) -> None:
        """Bring channels to the principal components of maps, those with the most variance.

        Parameters
        ----------
        maps : Tensor of float, shape (n, channels, height, width)
            Of train images; each position counts as a point.
        """
        points = maps.transpose(0, 1).flatten(1).double()
        _, vectors = torch.linalg.eigh(torch.cov(points))
        components = vectors.flip(1)[:, : self.reduce.out_channels].T
        # Either direction of an axis is right; its largest part is to be positive, so that it is always the same.
        largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
        components = components * largest.sign()
        with torch.no_grad():
            self.reduce.weight.copy_(components[:, :, None, None])
            self.reduce.bias.copy_(-components @ points.mean(dim=1))  # type: ignore[union-attr]

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, k (k + 1) / 2 + k), of k channels."""
        with torch.autocast(maps.device.type, enabled=False):  # Half the digits are too few for a square root.
            points = self.reduce(maps.float()).flatten(2)
            root = square_root(points @ points.transpose(1, 2) / points.shape[2])
            upper = torch.triu_indices(*root.shape[1:], device=root.device)
            return torch.cat([root[:, upper[0], upper[1]], points.mean(dim=2)], dim=1)


def square_root(matrices: Tensor, steps: int = STEPS) -> Tensor:
    """Square roots of symmetric matrices without negative eigenvalues, by Newton and Schulz's iteration.

    Parameters
    ----------
    matrices : Tensor of float, shape (n, k, k)
    steps : int
        The more, the nearer; eigenvalues that are small beside the matrix's trace come near last.

    Returns
    -------
    Tensor of float, shape (n, k, k)
    """
    trace = matrices.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None].clamp_min(torch.finfo(matrices.dtype).tiny)
    one = torch.eye(matrices.shape[1], device=matrices.device, dtype=matrices.dtype)
    root, inverse = matrices / trace, one.expand_as(matrices)
    for _ in range(steps):
        nearer = 1.5 * one - 0.5 * inverse @ root
        root, inverse = root @ nearer, nearer @ inverse
    return root * trace.sqrt()
