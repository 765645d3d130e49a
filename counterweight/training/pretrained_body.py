"""Prepare a pretrained body for training on the user's images.

In training, batch norm normalizes by the statistics of the batch; in evaluation, by those that came with the weights.
If the two are far apart, training starts from another network than the one that was loaded. That happens with weights
whose batch norm was folded into the convolutions, and with images unlike those that the weights were made with.

`torch.optim.swa_utils.update_bn` does not help: it replaces the statistics and leaves scale and shift, so that the
network computes something else afterwards. Here scale and shift compensate, so that in evaluation nothing changes.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from math import ceil

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import ImageDataset
from counterweight.training.datasets import ArmImages, table_features

# Images that the body is fitted to: a hundred points and more for each of the 64 directions of bilinear pooling.
MAX_FIT_IMAGES = 256
_BATCH = 16


def fit_pretrained_body(
    classifier: Classifier,
    table: pd.DataFrame,
    *,
    recalibrate: bool,
    images: ArmImages,
    group: ProcessGroup,
    workers: int,
) -> None:
    """Fit bilinear pooling and batch norm of a torchvision body to train images; other bodies stay as they are.

    Parameters
    ----------
    classifier : Classifier
        It is changed.
    table : pandas.DataFrame
        Train rows of a manifest. `MAX_FIT_IMAGES` originals are used, evenly spread.
    recalibrate : bool
        Whether to recalibrate batch norm: if the body is trained and did not start from random weights. Layers that
        were reinitialized are left alone.
    images, group, workers
        As in `counterweight.training.datasets.build_dataset`.
    """
    body = classifier.body
    if not isinstance(body, Backbone):
        return
    originals = table[table["source_id"] == ""]
    sample = originals.iloc[:: ceil(len(originals) / MAX_FIT_IMAGES)]
    config = classifier.config
    if body.bilinear is not None:
        body.bilinear.fit(torch.tensor(table_features(_Unpooled(body), sample, config, images, group, workers)))
    norms = batch_norms(body.trunk, exclude=body.reinitialized)
    if recalibrate and norms:
        dataset = ImageDataset(images.files(sample), config.preprocessing)
        with activation_stats(norms) as stats, torch.inference_mode():
            body.eval()
            for start in range(0, len(dataset), _BATCH):
                body.feature_maps(torch.stack([dataset[i][0] for i in range(start, min(start + _BATCH, len(dataset)))]))
        for norm, seen in zip(norms, stats, strict=True):
            recalibrate_batch_norm(norm, seen)


def batch_norms(network: nn.Module, *, exclude: Collection[str] = ()) -> list[_BatchNorm]:
    """Batch norms of a network that keep running statistics and have a scale and a shift.

    Parameters
    ----------
    network : Module
        The network.
    exclude : collection of str
        Names of parameters; a batch norm whose weight is among them is left out.
    """
    return [
        module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and module.affine
        and module.running_mean is not None
        and f"{name}.weight" not in exclude
    ]


@contextmanager
def activation_stats(norms: Sequence[_BatchNorm]) -> Iterator[list[list[Tensor]]]:
    """Record what enters batch norms while their network runs.

    Yields
    ------
    list of list of Tensor
        For each batch norm, the values of each batch, float64 of shape (channels, 2): per channel the mean and the mean
        square, one tensor per image.
    """
    stats: list[list[Tensor]] = [[] for _ in norms]

    def record(into: list[Tensor], inputs: Tensor) -> None:
        values = inputs.detach().double().flatten(2) if inputs.dim() > 2 else inputs.detach().double()[..., None]
        into.extend(torch.stack([values.mean(dim=2), values.square().mean(dim=2)], dim=2))

    hooks = [
        norm.register_forward_pre_hook(lambda _, inputs, into=into: record(into, inputs[0]))
        for norm, into in zip(norms, stats, strict=True)
    ]
    try:
        yield stats
    finally:
        for hook in hooks:
            hook.remove()


def recalibrate_batch_norm(norm: _BatchNorm, stats: Sequence[Tensor]) -> None:
    """Give a batch norm the statistics of images, and change scale and shift so that it computes the same as before.

    Parameters
    ----------
    norm : batch norm
        It is changed.
    stats : sequence of Tensor of float64, shape (channels, 2)
        Mean and mean square of each channel, one per image; see `activation_stats`.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, square = torch.stack(list(stats)).mean(dim=0).unbind(dim=1)
    variance = (square - mean.square()).clamp_min(0)
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        norm.bias.add_(scale * (mean - norm.running_mean.double()))
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


class _Unpooled(nn.Module):
    """A backbone without its pooling."""

    def __init__(self, body: Backbone) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        return self.body.feature_maps(images)
