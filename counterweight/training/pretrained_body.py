"""Batch norm that does the same in training as in evaluation, where training begins from weights made elsewhere.

In training, batch norm takes the mean and the variance of the batch; in evaluation, those that came with the weights.
Where the two are far apart, training begins from another network than the one that was loaded: so it is with weights
whose batch norm was folded into the convolutions, and with images unlike those that the weights were made with.
"""

import threading
from collections.abc import Collection, Sequence
from math import ceil
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import Group
from counterweight.training.datasets import table_features


def norms_of(network: nn.Module, *, but: Collection[str] = ()) -> list[_BatchNorm]:
    """The batch norms of a network that keep a mean and a variance, and scale and shift what they have normalised.

    Parameters
    ----------
    network : Module
        The network.
    but : collection of str
        Names of parameters; norms whose weight is among them are left out.
    """
    return [
        module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and module.affine
        and module.running_mean is not None
        and f"{name}.weight" not in but
    ]


class Moments(nn.Module):
    """What comes to the batch norms of a network: in a ``with``, at whose end nothing listens to them any more.

    Several threads may use it at once.

    Parameters
    ----------
    network : Module
        Of a batch norm that it uses more than once, the last time counts.
    norms : sequence of batch norm
        Those of it that are looked at.
    """

    def __init__(self, network: nn.Module, norms: Sequence[_BatchNorm]) -> None:
        super().__init__()
        self.network = network
        self.norms = list(norms)  # A list, not a ModuleList: they are the network's own.
        self._of_thread = threading.local()
        self._hooks = [norm.register_forward_pre_hook(self._keep) for norm in self.norms]

    def __enter__(self) -> Self:
        """Listen already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        for hook in self._hooks:
            hook.remove()

    def _keep(self, norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        values = given[0].float().flatten(2) if given[0].dim() > 2 else given[0].float()[..., None]
        self._of_thread.found[norm] = torch.stack([values.mean(dim=2), values.square().mean(dim=2)], dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, ...) to (n, 2, channels): of each input, mean and mean square of each channel, one norm after another."""
        self._of_thread.found = {}
        self.network(inputs)
        return torch.cat([self._of_thread.found[norm] for norm in self.norms], dim=2)


def fit_norms(norms: Sequence[_BatchNorm], moments: NDArray[np.float32]) -> None:
    """Give batch norms the mean and the variance of images, and change scale and shift so that nothing else changes.

    Parameters
    ----------
    norms : sequence of batch norm
        They are changed; in evaluation mode their network computes what it did before.
    moments : array of float, shape (n_images, 2, channels)
        What `Moments` says of the images and of these norms.
    """
    mean, square = torch.from_numpy(moments.astype(np.float64).mean(axis=0))
    variance = (square - mean.square()).clamp_min(0)
    widths = [norm.num_features for norm in norms]
    for norm, centre, spread in zip(norms, mean.split(widths), variance.split(widths), strict=True):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        with torch.no_grad():
            norm.bias.add_(scale * (centre - norm.running_mean.double()))
            norm.weight.copy_(scale * (spread + norm.eps).sqrt())
            norm.running_mean.copy_(centre)
            norm.running_var.copy_(spread)


# To which a body is fitted: a hundred points or more of each, for 64 directions of bilinear pooling.
FITTED_IMAGES = 256


def fit_body(
    classifier: Classifier,
    table: pd.DataFrame,
    *,
    norms: bool,
    resized: Path,
    copies: Path,
    group: Group,
    workers: int,
) -> None:
    """Fit what a torchvision network needs to know of train images before training begins.

    That is bilinear pooling, where the network has it, and batch norm, see `counterweight.training.pretrained_body`.

    Parameters
    ----------
    classifier : Classifier
        It is changed.
    table : pandas.DataFrame
        Train rows of a manifest; of those that are no copies, `FITTED_IMAGES` are looked at, evenly drawn.
    norms : bool
        Whether batch norm is to be fitted: where the body is trained, and did not begin with random weights. What of
        it did is left alone.
    resized, copies, group, workers
        As in `examples`.
    """
    body = classifier.body
    if not isinstance(body, Backbone):
        return
    own = table[table["source_id"] == ""]
    looked_at = own.iloc[:: ceil(len(own) / FITTED_IMAGES)]
    how = (looked_at, classifier.design, resized, copies, group, workers)
    if body.bilinear is not None:
        body.bilinear.fit(torch.tensor(table_features(_Maps(body), *how)))
    came = norms_of(body.cut, but=body.fresh)
    if norms and came:
        with Moments(_Maps(body), came) as moments:
            fit_norms(came, table_features(moments, *how))


class _Maps(nn.Module):
    """A backbone without its pooling."""

    def __init__(self, body: Backbone) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        return self.body.maps(images)
