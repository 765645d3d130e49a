from itertools import product

import numpy as np
import pytest

from counterweight.augmentation.sorting_network import Network, Value, program


def here(plane: int) -> Value:
    return Value(plane, 0, 0)


@pytest.mark.parametrize("count", range(1, 11))
def test_network_sorts_all_zeros_and_ones_and_therefore_all_values(count: int) -> None:
    # The zero-one principle: Knuth, The Art of Computer Programming, 5.3.4, theorem Z.
    network = Network(count)
    made = program(network, network.sorted([here(plane) for plane in range(count)]))
    planes = np.array(list(product([0, 1], repeat=count)), np.uint8).T
    assert np.array_equal(np.stack(made.run(list(planes), 2**count)), np.sort(planes, axis=0))


def test_runs_of_different_lengths_are_merged() -> None:
    network = Network(5)
    merged = network.merged([[here(0)], [here(1), here(2), here(3)], [here(4)]])
    planes = [np.array([value], np.uint8) for value in (7, 2, 5, 9, 4)]
    assert [int(plane[0]) for plane in program(network, merged).run(planes, 1)] == [2, 4, 5, 7, 9]


def test_values_may_come_from_rows_below_and_columns_to_the_right() -> None:
    network = Network(1)
    smaller, larger = network.sorted([Value(0, 1, 0), Value(0, 0, 1)])
    plane = np.array([1, 5, 0, 3, 7, 0], np.uint8)  # Two rows of three.
    minimum, maximum = program(network, [smaller, larger]).run([plane], 3)
    assert (minimum[:2].tolist(), maximum[:2].tolist()) == ([3, 0], [5, 7])


def test_a_comparison_that_two_positions_share_is_made_once() -> None:
    network = Network(1)
    network.sorted([Value(0, 0, 0), Value(0, 0, 1)])
    assert len(network.comparisons) == 2
    network.sorted([Value(0, 4, 3), Value(0, 4, 2)])
    assert len(network.comparisons) == 2


def test_comparisons_that_lead_to_no_output_are_dropped() -> None:
    network = Network(3)
    _, middle, _ = network.sorted([here(0), here(1), here(2)])
    assert len(network.comparisons) == 6
    assert len(program(network, [middle]).steps) == 4


def test_an_output_may_be_an_input() -> None:
    assert program(Network(1), [here(0)]).run([np.array([3], np.uint8)], 1)[0].tolist() == [3]


def test_buffers_are_reused() -> None:
    network = Network(10)
    made = program(network, network.sorted([here(plane) for plane in range(10)])[:1])
    assert (len(made.steps), made.buffers) == (9, 15)
