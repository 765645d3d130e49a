"""How much each part of an image speaks for a label, by Captum."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam, Lime, Occlusion
from numpy.typing import NDArray
from skimage.segmentation import slic
from torch import Tensor, nn

from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.determinism import batch_runner
from counterweight.networks.inference import CPU_BATCH
from counterweight.runtime.progress import track_progress

# Changed images that the network sees at once.
_AT_ONCE = 4 * CPU_BATCH

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class ExplainConfig:
    """How images are explained.

    Attributes
    ----------
    method : str
        ``gradcam``, the gradient-weighted feature maps of the last convolution (Selvaraju et al. 2017); ``occlusion``,
        the fall of the label's logit when a square is painted over (Zeiler and Fergus 2014); or ``lime``, a linear
        model of the logit by which superpixels are left (Ribeiro et al. 2016).
    patches : int
        Squares per side of ``occlusion``; its square is about the number of superpixels of ``lime``.
    samples : int
        Changed images per explanation of ``lime``.
    seed : int
        Seed of ``lime``.
    """

    method: str
    patches: int
    samples: int
    seed: int


def explain(
    classifier: Classifier, images: NDArray[np.uint8], columns: Sequence[int], config: ExplainConfig
) -> tuple[Maps, str]:
    """Explain one label of each image, with the same result for any number of threads of the CPU.

    Parameters
    ----------
    classifier : Classifier
        It is put into evaluation mode, on the CPU.
    images : array of uint8, shape (n_images, height, width, 3)
        What the classifier sees, see `counterweight.images.geometry.network_view`.
    columns : sequence of int
        The label of each image.
    config : ExplainConfig
        The method. Networks without feature maps, such as vision transformers, are explained by ``occlusion`` instead
        of ``gradcam``.

    Returns
    -------
    maps : array of float32, shape (n_images, height, width)
        Positive where the image speaks for the label, negative where it speaks against it.
    method : str
        The method that made them.
    """
    classifier.cpu().eval()
    network = _Observed(classifier, torch.from_numpy(images[:1].copy()))
    method = "occlusion" if config.method == "gradcam" and network.maps is None else config.method
    explain_one = {"gradcam": _gradcam, "occlusion": _occlusion, "lime": _lime}[method]
    maps = np.empty(images.shape[:3], dtype=np.float32)
    with track_progress(len(images), "explanations") as advance:
        for i, (image, column) in enumerate(zip(images, columns, strict=True)):
            maps[i] = explain_one(network, torch.from_numpy(image[None].copy()), int(column), config).detach().numpy()
            advance(1)
    return maps, method


class _Observed(nn.Module):
    """A classifier and the module that makes its last feature maps, which Captum observes.

    Attributes
    ----------
    maps : Module or None
        Its output has shape (n, channels, height, width). A network with attention has none: its last maps are patches
        of the image, before all that it does with them.
    """

    def __init__(self, classifier: Classifier, image: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        self.cut: nn.Identity | None = None
        self.maps: nn.Module | None = None
        # A network that was cut at a layer has lost the types of its blocks, but not their names.
        names = [f"{name} {type(layer).__name__}".lower() for name, layer in classifier.named_modules()]
        if any("attn" in name or "attention" in name for name in names):
            return
        body = classifier.body
        with torch.inference_mode():
            # A network that was cut at a layer ends in no module of its own.
            if isinstance(body, Backbone) and body.pooling is not None and _has_cells(body.feature_maps(image)):
                self.cut = self.maps = nn.Identity()
            else:
                self.maps = _last_maps(classifier, image)

    def forward(self, images: Tensor) -> Tensor:
        body = self.classifier.body
        if self.cut is None or not isinstance(body, Backbone):
            logits: Tensor = self.classifier(images)
        else:
            logits = self.classifier.head(body.pool(self.cut(body.feature_maps(images))))
        return logits


def _has_cells(output: Tensor) -> bool:
    """Whether an output is maps of more than one cell, which alone can tell places apart."""
    return output.dim() == 4 and min(output.shape[2:]) > 1


def _last_maps(network: nn.Module, image: Tensor) -> nn.Module | None:
    """Return the module that is the last to return maps of more than one cell."""
    layers: list[nn.Module] = []

    def observe(layer: nn.Module, _: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor) and _has_cells(output):
            layers.append(layer)

    hooks = [layer.register_forward_hook(observe) for layer in network.modules()]
    network(image)
    for hook in hooks:
        hook.remove()
    return layers[-1] if layers else None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread, since the sums of several are rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _gradcam(network: _Observed, image: Tensor, column: int, _: ExplainConfig) -> Tensor:
    with _one_thread():
        maps = LayerGradCam(network, network.maps).attribute(image, target=column, relu_attributions=True)
        resized: Tensor = LayerAttribution.interpolate(maps, tuple(image.shape[1:3]), "bilinear")
    return resized[0, 0]


@contextmanager
def _logits_of(network: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield a function from changed images, float32 of shape (n, height, width, 3), to logits."""
    with batch_runner(network, torch.device("cpu"), CPU_BATCH) as run_batches, torch.inference_mode():

        def logits(changed: Tensor) -> Tensor:
            images = changed.round().to(torch.uint8)
            padding = images[-1:].expand(-len(images) % CPU_BATCH, -1, -1, -1)
            return run_batches(torch.cat([images, padding]))[: len(images)]

        yield logits


def _mean_color(image: Tensor) -> Tensor:
    return image.float().mean(dim=(1, 2), keepdim=True).round().expand(image.shape)


def _occlusion(network: _Observed, image: Tensor, column: int, config: ExplainConfig) -> Tensor:
    sides = tuple(-(-length // config.patches) for length in image.shape[1:3])
    with _logits_of(network) as logits:
        changes: Tensor = Occlusion(logits).attribute(
            image.float(), target=column, sliding_window_shapes=(*sides, 3), strides=(*sides, 3),
            baselines=_mean_color(image), perturbations_per_eval=_AT_ONCE,
        )  # fmt: skip
    return changes[0].mean(dim=2)


def _lime(network: _Observed, image: Tensor, column: int, config: ExplainConfig) -> Tensor:
    superpixels = slic(image[0].numpy(), n_segments=config.patches**2, start_label=0)
    mask = torch.from_numpy(superpixels)[None, :, :, None].expand(image.shape)
    with torch.random.fork_rng(devices=[]), _logits_of(network) as logits:
        torch.manual_seed(config.seed)
        weights: Tensor = Lime(logits).attribute(
            image.float(), target=column, feature_mask=mask, n_samples=config.samples,
            baselines=_mean_color(image), perturbations_per_eval=_AT_ONCE,
        )  # fmt: skip
    return weights[0].mean(dim=2)
