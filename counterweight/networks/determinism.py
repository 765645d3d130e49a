"""Run networks on a CPU so that a row depends on its image alone, to the last bit."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

_HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
# Products of an output, and input channels, up to which oneDNN adds one after the other on all processors. More of them
# it divides into blocks, by the width of the processor's instructions and the size of its cache.
_MAX_PRODUCTS, _MAX_CHANNELS = 2304, 256


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


@contextmanager
def _own_forward(network: nn.Module) -> Iterator[None]:
    """Let linear layers and some convolutions compute as the functions below do."""
    changed: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
    for module in network.modules():
        if isinstance(module, nn.Linear):
            changed[module] = partial(_linear_one_row_at_a_time, module)
        elif type(module) is nn.Conv2d and _rounds_by_processor(module):
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


def _channels_at_once(layer: nn.Conv2d) -> int:
    """Return how many input channels are added up in one go."""
    if layer.groups > 1:
        return layer.in_channels
    return max(1, min(_MAX_CHANNELS, _MAX_PRODUCTS // math.prod(layer.kernel_size)))


def _rounds_by_processor(layer: nn.Conv2d) -> bool:
    """Return whether PyTorch leaves a convolution of few images to MKL, or oneDNN may add it up in several blocks."""
    is_plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    is_large = layer.in_channels > _channels_at_once(layer)
    is_single = layer.weight.dtype == torch.float32
    return _HAS_ONEDNN and is_plain and is_single and (layer.kernel_size == (1, 1) or is_large)


def _convolution_by_onednn(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    def convolve(part: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.mkldnn_convolution(part, weight, bias, padding, layer.stride, layer.dilation, layer.groups)

    padding = cast(tuple[int, ...], layer.padding)
    size = _channels_at_once(layer)
    if size >= layer.in_channels:
        return convolve(inputs, layer.weight, layer.bias)
    parts, weights = (torch.split(tensor, size, 1) for tensor in (inputs, layer.weight))
    outputs = convolve(parts[0], weights[0], layer.bias)
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        outputs += convolve(part, weight, None)
    return outputs
