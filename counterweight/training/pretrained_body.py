"""Prepare a pretrained body for training on the user's images.

In training, batch norm normalizes by the statistics of the batch; in evaluation, by those that came with the weights.
If the two are far apart, training starts from another network than the one that was loaded. That happens with weights
whose batch norm was folded into the convolutions, and with images unlike those that the weights were made with.

`torch.optim.swa_utils.update_bn` does not help: it replaces the statistics and leaves scale and shift, so that the
network computes something else afterwards. Here scale and shift compensate, so that in evaluation nothing changes.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from math import ceil

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.loader import ImageDataset
from counterweight.training.datasets import ArmImages

# Images that the body is fitted to: a hundred points and more for each of the 64 directions of bilinear pooling.
MAX_FIT_IMAGES = 256
_BATCH = 16


def fit_pretrained_body(classifier: Classifier, table: pd.DataFrame, images: ArmImages, *, recalibrate: bool) -> None:
    """Fit bilinear pooling and batch norm of a torchvision body to train images; other bodies stay as they are.

    Parameters
    ----------
    classifier : Classifier
        It is changed.
    table, images : pandas.DataFrame, ArmImages
        Train rows of a manifest, and their images. `MAX_FIT_IMAGES` originals are used, evenly spread.
    recalibrate : bool
        Whether to recalibrate batch norm: if the body is trained and did not start from random weights. Layers that
        were reinitialized are left alone.
    """
    body = classifier.body
    if not isinstance(body, Backbone):
        return
    originals = table[table["source_id"] == ""]
    sample = originals.iloc[:: ceil(len(originals) / MAX_FIT_IMAGES)]
    preprocessing = classifier.config.preprocessing
    if body.bilinear is not None:
        unpooled = copy(body)
        unpooled.pooling = None
        body.bilinear.fit(torch.tensor(images.features(unpooled, sample, preprocessing)))
    norms = batch_norms(body.trunk, exclude=body.reinitialized)
    if recalibrate and norms:
        dataset = ImageDataset(images.files(sample), preprocessing)
        with activation_stats(norms) as stats, torch.inference_mode():
            body.eval()
            for start in range(0, len(dataset), _BATCH):
                body.feature_maps(torch.stack([dataset[i][0] for i in range(start, min(start + _BATCH, len(dataset)))]))
        for norm, seen in stats.items():
            recalibrate_batch_norm(norm, seen)


def batch_norms(network: nn.Module, *, exclude: Collection[str] = ()) -> list[_BatchNorm]:
    """Batch norms that keep running statistics and have a scale and a shift, but for those with an excluded weight."""
    return [
        module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and module.affine
        and module.running_mean is not None
        and f"{name}.weight" not in exclude
    ]


@contextmanager
def activation_stats(norms: Iterable[_BatchNorm]) -> Iterator[dict[_BatchNorm, list[Tensor]]]:
    """Record what enters batch norms while their network runs.

    Yields
    ------
    dict of batch norm to list of Tensor
        One tensor per image, float64 of shape (channels, 2): per channel the mean and the mean square.
    """
    stats: dict[_BatchNorm, list[Tensor]] = {norm: [] for norm in norms}

    def record(norm: _BatchNorm, inputs: tuple[Tensor]) -> None:
        values = inputs[0].detach().double()
        values = values.flatten(2) if values.dim() > 2 else values[..., None]
        stats[norm].extend(torch.stack([values.mean(dim=2), values.square().mean(dim=2)], dim=2))

    with ExitStack() as hooks:
        for norm in stats:
            hooks.enter_context(norm.register_forward_pre_hook(record))
        yield stats


def recalibrate_batch_norm(norm: _BatchNorm, stats: Sequence[Tensor]) -> None:
    """Give a batch norm the statistics of images, and change scale and shift so that it computes the same as before.

    ``stats`` are those of `activation_stats`: per image the mean and the mean square of each channel.
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
