"""Sorting networks that compare whole planes at once, that is, all pixels of an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.uint8]


class Value(NamedTuple):
    """A value at each position: that of a plane, so many rows down and columns right of the position."""

    plane: int
    down: int
    right: int


Run: TypeAlias = Sequence[Value]


class Comparison(NamedTuple):
    """A new plane: at each position the smaller, or the larger, of a plane's value there and another value."""

    larger: bool
    first: int
    second: Value


@dataclass(frozen=True)
class Network:
    """Comparisons of planes; a comparison that several positions share is made once.

    Attributes
    ----------
    inputs : int
        Number of input planes; the planes that comparisons make are numbered after them.
    comparisons : list of Comparison
        In an order in which they can be made.
    """

    inputs: int
    comparisons: list[Comparison] = field(default_factory=list)
    _plane_of: dict[Comparison, int] = field(default_factory=dict)

    def _compare(self, larger: bool, a: Value, b: Value) -> Value:
        first, second = sorted((a, b), key=lambda value: (value.down, value.right, value.plane))
        offset = Value(second.plane, second.down - first.down, second.right - first.right)
        comparison = Comparison(larger, first.plane, offset)
        if comparison not in self._plane_of:
            self._plane_of[comparison] = self.inputs + len(self.comparisons)
            self.comparisons.append(comparison)
        return Value(self._plane_of[comparison], first.down, first.right)

    def sorted(self, values: Run) -> Run:
        """Return values in ascending order."""
        return self.merged([[value] for value in values])

    def merged(self, runs: Sequence[Run]) -> Run:
        """Merge ascending runs into one, the shortest first."""
        remaining = sorted(runs, key=len)
        while len(remaining) > 1:
            remaining = sorted([self._merge(remaining[0], remaining[1]), *remaining[2:]], key=len)
        return remaining[0] if remaining else []

    def _merge(self, a: Run, b: Run) -> Run:
        """Batcher's odd-even merge of two runs of any lengths (Knuth, The Art of Computer Programming, 5.3.4)."""
        if not a or not b:
            return a or b
        if len(a) == len(b) == 1:
            return [self._compare(False, a[0], b[0]), self._compare(True, a[0], b[0])]
        smallest, *even = self._merge(a[::2], b[::2])
        odd = self._merge(a[1::2], b[1::2])
        n_pairs = min(len(odd), len(even))
        ascending = [smallest]
        for left, right in zip(odd, even, strict=False):
            ascending += [self._compare(False, left, right), self._compare(True, left, right)]
        return [*ascending, *odd[n_pairs:], *even[n_pairs:]]


@dataclass(frozen=True)
class Program:
    """The comparisons that lead to the outputs of a network, on buffers that are reused.

    Attributes
    ----------
    steps : list of (Comparison, int)
        Comparisons of buffers, each with the buffer that it writes.
    buffers : int
        Number of buffers; the first are the input planes.
    outputs : list of Value
        Values of buffers, in the order in which they were requested.
    """

    steps: list[tuple[Comparison, int]]
    buffers: int
    outputs: list[Value]

    def run(self, planes: Sequence[Plane], width: int) -> list[Plane]:
        """Compute the outputs.

        Parameters
        ----------
        planes : sequence of arrays of uint8, shape (n_positions,)
            The input planes, flattened row by row.
        width : int
            Positions per row.

        Returns
        -------
        list of arrays of uint8, shape (n_positions,)
            Valid except at positions that depend on a row or column beyond the edge.
        """
        size = len(planes[0])
        buffers = [*planes, *np.empty((self.buffers - len(planes), size), np.uint8)]
        for (larger, first, (second, down, right)), target in self.steps:
            offset = down * width + right
            a, b = buffers[first][: size - offset], buffers[second][offset:]
            (np.maximum if larger else np.minimum)(a, b, out=buffers[target][: size - offset])
        return [np.roll(buffers[plane], -down * width - right) for plane, down, right in self.outputs]


def program(network: Network, outputs: Sequence[Value]) -> Program:
    """Drop the comparisons that lead to no output, and assign a buffer to each of the others.

    Parameters
    ----------
    network : Network
        The comparisons.
    outputs : sequence of Value
        Values to compute.
    """
    order = list(_required(network, [value.plane for value in outputs]))
    last_use = {}
    for plane in order:
        comparison = network.comparisons[plane - network.inputs]
        last_use[comparison.first] = last_use[comparison.second.plane] = plane
    buffer_of = {plane: plane for plane in range(network.inputs)}
    free: list[int] = []
    steps: list[tuple[Comparison, int]] = []
    n_buffers = network.inputs
    for plane in order:
        larger, first, second = network.comparisons[plane - network.inputs]
        if not free:
            free.append(n_buffers)
            n_buffers += 1
        buffer_of[plane] = free.pop()
        operand = second._replace(plane=buffer_of[second.plane])
        steps.append((Comparison(larger, buffer_of[first], operand), buffer_of[plane]))
        # Only now: a buffer that is still read at an offset must not be the one that is written.
        for used in {first, second.plane}:
            if used >= network.inputs and last_use[used] == plane:
                free.append(buffer_of[used])
    return Program(steps, n_buffers, [value._replace(plane=buffer_of[value.plane]) for value in outputs])


def _required(network: Network, planes: Sequence[int]) -> Iterator[int]:
    """The planes that lead to those, each soon after its operands, so that few buffers are held at a time."""
    done = set(range(network.inputs))
    stack = list(reversed(planes))
    while stack:
        if stack[-1] in done:
            stack.pop()
            continue
        _, first, second = network.comparisons[stack[-1] - network.inputs]
        missing = [plane for plane in (second.plane, first) if plane not in done]
        if missing:
            stack += missing
        else:
            done.add(stack[-1])
            yield stack.pop()
