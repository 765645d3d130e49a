import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.augmentation.allocation import AllocationConfig, Copy, allocate_copies, copies_needed

ARTICLE = {0: 19118, 1: 16265, 2: 14019, 3: 8651, 4: 6621}


def test_the_articles_64674_images_need_22964_copies_and_become_87638() -> None:
    copies = copies_needed(ARTICLE, fill_smallest=2)
    assert sum(ARTICLE.values()) == 64_674
    assert sum(copies.values()) == 22_964
    assert sum(ARTICLE.values()) + sum(copies.values()) == 87_638


def test_every_cluster_below_the_majority_is_filled_by_default() -> None:
    assert copies_needed(ARTICLE) == {1: 2853, 2: 5099, 3: 10467, 4: 12497}


def test_target_of_one_half_fills_to_half_the_largest_cluster() -> None:
    assert copies_needed(ARTICLE, target=0.5) == {3: 908, 4: 2938}


def test_target_above_one_is_a_number_of_images() -> None:
    assert copies_needed({0: 300, 1: 100, 2: 40}, target=200) == {1: 100, 2: 160}
    assert copies_needed({0: 300, 1: 100}, target=500) == {0: 200, 1: 400}


@pytest.mark.parametrize(
    ("target", "share", "expected"),
    [("majority", 0.1, 1.0), (0.5, 0.1, 0.5), (500, 1.0, 500.0), (500, 0.1, 50.0), (5, 0.1, 2.0)],
)
def test_a_number_of_images_is_that_of_all_train_images(target: Any, share: float, expected: float) -> None:
    augment = {"resampling": "over", "target": target, "fill_smallest": "all", "copies_per_image": None, "seed": 0}
    assert AllocationConfig.from_params(augment, share).target == expected


def test_target_is_rounded_to_whole_images() -> None:
    assert copies_needed({0: 10, 1: 2}, target=0.33) == {1: 1}
    assert copies_needed({0: 10, 1: 2}, target=0.38) == {1: 2}


@pytest.mark.parametrize(
    ("fill_smallest", "filled"), [(1, [4]), (2, [3, 4]), (3, [2, 3, 4]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4])]
)
def test_the_smallest_clusters_are_filled(fill_smallest: int, filled: list[int]) -> None:
    assert list(copies_needed(ARTICLE, fill_smallest=fill_smallest)) == filled


def test_small_cluster_that_has_reached_the_target_needs_nothing() -> None:
    assert copies_needed(ARTICLE, target=0.4, fill_smallest=2) == {4: 1026}


def test_among_equally_small_clusters_the_highest_number_is_filled_first() -> None:
    assert copies_needed({0: 10, 1: 4, 2: 4}, fill_smallest=1) == {2: 6}


def test_cluster_as_large_as_the_majority_needs_nothing() -> None:
    assert copies_needed({0: 10, 1: 10, 2: 5}) == {2: 5}


def test_cluster_exactly_at_the_target_needs_nothing() -> None:
    assert copies_needed({0: 10, 1: 5}, target=0.5) == {}


def test_a_single_cluster_needs_nothing() -> None:
    assert copies_needed({0: 7}) == {}


def test_copies_needed_are_sorted_by_cluster() -> None:
    assert list(copies_needed({2: 5, 0: 10, 1: 3})) == [1, 2]


def test_no_image_gets_a_second_copy_before_each_has_its_first() -> None:
    allocated = allocate_copies(["a", "b", "c"], 5, seed=0)
    assert [copy.number for copy in allocated] == [1, 1, 1, 2, 2]
    assert {copy.source_id for copy in allocated[:3]} == {"a", "b", "c"}


def test_order_for_seed_0_is_stable() -> None:
    allocated = allocate_copies(["a", "b", "c", "d"], 4, seed=0)
    assert [copy.source_id for copy in allocated] == ["c", "a", "b", "d"]


def test_order_does_not_depend_on_the_order_of_the_members() -> None:
    members = [f"{i}.jpg" for i in range(20)]
    assert allocate_copies(members[::-1], 30, seed=5) == allocate_copies(members, 30, seed=5)


def test_another_seed_gives_another_order() -> None:
    members = [f"{i}.jpg" for i in range(20)]
    assert allocate_copies(members, 20, seed=1) != allocate_copies(members, 20, seed=2)


def test_no_image_gets_more_than_max_per_image_copies() -> None:
    allocated = allocate_copies(["a", "b"], 10, seed=0, max_per_image=2)
    assert sorted((copy.source_id, copy.number) for copy in allocated) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_image_with_existing_copies_waits_for_the_others() -> None:
    assert allocate_copies(["a", "b"], 2, seed=0, existing={"a": 2}) == [Copy("b", 1), Copy("b", 2)]


def test_numbers_continue_after_existing_copies() -> None:
    assert allocate_copies(["a"], 2, seed=0, existing={"a": 3}) == [Copy("a", 4), Copy("a", 5)]


def test_existing_copies_count_towards_max_per_image() -> None:
    assert allocate_copies(["a", "b"], 9, seed=0, max_per_image=2, existing={"a": 2, "b": 1}) == [Copy("b", 2)]


def test_unusable_images_get_no_copy() -> None:
    assert allocate_copies(["a", "b"], 2, seed=0, unusable={"a"}) == [Copy("b", 1), Copy("b", 2)]


@pytest.mark.parametrize(("members", "unusable"), [([], set()), (["a", "b"], {"a", "b"})])
def test_nothing_is_allocated_without_a_usable_image(members: list[str], unusable: set[str]) -> None:
    assert allocate_copies(members, 3, seed=0, unusable=unusable) == []


def test_zero_copies_allocate_nothing() -> None:
    assert allocate_copies(["a", "b"], 0, seed=0) == []


