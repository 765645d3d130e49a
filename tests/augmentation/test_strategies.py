from collections import Counter
from typing import Any

import numpy as np
import pytest

from counterweight.augmentation import strategies
from counterweight.augmentation.allocation import AllocationConfig, Copy
from counterweight.augmentation.strategies import Plan, TrainImages, build_plan
from counterweight.metrics.imbalance import mean_ir

# Six images show sea, two ice, and one of these fog: IRLbl 1, 3 and 6, MeanIR 10 / 3.
IMAGES = ["a", "b", "c", "d", "e", "f", "g"]
LABELS = ["sea", "ice", "fog"]
TARGETS = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]])
CLUSTERS = [0, 0, 0, 0, 1, 1, 2]


def plan(strategy: str, **changes: Any) -> Plan:
    clusters, targets = changes.pop("clusters", CLUSTERS), changes.pop("targets", TARGETS)
    settings = {"target": 1.0, "fill_smallest": None, "max_per_image": None, "seed": 0} | changes
    train = TrainImages(IMAGES[: len(targets)], clusters, targets, LABELS)
    return build_plan(strategy, train, AllocationConfig(**settings))


def label_plan(target_counts: dict[str, int], targets: Any = TARGETS, max_per_image: int | None = None) -> Plan:
    train = TrainImages(IMAGES[: len(targets)], [0] * len(targets), targets, LABELS)
    return strategies.label_plan(train, target_counts, 0, max_per_image)


def group_plan(members: dict[str, list[str]], needed: dict[str, int], **changes: Any) -> Plan:
    target_counts = {group: len(members[group]) + count for group, count in needed.items()}
    return Plan(members, target_counts, seed=0, **{"max_per_image": None} | changes)


def sources(plan: Plan) -> Counter[str]:
    return Counter(copy.source_id for copy in plan.next_copies({}, set()))


def after(plan: Plan, targets: Any = TARGETS) -> list[int]:
    """Images per label once the copies are made."""
    copies = sources(plan)
    times = np.array([1 + copies[image] for image in IMAGES[: len(targets)]])
    return [int(times[targets[:, column] == 1].sum()) for column in range(3)]


def test_groups_get_the_copies_they_need_from_their_own_images() -> None:
    groups = group_plan({"0": ["a", "b"], "1": ["c"], "2": ["d"]}, {"1": 2, "0": 1})
    copies = groups.next_copies({}, set())
    assert copies[:2] == [Copy("c", 1), Copy("c", 2)]
    assert len(copies) == 3
    assert copies[2].source_id in {"a", "b"}


def test_group_lacks_the_copies_that_are_not_made_yet() -> None:
    groups = group_plan({"0": ["a", "b"], "1": ["c"]}, {"0": 3, "1": 2})
    assert groups.shortfall({}) == {"0": 3, "1": 2}
    assert groups.shortfall({"a": 1, "b": 1, "c": 2}) == {"0": 1}
    assert groups.shortfall({"a": 2, "b": 1, "c": 2}) == {}
    assert groups.next_copies({"a": 2, "b": 1, "c": 2}, set()) == []


def test_other_images_of_a_group_replace_unusable_ones() -> None:
    groups = group_plan({"0": ["a", "b"]}, {"0": 2})
    assert groups.next_copies({}, {"a"}) == [Copy("b", 1), Copy("b", 2)]
    assert groups.next_copies({"b": 1}, {"a"}) == [Copy("b", 2)]
    assert groups.next_copies({}, {"a", "b"}) == []


def test_copies_of_a_group_follow_the_weights() -> None:
    groups = group_plan({"0": ["a", "b"]}, {"0": 4}, weights={"a": 3.0, "b": 1.0})
    assert sources(groups) == {"a": 3, "b": 1}


def test_max_per_image_leaves_a_group_short() -> None:
    groups = group_plan({"0": ["a", "b"]}, {"0": 5}, max_per_image=2)
    copies = groups.next_copies({}, set())
    assert len(copies) == 4
    assert groups.shortfall(Counter(copy.source_id for copy in copies)) == {"0": 1}


def test_copy_of_two_rare_labels_counts_for_both() -> None:
    targets = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 1]])
    labels = label_plan({"ice": 3, "fog": 3}, targets)
    assert labels.next_copies({}, set()) == [Copy("d", 1), Copy("d", 2)]
    assert labels.shortfall({"d": 2}) == {}


