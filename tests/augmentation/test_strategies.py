from collections import Counter
from typing import Any

import numpy as np
import pytest

from counterweight.augmentation.allocation import Copy
from counterweight.augmentation.strategies import GroupPlan, LabelPlan, Plan, build_plan

# Sea is on six images, ice on two, fog on one of these: IRLbl 1, 3 and 6, MeanIR 10 / 3.
IMAGES = ["a", "b", "c", "d", "e", "f", "g"]
LABELS = ["sea", "ice", "fog"]
TARGETS = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]])
CLUSTERS = [0, 0, 0, 0, 1, 1, 2]


def plan(strategy: str, **changes: Any) -> Plan:
    settings: dict[str, Any] = {"clusters": CLUSTERS, "targets": TARGETS, "target": 1.0, "minority": None}
    settings |= {"cap": None, "seed": 0} | changes
    clusters, targets = settings.pop("clusters"), settings.pop("targets")
    return build_plan(strategy, IMAGES[: len(targets)], clusters, targets, LABELS, **settings)


def sources(plan: Plan) -> Counter[str]:
    return Counter(copy.source_id for copy in plan.choose({}, set()))


def after(plan: Plan, targets: Any = TARGETS) -> list[int]:
    """Images with each label once the plan is carried out."""
    made = sources(plan)
    return [sum(1 + made[image] for image, row in zip(IMAGES, targets, strict=False) if row[j] == 1) for j in range(3)]


def test_groups_get_the_copies_they_need_from_their_own_images() -> None:
    groups = GroupPlan({"0": ["a", "b"], "1": ["c"], "2": ["d"]}, {"1": 2, "0": 1}, seed=0, cap=None)
    chosen = groups.choose({}, set())
    assert chosen[:2] == [Copy("c", 1), Copy("c", 2)]
    assert len(chosen) == 3
    assert chosen[2].source_id in {"a", "b"}


def test_group_lacks_what_is_not_made_yet() -> None:
    groups = GroupPlan({"0": ["a", "b"], "1": ["c"]}, {"0": 3, "1": 2}, seed=0, cap=None)
    assert groups.lacking({}) == {"0": 3, "1": 2}
    assert groups.lacking({"a": 1, "b": 1, "c": 2}) == {"0": 1}
    assert groups.lacking({"a": 2, "b": 1, "c": 2}) == {}
    assert groups.choose({"a": 2, "b": 1, "c": 2}, set()) == []


def test_unfit_images_of_a_group_are_replaced_by_others() -> None:
    groups = GroupPlan({"0": ["a", "b"]}, {"0": 2}, seed=0, cap=None)
    assert groups.choose({}, {"a"}) == [Copy("b", 1), Copy("b", 2)]
    assert groups.choose({"b": 1}, {"a"}) == [Copy("b", 2)]
    assert groups.choose({}, {"a", "b"}) == []


def test_group_weights_say_who_gives_more() -> None:
    groups = GroupPlan({"0": ["a", "b"]}, {"0": 4}, seed=0, cap=None, weights={"a": 3.0, "b": 1.0})
    assert sources(groups) == {"a": 3, "b": 1}


def test_cap_leaves_a_group_lacking() -> None:
    groups = GroupPlan({"0": ["a", "b"]}, {"0": 5}, seed=0, cap=2)
    chosen = groups.choose({}, set())
    assert len(chosen) == 4
    assert groups.lacking(Counter(copy.source_id for copy in chosen)) == {"0": 1}


def test_copy_of_two_rare_labels_counts_for_both() -> None:
    targets = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 1]])
    labels = LabelPlan(IMAGES[:4], targets, LABELS, {"ice": 3, "fog": 3}, seed=0, cap=None)
    assert labels.choose({}, set()) == [Copy("d", 1), Copy("d", 2)]
    assert labels.lacking({"d": 2}) == {}


def test_second_label_is_filled_up_by_what_the_first_leaves_open() -> None:
    # Fog: four copies of g, which bring ice to six as well.
    labels = LabelPlan(IMAGES, TARGETS, LABELS, {"fog": 5, "ice": 8}, seed=0, cap=None)
    made = sources(labels)
    assert made["g"] >= 4
    assert made.total() == 4 + 2
    assert set(made) <= {"f", "g"}


def test_image_with_common_labels_gives_less() -> None:
    # f has a label that is not filled and weighs a half, g none: of six copies two are of f.
    labels = LabelPlan(IMAGES, TARGETS, LABELS, {"ice": 8}, seed=0, cap=None)
    # Fog is not filled here, so g has one label beside, as f has: three each.
    assert sources(labels) == {"f": 3, "g": 3}
    both = LabelPlan(IMAGES, TARGETS, LABELS, {"ice": 8, "fog": 1}, seed=0, cap=None)
    assert sources(both) == {"f": 2, "g": 4}


def test_label_lacks_what_is_not_made_yet() -> None:
    labels = LabelPlan(IMAGES, TARGETS, LABELS, {"fog": 6, "ice": 6}, seed=0, cap=None)
    assert labels.lacking({}) == {"fog": 5, "ice": 4}
    assert labels.lacking({"g": 2}) == {"fog": 3, "ice": 2}
    assert labels.lacking({"g": 5}) == {}


