"""Sorting networks whose comparisons are made of whole planes at once, for all places of an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.uint8]


class Value(NamedTuple):
    """A value that each place has: what a plane holds so many rows down and columns right of it."""

    plane: int
    down: int
    right: int


Run: TypeAlias = Sequence[Value]


class Comparison(NamedTuple):
    """A plane that is made: at each place the smaller, or the larger, of a plane there and another value."""

    larger: bool
    first: int
    second: Value


@dataclass(frozen=True)
class Network:
    """Comparisons from some planes on. What several places need is compared once, wherever each needs it.

    Attributes
    ----------
    inputs : int
        Planes that are given; those that are made have the numbers behind them.
    comparisons : list of Comparison
        In an order in which they can be made.
    """

    inputs: int
    comparisons: list[Comparison] = field(default_factory=list)
    _known: dict[Comparison, int] = field(default_factory=dict)

    def _compared(self, larger: bool, a: Value, b: Value) -> Value:
        first, second = sorted((a, b), key=lambda value: (value.down, value.right, value.plane))
        apart = Value(second.plane, second.down - first.down, second.right - first.right)
        comparison = Comparison(larger, first.plane, apart)
        if comparison not in self._known:
            self._known[comparison] = self.inputs + len(self.comparisons)
            self.comparisons.append(comparison)
        return Value(self._known[comparison], first.down, first.right)

    def sorted(self, values: Run) -> Run:
        """Values in ascending order."""
        return self.merged([[value] for value in values])

    def merged(self, runs: Sequence[Run]) -> Run:
        """All values of some ascending runs in ascending order; the shortest are merged first."""
        left = sorted(runs, key=len)
        while len(left) > 1:
            left = sorted([self._merged(left[0], left[1]), *left[2:]], key=len)
        return left[0] if left else []

    def _merged(self, a: Run, b: Run) -> Run:
        """Batcher's odd-even merge, of runs of any two lengths (Knuth, The Art of Computer Programming, 5.3.4)."""
        if not a or not b:
            return a or b
        if len(a) == len(b) == 1:
            return [self._compared(False, a[0], b[0]), self._compared(True, a[0], b[0])]
        least, *even = self._merged(a[::2], b[::2])
        odd = self._merged(a[1::2], b[1::2])
        both = min(len(odd), len(even))
        ascending = [least]
        for one, other in zip(odd, even, strict=False):
            ascending += [self._compared(False, one, other), self._compared(True, one, other)]
        return [*ascending, *odd[both:], *even[both:]]


@dataclass(frozen=True)
class Program:
    """What leads to the wanted values of a network, on buffers that are used again.

    Attributes
    ----------
    steps : list of (Comparison, int)
        Comparisons of buffers, and the buffer that each is written to.
    buffers : int
        How many there are; the first are the given planes.
    wanted : list of Value
        Of buffers, in the order in which they were asked for.
    """

    steps: list[tuple[Comparison, int]]
    buffers: int
    wanted: list[Value]

    def run(self, planes: Sequence[Plane], width: int) -> list[Plane]:
        """Make the wanted planes.

        Parameters
        ----------
        planes : sequence of arrays of uint8, shape (n_places,)
            The given ones, of rows of ``width`` places.
        width : int
            Of a row.

        Returns
        -------
        list of arrays of uint8, shape (n_places,)
            Right at all places but those from which a row or column beyond the edge would be seen.
        """
        size = len(planes[0])
        buffers = [*planes, *np.empty((self.buffers - len(planes), size), np.uint8)]
        for (larger, first, (second, down, right)), target in self.steps:
            apart = down * width + right
            a, b = buffers[first][: size - apart], buffers[second][apart:]
            (np.maximum if larger else np.minimum)(a, b, out=buffers[target][: size - apart])
        return [np.roll(buffers[plane], -down * width - right) for plane, down, right in self.wanted]


def program(network: Network, wanted: Sequence[Value]) -> Program:
    """Leave out what leads to no wanted value, and give each comparison a buffer.

    Parameters
    ----------
    network : Network
        The comparisons.
    wanted : sequence of Value
        What to make of them.
    """
    order = list(_needed(network, [value.plane for value in wanted]))
    last_use = {}
    for plane in order:
        comparison = network.comparisons[plane - network.inputs]
        last_use[comparison.first] = last_use[comparison.second.plane] = plane
    buffer_of = {plane: plane for plane in range(network.inputs)}
    free: list[int] = []
    steps: list[tuple[Comparison, int]] = []
    count = network.inputs
    for plane in order:
        larger, first, second = network.comparisons[plane - network.inputs]
        if not free:
            free.append(count)
            count += 1
        buffer_of[plane] = free.pop()
        moved = second._replace(plane=buffer_of[second.plane])
        steps.append((Comparison(larger, buffer_of[first], moved), buffer_of[plane]))
        # Not before: what is read further right must not have been written over.
        for used in {first, second.plane}:
            if used >= network.inputs and last_use[used] == plane:
                free.append(buffer_of[used])
    return Program(steps, count, [value._replace(plane=buffer_of[value.plane]) for value in wanted])


def _needed(network: Network, planes: Sequence[int]) -> Iterator[int]:
    """The planes that lead to those, each soon after what it is made from: fewer are held at a time."""
    done = set(range(network.inputs))
    left = list(reversed(planes))
    while left:
        if left[-1] in done:
            left.pop()
            continue
        _, first, second = network.comparisons[left[-1] - network.inputs]
        lacking = [plane for plane in (second.plane, first) if plane not in done]
        if lacking:
            left += lacking
        else:
            done.add(left[-1])
            yield left.pop()
