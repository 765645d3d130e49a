"""Run networks on a CPU so that a row depends on its image alone, to the last bit, and little on the processor."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from counterweight.networks.pooling import BilinearPooling

_HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
# Input channels whose products oneDNN adds up one after the other, for all processors alike.
_MAX_CHANNELS = 512
# Layers without a kernel that rounds by the processor, given the convolutions below.
_ROUND_ALIKE = (
    nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Identity,
)  # fmt: skip


@contextmanager
def batch_runner(network: nn.Module, device: torch.device, batch_size: int) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield a function that maps the images of several whole batches to their rows.

    On a CPU, each batch is computed by one thread: several threads together use other kernels, which round
    differently. A GPU, and a network with an attribute ``batches_at_once``, take the images as they are. The network
    must be in evaluation mode and on the device.
    """
    if device.type != "cpu" or hasattr(network, "batches_at_once"):
        yield network
        return

    def run_batch(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            outputs: Tensor = network(batch)
        return outputs

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Each thread sets its own number: a new one would adopt it only with its first large operation.
        with (
            _own_forward(network),
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            yield lambda images: torch.cat(list(pool.map(run_batch, torch.split(images, batch_size))))
    finally:
        torch.set_num_threads(threads)


def rounds_alike(network: nn.Module) -> bool:
    """Return whether `batch_runner` gives the same rows on all x86-64 processors with AVX2, by whatever kernels.

    That holds of convolutional networks for color images. Matrix products, norms and activations of other networks
    round by the processor.
    """
    modules = list(network.modules())
    layers = [module for module in modules if next(module.children(), None) is None]
    return (
        _HAS_ONEDNN
        and all(isinstance(layer, _ROUND_ALIKE) for layer in layers)
        and all(layer.in_channels > 1 for layer in layers if isinstance(layer, nn.Conv2d))
        and not any(isinstance(module, BilinearPooling) for module in modules)
    )


@contextmanager
def _own_forward(network: nn.Module) -> Iterator[None]:
    """Let linear layers and some convolutions compute as the functions below do."""
    changed: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
    for module in network.modules():
        if isinstance(module, nn.Linear):
            changed[module] = partial(_linear_one_row_at_a_time, module)
        elif type(module) is nn.Conv2d and _may_round_otherwise(module):
            changed[module] = partial(_convolution_by_onednn, module)
    for module, forward in changed.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _linear_one_row_at_a_time(layer: nn.Linear, inputs: Tensor) -> Tensor:
    # On some processors, rounding depends on a row's position. Each row is copied to memory of its own, for it depends
    # on alignment, too.
    return torch.cat([linear(inputs[i : i + 1].clone(), layer.weight, layer.bias) for i in range(len(inputs))])


def _may_round_otherwise(layer: nn.Conv2d) -> bool:
    """Return whether PyTorch leaves a convolution of few images to MKL, or oneDNN may add it up in several parts."""
    is_large = layer.groups == 1 and layer.in_channels > _MAX_CHANNELS
    is_plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return _HAS_ONEDNN and is_plain and (layer.kernel_size == (1, 1) or is_large)


def _convolution_by_onednn(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    # MKL's products differ from processor to processor, and so do the parts in which oneDNN adds up many channels.
    def convolve(part: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.mkldnn_convolution(part, weight, bias, padding, layer.stride, layer.dilation, layer.groups)

    padding = cast(tuple[int, ...], layer.padding)
    if layer.groups > 1:
        return convolve(inputs, layer.weight, layer.bias)
    first, *others = zip(
        torch.split(inputs, _MAX_CHANNELS, 1), torch.split(layer.weight, _MAX_CHANNELS, 1), strict=True
    )
    outputs = convolve(*first, layer.bias)
    for other in others:
        outputs += convolve(*other, None)
    return outputs
