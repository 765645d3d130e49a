"""Random changes to train images on the fly, by torchvision's v2 transforms."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from counterweight.base.errors import InputError

Steps = Sequence[Mapping[str, Mapping[str, Any]]]


class TransformedDataset(Dataset[tuple[Tensor, ...]]):
    """A dataset whose images are transformed by the seed that comes with each index.

    Parameters
    ----------
    items : Dataset
        Pairs of an image, uint8 of shape (height, width, 3), and its targets.
    steps : sequence of mapping of str to mapping
        Transforms in order, each a name with its arguments.
    size : (int, int)
        Width and height of the images. Transforms that change it restore it.

    Raises
    ------
    InputError
        If torchvision refuses an argument's value.
    """

    def __init__(self, items: Dataset[tuple[Tensor, ...]], steps: Steps, size: tuple[int, int]) -> None:
        self.items = items
        self.change = v2.Compose([_transform(name, values, size) for step in steps for name, values in step.items()])

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, drawn: tuple[int, int]) -> tuple[Tensor, ...]:
        """Return the item of an index, transformed by a seed."""
        index, seed = drawn
        image, targets = self.items[index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            changed = self.change(image.permute(2, 0, 1))
        return changed.permute(1, 2, 0).contiguous(), targets


def _transform(name: str, values: Mapping[str, Any], size: tuple[int, int]) -> v2.Transform:
    arguments = dict(values)
    if name in {"RandomCrop", "RandomResizedCrop"}:
        arguments["size"] = (size[1], size[0])
    if "interpolation" in arguments:
        arguments["interpolation"] = InterpolationMode(arguments["interpolation"])
    try:
        return getattr(v2, name)(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"params.yaml: train.transforms: torchvision refuses {name} with {dict(values)}: {error}. Correct it."
        ) from None
