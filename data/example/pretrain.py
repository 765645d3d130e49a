"""Pretrain the example's network on handwriting that none of the example's images shows.

Reads   scikit-learn's bundled digits (see drawing.py)
Writes  data/example/handwriting.safetensors (torchvision's ResNet-18 up to layer2)
Params  pretraining
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from counterweight.base.command import parse_options, run
from counterweight.base.errors import InputError
from counterweight.base.outputs import atomic_file
from counterweight.runtime.portable_kernels import use_portable_kernels
from counterweight.runtime.progress import track_progress
from data.example.drawing import LABELS, LOOKS, Pixels, Rng, draw, handwriting

if TYPE_CHECKING:
    from torch import Tensor

MODEL, LAYER = "resnet18", "layer2"
MAX_DIGITS = 2  # Per image. Three would take longer for the same accuracy.


def pretrain(
    *, heights: Sequence[int], images: Sequence[int], batch_size: int, learning_rate: float, seed: int
) -> "dict[str, Tensor]":
    """Train a network to name the digits of images.

    It starts with small images, which are many per second, and goes on with larger ones (fast.ai's progressive
    resizing). Each image is drawn when it is needed and seen once, so their number does not change the memory needed.
    Each digit is read from its own part of the image's width. That takes far fewer images than learning from all
    digits of an image at once, where nothing says which is which.

    Parameters
    ----------
    heights, images : sequence of int
        Heights in pixels, in the order of training, and the number of images of each height. An image is as wide as
        it has digits, so the digits are about as large as the height.
    batch_size : int
        Images per step.
    learning_rate : float
        Highest learning rate of the one-cycle schedule (L. N. Smith and N. Topin, "Super-Convergence", 2018).
    seed : int
        Seed of the images and of the initial weights.

    Returns
    -------
    dict of str to Tensor of float32
        Parameters and batch norm statistics by torchvision's names.
    """
    # Imported here, after `run` has limited for how long OpenMP's threads wait in a loop.
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

    from counterweight.networks.backbones import Backbone

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Backbone(MODEL, LAYER, (max(heights), max(heights)), pooling=None)
    network.to(memory_format=torch.channels_last)
    head = torch.nn.Linear(network.n_features, len(LABELS))
    samples = handwriting("pretraining")
    steps = [height for height, count in zip(heights, images, strict=True) for _ in range(count // batch_size)]
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=len(steps))
    with track_progress(len(steps), "steps") as advance:
        for height in steps:
            pixels, digits = draw_batch(samples, batch_size, height, rng)
            parts = adaptive_avg_pool2d(network(torch.from_numpy(pixels)), (1, digits.shape[1])).flatten(2)
            loss = cross_entropy(head(parts.transpose(1, 2)).flatten(0, 1), torch.from_numpy(digits).flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            advance(1)
    return {key: value.contiguous() for key, value in network.trunk.state_dict().items() if value.is_floating_point()}


def draw_batch(
    samples: Sequence[Pixels], count: int, height: int, rng: Rng
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw images with the same number of digits, in which all digits and looks are equally likely.

    Parameters
    ----------
    samples : sequence of array of float, shape (n_samples, 8, 8)
        Handwritten samples of each digit.
    count, height : int
        Number of images, and their height in pixels.
    rng : Generator
        Source of all random choices.

    Returns
    -------
    array of uint8, shape (count, height, n_digits * height, 3)
        The images.
    array of int64, shape (count, n_digits)
        Digits of each image, from left to right.
    """
    n_digits = int(rng.integers(1, MAX_DIGITS + 1))
    digits = np.stack([rng.choice(LABELS, n_digits, replace=False) for _ in range(count)])
    looks = [LOOKS[number] for number in rng.integers(len(LOOKS), size=count)]
    chosen = [[rng.choice(samples[digit]) for digit in row] for row in digits]
    drawn = [draw(each, look, height, n_digits * height, rng) for each, look in zip(chosen, looks, strict=True)]
    return np.stack(drawn), digits


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "weights")
    params = YAML(typ="safe", pure=True).load(args.params)["pretraining"]
    # Everything in the example follows from these weights. A processor without AVX2 makes weights of its own.
    with suppress(InputError):
        use_portable_kernels(os.environ)

    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(2)  # Another number of threads would round differently.
    torch.set_deterministic_debug_mode("error")
    state = pretrain(**params)
    with atomic_file(args.weights) as aside:
        save_file(state, aside)

    return f"{MODEL} up to {LAYER} pretrained on {sum(params['images'])} images"


if __name__ == "__main__":
    run(main)
