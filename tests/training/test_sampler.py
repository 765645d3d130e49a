from collections import Counter

import numpy as np
import torch

from counterweight.training.sampler import SeededSampler, build_sampler


def test_each_item_comes_once_an_epoch() -> None:
    order = list(build_sampler(10, 3))
    assert order != list(range(10))
    assert sorted(order) == list(range(10))


def test_orders_depend_on_the_seed_and_the_epoch_alone() -> None:
    first, again, other = build_sampler(10, 3), build_sampler(10, 3), build_sampler(10, 4)
    epochs = [list(first) for _ in range(3)]
    torch.manual_seed(1)
    assert [list(again) for _ in range(3)] == epochs
    assert list(other) != epochs[0]
    assert epochs[0] != epochs[1]


def test_weighted_items_come_with_replacement_as_often_as_they_weigh() -> None:
    drawn = Counter(build_sampler(4, 0, np.array([1.0, 0.0, 3.0, 0.0])))
    assert drawn.total() == 4
    many = Counter(build_sampler(40_000, 0, np.repeat([1.0, 3.0], 20_000)))
    heavy = sum(count for item, count in many.items() if item >= 20_000)
    assert many.total() == 40_000
    assert abs(heavy / 40_000 - 0.75) < 0.01


def test_item_of_weight_0_is_never_drawn() -> None:
    assert set(build_sampler(4, 0, np.array([1.0, 0.0, 3.0, 0.0]))) <= {0, 2}


def test_weighted_orders_depend_on_the_seed_alone() -> None:
    weights = np.arange(1.0, 11.0)
    torch.manual_seed(0)
    first = list(build_sampler(10, 3, weights))
    torch.manual_seed(1)
    assert list(build_sampler(10, 3, weights)) == first
    assert list(build_sampler(10, 4, weights)) != first


def test_every_item_of_an_epoch_has_a_seed_of_its_own() -> None:
    seeded = SeededSampler(build_sampler(10, 3), 3)
    first, second = list(seeded), list(seeded)
    assert len(seeded) == 10
    assert sorted(item for item, _ in first) == list(range(10))
    assert len({seed for _, seed in first + second}) == 20


def test_seeds_do_not_change_the_order() -> None:
    assert [item for item, _ in SeededSampler(build_sampler(10, 3), 5)] == list(build_sampler(10, 3))


def test_same_seed_gives_the_same_seeds() -> None:
    one, two, other = (SeededSampler(build_sampler(10, 3), seed) for seed in (3, 3, 4))
    assert [list(one), list(one)] == [list(two), list(two)]
    assert list(other) != list(SeededSampler(build_sampler(10, 3), 3))
