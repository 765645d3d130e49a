"""The order in which a network sees its train images, and how often it sees each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import RandomSampler, Sampler, WeightedRandomSampler


def order_of(items: int, seed: int, weights: NDArray[np.float64] | None = None) -> Sampler[int]:
    """An order that depends on the seed and the epoch alone: each item once, or drawn by weights with replacement."""
    # A generator of its own: the loader draws from its own too, once an epoch or once in all, as it has workers or not.
    generator = torch.Generator().manual_seed(seed)
    if weights is None:
        return RandomSampler(range(items), generator=generator)
    return WeightedRandomSampler(weights.tolist(), items, generator=generator)


class Seeded(Sampler[tuple[int, int]]):
    """An order in which each item comes with a seed of its own, so that any worker changes it in the same way.

    Parameters
    ----------
    order : Sampler of int
        The items.
    seed : int
        Of the seeds.
    """

    def __init__(self, order: Sampler[int], seed: int) -> None:
        self.order = order
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Items of one epoch, each with its seed."""
        items = list(self.order)
        yield from zip(items, torch.randint(2**62, (len(items),), generator=self.generator).tolist(), strict=True)

    def __len__(self) -> int:
        """Count the items of an epoch."""
        return len(self.order)  # type: ignore[arg-type]


def generators_of(order: Sampler[Any]) -> list[torch.Generator]:
    """The generators that an order draws from: with their states it goes on where it was."""
    inner = generators_of(order.order) if isinstance(order, Seeded) else []
    own = getattr(order, "generator", None)
    return inner if own is None else [*inner, own]
