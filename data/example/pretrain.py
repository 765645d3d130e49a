"""Pretrain the example's network on handwriting that none of the example's images shows.

Reads   scikit-learn's bundled digits (see drawing.py)
Writes  data/example/handwriting.safetensors (torchvision's ResNet-18 up to layer2)
Params  pretraining
"""

from collections.abc import Sequence

import numpy as np
import torch
from ruamel.yaml import YAML
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from counterweight.base.command import parse_options, run
from counterweight.base.outputs import atomic_file
from counterweight.images.geometry import network_view
from counterweight.networks.backbones import Backbone
from counterweight.runtime.progress import track_progress
from data.example.drawing import LABELS, LOOKS, SHAPE_SHARES, SHAPES, Pixels, Rng, draw, handwriting

MODEL, LAYER = "resnet18", "layer2"
MAX_DIGITS = 3  # Per image, as in the example.


def pretrain(*, images: int, batch_size: int, sizes: Sequence[int], learning_rate: float, seed: int) -> Backbone:
    """Train a network to name the digits of an image from left to right.

    Each image is drawn when it is needed and seen once, so memory does not grow with their number. All images of a
    batch have the same number of digits. Each digit is read from its own vertical strip of the feature maps, so that
    the network need not find out which digit is which label: that saves nine in ten images.

    Parameters
    ----------
    images, batch_size : int
        Images in all, and per step.
    sizes : sequence of int
        Height and width in pixels; each batch has one of them.
    learning_rate : float
        Highest learning rate of the one-cycle schedule (L. N. Smith and N. Topin, "Super-Convergence", 2018).
    seed : int
        Seed of the images and of the initial weights.

    Returns
    -------
    Backbone
        The network, which returns feature maps.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Backbone(MODEL, LAYER, (max(sizes), max(sizes)), pooling=None).to(memory_format=torch.channels_last)
    head = nn.Linear(network.n_features, len(LABELS))
    samples, n_steps = handwriting("pretraining"), max(images // batch_size, 1)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=n_steps)
    with track_progress(n_steps, "steps") as advance:
        for _ in range(n_steps):
            pixels, digits = draw_batch(samples, batch_size, int(rng.choice(sizes)), rng)
            strips = adaptive_avg_pool2d(network(pixels), (1, digits.shape[1])).squeeze(2).transpose(1, 2)
            loss = cross_entropy(head(strips).flatten(0, 1), digits.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            advance(1)
    return network


def draw_batch(samples: Sequence[Pixels], count: int, size: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """Draw images with the same number of digits, in which all digits and looks are equally frequent.

    Parameters
    ----------
    samples : sequence of array of float, shape (n_samples, 8, 8)
        Handwritten samples of each digit.
    count, size : int
        Number of images, and their height and width in pixels.
    rng : Generator
        Source of all random choices.

    Returns
    -------
    Tensor of uint8, shape (count, size, size, 3)
        The images.
    Tensor of int64, shape (count, n_digits)
        Digits of each image, from left to right.
    """
    n_digits = rng.integers(1, MAX_DIGITS + 1)
    digits = np.stack([rng.choice(LABELS, n_digits, replace=False) for _ in range(count)])
    pixels = np.empty((count, size, size, 3), dtype=np.uint8)
    for i, row in enumerate(digits):
        look, (height, width) = LOOKS[rng.integers(len(LOOKS))], SHAPES[rng.choice(len(SHAPES), p=SHAPE_SHARES)]
        image = draw([rng.choice(samples[digit]) for digit in row], look, height, width, rng)
        pixels[i] = network_view(image, "none", (size, size))
    return torch.from_numpy(pixels), torch.from_numpy(digits)


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "weights")
    params = YAML(typ="safe", pure=True).load(args.params)["pretraining"]

    torch.set_num_threads(2)  # Another number of threads would round differently.
    torch.use_deterministic_algorithms(True)
    state = pretrain(**params).trunk.state_dict()
    with atomic_file(args.weights) as aside:
        save_file({key: value.contiguous() for key, value in state.items() if value.is_floating_point()}, aside)

    return f"{MODEL} to {LAYER} pretrained on {params['images']} images"


if __name__ == "__main__":
    run(main)