def test_choice_goes_on_from_the_copies_made() -> None:
    labels = LabelPlan(IMAGES, TARGETS, LABELS, {"fog": 4}, seed=0, cap=None)
    assert labels.choose({"g": 2}, set()) == [Copy("g", 3)]


def test_unfit_image_gives_no_copy_of_a_label() -> None:
    labels = LabelPlan(IMAGES, TARGETS, LABELS, {"fog": 4, "ice": 4}, seed=0, cap=None)
    assert labels.choose({}, {"g"}) == [Copy("f", 1), Copy("f", 2)]
    assert labels.lacking({"f": 2}) == {"fog": 3}


def test_cap_leaves_a_label_lacking() -> None:
    labels = LabelPlan(IMAGES, TARGETS, LABELS, {"fog": 6}, seed=0, cap=2)
    assert labels.choose({}, set()) == [Copy("g", 1), Copy("g", 2)]
    assert labels.lacking({"g": 2}) == {"fog": 3}
    assert labels.choose({"g": 2}, set()) == []


def test_image_on_which_a_label_is_missing_gives_no_copy_of_it() -> None:
    targets = np.array([[1, 1, 0], [1, -1, 0], [1, 0, 0]])
    labels = LabelPlan(IMAGES[:3], targets, LABELS, {"ice": 3}, seed=0, cap=None)
    assert sources(labels) == {"a": 2}


def test_none_fills_nothing() -> None:
    assert plan("none").choose({}, set()) == []
    assert plan("none").lacking({}) == {}


def test_clusters_are_filled_to_the_largest_evenly() -> None:
    found = plan("clusters")
    assert found.lacking({}) == {"1": 2, "2": 3}
    assert sources(found) == {"e": 1, "f": 1, "g": 3}


def test_target_and_minority_of_clusters_are_those_of_copies_needed() -> None:
    assert plan("clusters", target=0.5).lacking({}) == {"2": 1}
    assert plan("clusters", minority=1).lacking({}) == {"2": 3}


def test_clusters_with_numbers_of_two_digits_come_in_their_order() -> None:
    assert list(plan("clusters", clusters=[0, 0, 0, 0, 10, 9, 2]).lacking({})) == ["2", "9", "10"]


def test_clusters_labels_take_more_from_images_with_rare_labels() -> None:
    # Of cluster 1, e weighs 1 and f (1 + 3) / 2 = 2; of three copies two are of f.
    found = plan("clusters_labels", clusters=[0, 0, 0, 0, 1, 1, 0])
    assert found.lacking({}) == {"1": 3}
    assert sources(found) == {"e": 1, "f": 2}


def test_classes_are_filled_to_the_largest_evenly() -> None:
    classes = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    found = plan("classes", targets=classes)
    assert found.lacking({}) == {"fog": 3, "ice": 2}
    assert sources(found) == {"e": 1, "f": 1, "g": 3}
    assert after(found, classes) == [4, 4, 4]


def test_image_whose_class_is_missing_belongs_to_no_class() -> None:
    classes = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [-1, -1, -1], [0, 1, 0]])
    found = plan("classes", targets=classes, clusters=[0] * 5)
    assert found.lacking({}) == {"ice": 2}
    assert sources(found) == {"e": 2}


def test_labels_rarer_than_the_mean_are_filled_by_default() -> None:
    # Only fog's 6 is above MeanIR 10 / 3.
    found = plan("labels")
    assert found.lacking({}) == {"fog": 5}
    assert sources(found) == {"g": 5}


def test_so_many_of_the_rarest_labels_are_filled() -> None:
    assert list(plan("labels", minority=1).lacking({})) == ["fog"]
    found = plan("labels", minority=2)
    assert found.lacking({}) == {"fog": 5, "ice": 4}
    # Five copies of g bring ice to seven.
    assert sources(found) == {"g": 5}
    assert after(found) == [6, 7, 6]


def test_target_of_labels_is_a_fraction_of_the_commonest() -> None:
    assert plan("labels", target=0.5).lacking({}) == {"fog": 2}
    assert plan("labels", target=0.2).lacking({}) == {}


def test_label_that_no_image_has_is_not_filled() -> None:
    targets = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 1]])
    assert plan("labels", targets=targets, clusters=[0] * 3, minority=3).lacking({}) == {"fog": 2}


@pytest.mark.parametrize("strategy", ["none", "clusters", "clusters_labels", "classes", "labels"])
def test_same_seed_gives_the_same_choice(strategy: str) -> None:
    one, two = plan(strategy, seed=4), plan(strategy, seed=4)
    assert one.choose({}, set()) == two.choose({}, set())


@pytest.mark.parametrize("strategy", ["clusters", "clusters_labels", "classes", "labels"])
def test_carried_out_plan_asks_for_nothing_more(strategy: str) -> None:
    found = plan(strategy)
    made = sources(found)
    assert found.lacking(made) == {}
    assert found.choose(made, set()) == []