@settings(deadline=None, derandomize=True)
@given(images=st.integers(1, 30), copies=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
def test_counts_of_copies_differ_by_at_most_one(images: int, copies: int, seed: int) -> None:
    members = [str(i) for i in range(images)]
    allocated = allocate_copies(members, copies, seed=seed)
    counts = Counter(dict.fromkeys(members, 0))
    counts.update(copy.source_id for copy in allocated)
    assert counts.total() == copies
    assert max(counts.values()) - min(counts.values()) <= 1


@settings(deadline=None, derandomize=True)
@given(
    copies=st.integers(0, 60),
    existing=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5)),
    unusable=st.sets(st.sampled_from("abcdef")),
    max_per_image=st.none() | st.integers(1, 6),
)
def test_no_copy_is_allocated_twice(
    copies: int, existing: dict[str, int], unusable: set[str], max_per_image: int | None
) -> None:
    allocated = allocate_copies(
        "abcdef", copies, seed=0, max_per_image=max_per_image, existing=existing, unusable=unusable
    )
    assert len(set(allocated)) == len(allocated)
    assert all(copy.number > existing.get(copy.source_id, 0) for copy in allocated)


def one_by_one(
    members: str, copies: int, max_per_image: int | None, existing: dict[str, int], weights: dict[str, float]
) -> list[Copy]:
    """What `allocate_copies` says, one copy after the other."""
    order, counts, allocated = list(members), dict(existing), []
    random.Random(0).shuffle(order)
    for _ in range(copies):
        free = [image for image in order if max_per_image is None or counts.get(image, 0) < max_per_image]
        if not free:
            break
        image = min(free, key=lambda image: (counts.get(image, 0) + 1) / weights.get(image, 1.0))
        counts[image] = counts.get(image, 0) + 1
        allocated.append(Copy(image, counts[image]))
    return allocated


@settings(deadline=None, derandomize=True)
@given(
    copies=st.integers(0, 80),
    existing=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5)),
    weights=st.dictionaries(
        st.sampled_from("abcdef"), st.floats(1e-3, 1e3) | st.sampled_from([1 / 3, 0.1, 0.2, 0.3, 2.0])
    ),
    max_per_image=st.none() | st.integers(1, 12),
)
def test_copies_are_allocated_as_if_one_by_one(
    copies: int, existing: dict[str, int], weights: dict[str, float], max_per_image: int | None
) -> None:
    allocated = allocate_copies(
        "abcdef", copies, seed=0, max_per_image=max_per_image, existing=existing, weights=weights
    )
    assert allocated == one_by_one("abcdef", copies, max_per_image, existing, weights)


def test_groups_may_have_names() -> None:
    assert copies_needed({"cat": 4800, "dog": 1200, "fox": 300}) == {"dog": 3600, "fox": 4500}
    assert copies_needed({"b": 10, "c": 4, "a": 4}, fill_smallest=1) == {"c": 6}


def test_copies_are_allocated_in_proportion_to_weights() -> None:
    allocated = allocate_copies(["a", "b", "c"], 12, seed=0, weights={"a": 3.0, "b": 2.0, "c": 1.0})
    assert Counter(copy.source_id for copy in allocated) == {"a": 6, "b": 4, "c": 2}
    assert [copy.number for copy in allocated if copy.source_id == "b"] == [1, 2, 3, 4]


def test_next_copy_goes_to_the_highest_weight_over_its_number() -> None:
    # D'Hondt's quotients: 5, 2.5, 1.67, 1.25 against 3.3, 1.65 and 1.4.
    allocated = allocate_copies(["a", "b", "c"], 6, seed=0, weights={"a": 5.0, "b": 3.3, "c": 1.4})
    assert "".join(copy.source_id for copy in allocated) == "abaabc"


def test_equal_weights_allocate_like_no_weights() -> None:
    members = [f"{i}.jpg" for i in range(20)]
    even = allocate_copies(members, 50, seed=3)
    assert allocate_copies(members, 50, seed=3, weights=dict.fromkeys(members, 1.0)) == even


def test_max_per_image_holds_with_weights() -> None:
    allocated = allocate_copies(["a", "b"], 5, seed=0, max_per_image=3, weights={"a": 100.0, "b": 1.0})
    assert Counter(copy.source_id for copy in allocated) == {"a": 3, "b": 2}


def test_existing_copies_count_towards_an_images_proportion() -> None:
    weights = {"a": 3.0, "b": 1.0}
    assert allocate_copies(["a", "b"], 1, seed=0, existing={"a": 3}, weights=weights) == [Copy("b", 1)]


def test_unusable_image_gets_no_copy_whatever_its_weight() -> None:
    allocated = allocate_copies(["a", "b"], 2, seed=0, unusable={"a"}, weights={"a": 9.0, "b": 1.0})
    assert allocated == [Copy("b", 1), Copy("b", 2)]


SECTION = {
    "strategy": "clusters", "resampling": "over", "target": "majority", "fill_smallest": "all",
    "copies_per_image": None, "seed": 7,
}  # fmt: skip


def test_words_of_the_params_are_all_groups_and_their_full_size() -> None:
    assert AllocationConfig.from_params(SECTION) == AllocationConfig(1.0, None, None, 7)


def test_numbers_of_the_params_are_kept() -> None:
    section = SECTION | {"target": 0.5, "fill_smallest": 2, "copies_per_image": 3}
    assert AllocationConfig.from_params(section) == AllocationConfig(0.5, 2, 3, 7)


def test_the_target_of_undersampling_is_not_that_of_copies() -> None:
    section = SECTION | {"resampling": "under", "target": 0.25}
    assert AllocationConfig.from_params(section) == AllocationConfig(1.0, None, None, 7)