def test_copies_for_the_first_label_count_for_the_second() -> None:
    # The four copies of g for fog also bring ice to six images.
    labels = label_plan({"fog": 5, "ice": 8})
    assert sources(labels) == {"g": 4, "f": 2}
    assert labels.next_copies({}, set())[:4] == [Copy("g", number) for number in (1, 2, 3, 4)]


def test_image_with_labels_that_are_not_filled_gets_fewer_copies() -> None:
    # Beside ice, f has sea and g has fog. If neither is filled, both images have weight 1 / 2.
    assert sources(label_plan({"ice": 8})) == {"f": 3, "g": 3}
    # If fog is filled too, g has weight 1.
    assert sources(label_plan({"ice": 14, "fog": 1})) == {"f": 4, "g": 8}


def test_label_lacks_the_copies_that_are_not_made_yet() -> None:
    labels = label_plan({"fog": 6, "ice": 6})
    assert labels.shortfall({}) == {"fog": 5, "ice": 4}
    assert labels.shortfall({"g": 2}) == {"fog": 3, "ice": 2}
    assert labels.shortfall({"g": 5}) == {}


def test_label_plan_continues_after_existing_copies() -> None:
    labels = label_plan({"fog": 4})
    assert labels.next_copies({"g": 2}, set()) == [Copy("g", 3)]


def test_unusable_image_gets_no_copy_for_a_label() -> None:
    labels = label_plan({"fog": 4, "ice": 4})
    assert labels.next_copies({}, {"g"}) == [Copy("f", 1), Copy("f", 2)]
    assert labels.shortfall({"f": 2}) == {"fog": 3}


def test_max_per_image_leaves_a_label_short() -> None:
    labels = label_plan({"fog": 6}, max_per_image=2)
    assert labels.next_copies({}, set()) == [Copy("g", 1), Copy("g", 2)]
    assert labels.shortfall({"g": 2}) == {"fog": 3}
    assert labels.next_copies({"g": 2}, set()) == []


def test_image_with_an_unknown_label_gets_no_copy_for_it() -> None:
    targets = np.array([[1, 1, 0], [1, -1, 0], [1, 0, 0]])
    labels = label_plan({"ice": 3}, targets)
    assert sources(labels) == {"a": 2}


def test_strategy_none_fills_nothing() -> None:
    assert plan("none").next_copies({}, set()) == []
    assert plan("none").shortfall({}) == {}


def test_clusters_are_filled_to_the_largest_evenly() -> None:
    result = plan("clusters")
    assert result.shortfall({}) == {"1": 2, "2": 3}
    assert sources(result) == {"e": 1, "f": 1, "g": 3}


def test_target_and_fill_smallest_apply_to_clusters() -> None:
    assert plan("clusters", target=0.5).shortfall({}) == {"2": 1}
    assert plan("clusters", fill_smallest=1).shortfall({}) == {"2": 3}


def test_clusters_are_sorted_by_number_beyond_nine() -> None:
    assert list(plan("clusters", clusters=[0, 0, 0, 0, 10, 9, 2]).shortfall({})) == ["2", "9", "10"]


def test_clusters_labels_copies_images_with_rare_labels_more_often() -> None:
    # In cluster 1, e has weight 1 and f (1 + 3) / 2 = 2.
    result = plan("clusters_labels", clusters=[0, 0, 0, 0, 1, 1, 0])
    assert result.shortfall({}) == {"1": 3}
    assert sources(result) == {"e": 1, "f": 2}


def test_classes_are_filled_to_the_largest_evenly() -> None:
    classes = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    result = plan("classes", targets=classes)
    assert result.shortfall({}) == {"fog": 3, "ice": 2}
    assert sources(result) == {"e": 1, "f": 1, "g": 3}
    assert after(result, classes) == [4, 4, 4]


def test_image_of_unknown_class_belongs_to_no_class() -> None:
    classes = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [-1, -1, -1], [0, 1, 0]])
    result = plan("classes", targets=classes, clusters=[0] * 5)
    assert result.shortfall({}) == {"ice": 2}
    assert sources(result) == {"e": 2}


def test_labels_with_irlbl_above_meanir_are_filled_by_default() -> None:
    # Only fog's IRLbl of 6 is above MeanIR, 10 / 3.
    result = plan("labels")
    assert result.shortfall({}) == {"fog": 5}
    assert sources(result) == {"g": 5}


