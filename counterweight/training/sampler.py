"""Samplers: in which order, and how often, a network sees its train images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import RandomSampler, Sampler, WeightedRandomSampler


def build_sampler(items: int, seed: int, weights: NDArray[np.float64] | None = None) -> Sampler[int]:
    """Build an order that depends only on seed and epoch: each item once, or drawn by weights with replacement."""
    # With its own generator: a loader draws from its generator once per epoch or once in all, depending on its workers.
    generator = torch.Generator().manual_seed(seed)
    if weights is None:
        return RandomSampler(range(items), generator=generator)
    return WeightedRandomSampler(weights.tolist(), items, generator=generator)


class SeededSampler(Sampler[tuple[int, int]]):
    """Pair each item with a seed of its own, so that any worker transforms it in the same way.

    Parameters
    ----------
    sampler : Sampler of int
        Order of the items.
    seed : int
        Seed of the generator of seeds.
    """

    def __init__(self, sampler: Sampler[int], seed: int) -> None:
        self.sampler = sampler
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the items of an epoch, each with its seed."""
        items = list(self.sampler)
        yield from zip(items, torch.randint(2**62, (len(items),), generator=self.generator).tolist(), strict=True)

    def __len__(self) -> int:
        """Return the number of items per epoch."""
        return len(self.sampler)  # type: ignore[arg-type]


def generators_of(sampler: Sampler[Any]) -> list[torch.Generator]:
    """Return the generators that a sampler draws from; their states are what resuming it takes."""
    inner = generators_of(sampler.sampler) if isinstance(sampler, SeededSampler) else []
    own = getattr(sampler, "generator", None)
    return inner if own is None else [*inner, own]
