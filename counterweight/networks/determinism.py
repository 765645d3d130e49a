"""Run networks on a CPU so that a row depends on its image alone, to the last bit."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


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
            _rowwise_linear(network),
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            yield lambda images: torch.cat(list(pool.map(run_batch, torch.split(images, batch_size))))
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _rowwise_linear(network: nn.Module) -> Iterator[None]:
    """Multiply each row of a batch separately: on some processors, rounding depends on a row's position."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        layer.forward = partial(_linear_one_row_at_a_time, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _linear_one_row_at_a_time(layer: nn.Linear, inputs: Tensor) -> Tensor:
    # Each row is copied to memory of its own, for rounding depends on alignment, too.
    return torch.cat([linear(inputs[i : i + 1].clone(), layer.weight, layer.bias) for i in range(len(inputs))])