def test_fill_smallest_is_the_number_of_labels_to_fill() -> None:
    assert list(plan("labels", fill_smallest=1).shortfall({})) == ["fog"]
    result = plan("labels", fill_smallest=2)
    assert result.shortfall({}) == {"fog": 5, "ice": 4}
    # Five copies of g bring ice to seven images.
    assert sources(result) == {"g": 5}
    assert after(result) == [6, 7, 6]


def test_target_of_labels_is_a_fraction_of_the_most_common() -> None:
    assert plan("labels", target=0.5).shortfall({}) == {"fog": 2}
    assert plan("labels", target=0.45).shortfall({}) == {"fog": 2}  # 2.7 images are rounded to 3.
    assert plan("labels", target=0.2).shortfall({}) == {}


def test_label_without_images_is_not_filled() -> None:
    targets = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 1]])
    assert plan("labels", targets=targets, clusters=[0] * 3, fill_smallest=3).shortfall({}) == {"fog": 2}


def test_label_whose_irlbl_is_meanir_is_not_filled() -> None:
    # Six, three and two images: IRLbl 1, 2 and 3, MeanIR 2.
    targets = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]])
    assert plan("labels", targets=targets, clusters=[0] * 6).shortfall({}) == {"fog": 4}


def test_among_equally_rare_labels_the_first_is_filled_first() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0]])
    assert plan("labels", targets=targets, clusters=[0] * 3, fill_smallest=1).shortfall({}) == {"ice": 2}
    assert list(plan("labels", targets=targets, clusters=[0] * 3, fill_smallest=2).shortfall({})) == ["ice", "fog"]


@pytest.mark.parametrize("strategy", ["clusters", "clusters_labels", "classes", "labels"])
def test_max_per_image_applies_to_every_strategy(strategy: str) -> None:
    classes = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    result = plan(strategy, targets=classes, clusters=[0, 0, 0, 0, 0, 1, 2], fill_smallest=2, max_per_image=3)
    assert sources(result) == {"f": 3, "g": 3}
    assert list(result.shortfall({"f": 3, "g": 3}).values()) == [1, 1]


@pytest.mark.parametrize("strategy", ["clusters", "clusters_labels", "classes", "labels"])
@pytest.mark.parametrize(("seed", "source"), [(0, "e"), (1, "f"), (4, "g")])
def test_seed_orders_the_images_of_every_strategy(strategy: str, seed: int, source: str) -> None:
    # Four images against three: one copy, of any of the three.
    targets = np.array([[1, 0, 0]] * 4 + [[0, 1, 0]] * 3)
    result = plan(strategy, targets=targets, clusters=[0, 0, 0, 0, 1, 1, 1], fill_smallest=1, seed=seed)
    assert result.next_copies({}, set()) == [Copy(source, 1)]


@pytest.mark.parametrize("strategy", ["none", "clusters", "clusters_labels", "classes", "labels"])
def test_same_seed_gives_the_same_copies(strategy: str) -> None:
    first, second = plan(strategy, seed=4), plan(strategy, seed=4)
    assert first.next_copies({}, set()) == second.next_copies({}, set())


@pytest.mark.parametrize("strategy", ["clusters", "clusters_labels", "classes", "labels"])
def test_finished_plan_has_no_further_copies(strategy: str) -> None:
    result = plan(strategy)
    made = sources(result)
    assert result.shortfall(made) == {}
    assert result.next_copies(made, set()) == []


@pytest.mark.parametrize("target", [1.0, 0.5])
@pytest.mark.parametrize("seed", range(20))
def test_labels_never_become_less_balanced_by_the_strategy_that_init_suggests(seed: int, target: float) -> None:
    """Labels that go together, as sea and sunset do: each is where a weighted sum of three hidden values is high."""
    rng = np.random.default_rng(seed)
    n_images, n_labels = rng.integers(30, 300), rng.integers(2, 12)
    values = rng.normal(size=(n_images, 3)) @ rng.normal(size=(3, n_labels)) + rng.normal(size=(n_images, n_labels))
    targets = (values > np.quantile(values, rng.uniform(0.5, 0.98, n_labels), axis=0).diagonal()).astype(np.int8)
    ids = [str(row) for row in range(n_images)]
    train = TrainImages(ids, [0] * n_images, targets, [f"label {column}" for column in range(n_labels)])
    copies = sources(build_plan("labels", train, AllocationConfig(target, None, None, 0)))
    times = [1 + copies[image] for image in ids]
    assert mean_ir(np.repeat(targets, times, axis=0)) <= mean_ir(targets)
