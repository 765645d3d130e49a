from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.augmentation.allocation import Copy, choose_sources, copies_needed

ARTICLE = {0: 19118, 1: 16265, 2: 14019, 3: 8651, 4: 6621}


def test_articles_64674_images_need_22964_copies_and_become_87638() -> None:
    copies = copies_needed(ARTICLE, minority=2)
    assert sum(ARTICLE.values()) == 64_674
    assert sum(copies.values()) == 22_964
    assert sum(ARTICLE.values()) + sum(copies.values()) == 87_638


def test_every_cluster_below_the_majority_is_filled_by_default() -> None:
    assert copies_needed(ARTICLE) == {1: 2853, 2: 5099, 3: 10467, 4: 12497}


def test_target_of_a_half_fills_to_half_the_largest_cluster() -> None:
    assert copies_needed(ARTICLE, target=0.5) == {3: 908, 4: 2938}


def test_target_is_rounded_to_whole_images() -> None:
    assert copies_needed({0: 10, 1: 2}, target=0.33) == {1: 1}
    assert copies_needed({0: 10, 1: 2}, target=0.38) == {1: 2}


@pytest.mark.parametrize(
    ("minority", "filled"), [(1, [4]), (2, [3, 4]), (3, [2, 3, 4]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4])]
)
def test_minority_counts_the_smallest_clusters(minority: int, filled: list[int]) -> None:
    assert list(copies_needed(ARTICLE, minority=minority)) == filled


def test_one_of_the_smallest_clusters_that_has_reached_the_target_needs_nothing() -> None:
    assert copies_needed(ARTICLE, target=0.4, minority=2) == {4: 1026}


def test_of_equally_small_clusters_the_one_with_the_higher_number_is_filled_first() -> None:
    assert copies_needed({0: 10, 1: 4, 2: 4}, minority=1) == {2: 6}


def test_cluster_as_large_as_the_majority_needs_nothing() -> None:
    assert copies_needed({0: 10, 1: 10, 2: 5}) == {2: 5}


def test_cluster_exactly_at_the_target_needs_nothing() -> None:
    assert copies_needed({0: 10, 1: 5}, target=0.5) == {}


def test_a_single_cluster_needs_nothing() -> None:
    assert copies_needed({0: 7}) == {}


def test_needs_come_in_the_order_of_the_clusters_numbers() -> None:
    assert list(copies_needed({2: 5, 0: 10, 1: 3})) == [1, 2]


def test_no_image_gets_a_second_copy_before_each_has_its_first() -> None:
    chosen = choose_sources(["a", "b", "c"], 5, seed=0)
    assert [copy.number for copy in chosen] == [1, 1, 1, 2, 2]
    assert {copy.source_id for copy in chosen[:3]} == {"a", "b", "c"}


def test_turns_of_seed_0_stay_what_they_were() -> None:
    chosen = choose_sources(["a", "b", "c", "d"], 4, seed=0)
    assert [copy.source_id for copy in chosen] == ["c", "a", "b", "d"]


def test_turns_do_not_depend_on_the_order_of_the_members() -> None:
    members = [f"{i}.jpg" for i in range(20)]
    assert choose_sources(members[::-1], 30, seed=5) == choose_sources(members, 30, seed=5)


def test_another_seed_gives_other_turns() -> None:
    members = [f"{i}.jpg" for i in range(20)]
    assert choose_sources(members, 20, seed=1) != choose_sources(members, 20, seed=2)


def test_cap_is_the_most_copies_of_one_image() -> None:
    chosen = choose_sources(["a", "b"], 10, seed=0, cap=2)
    assert sorted((copy.source_id, copy.number) for copy in chosen) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_images_with_copies_already_wait_for_the_others() -> None:
    assert choose_sources(["a", "b"], 2, seed=0, made={"a": 2}) == [Copy("b", 1), Copy("b", 2)]


def test_numbers_go_on_from_the_copies_already_made() -> None:
    assert choose_sources(["a"], 2, seed=0, made={"a": 3}) == [Copy("a", 4), Copy("a", 5)]


def test_copies_already_made_count_towards_the_cap() -> None:
    assert choose_sources(["a", "b"], 9, seed=0, cap=2, made={"a": 2, "b": 1}) == [Copy("b", 2)]


def test_unfit_images_get_no_turn() -> None:
    assert choose_sources(["a", "b"], 2, seed=0, unfit={"a"}) == [Copy("b", 1), Copy("b", 2)]


@pytest.mark.parametrize(("members", "unfit"), [([], set()), (["a", "b"], {"a", "b"})])
def test_without_a_fit_image_nothing_is_chosen(members: list[str], unfit: set[str]) -> None:
    assert choose_sources(members, 3, seed=0, unfit=unfit) == []


def test_no_copies_wanted_are_none_chosen() -> None:
    assert choose_sources(["a", "b"], 0, seed=0) == []


@settings(deadline=None, derandomize=True)
@given(images=st.integers(1, 30), copies=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
def test_counts_of_copies_differ_by_at_most_one(images: int, copies: int, seed: int) -> None:
    members = [str(i) for i in range(images)]
    chosen = choose_sources(members, copies, seed=seed)
    counts = Counter(dict.fromkeys(members, 0))
    counts.update(copy.source_id for copy in chosen)
    assert counts.total() == copies
    assert max(counts.values()) - min(counts.values()) <= 1


@settings(deadline=None, derandomize=True)
@given(
    copies=st.integers(0, 60),
    made=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5)),
    unfit=st.sets(st.sampled_from("abcdef")),
    cap=st.none() | st.integers(1, 6),
)
def test_no_copy_is_chosen_twice(copies: int, made: dict[str, int], unfit: set[str], cap: int | None) -> None:
    chosen = choose_sources("abcdef", copies, seed=0, cap=cap, made=made, unfit=unfit)
    assert len(set(chosen)) == len(chosen)
    assert all(copy.number > made.get(copy.source_id, 0) for copy in chosen)


def test_groups_may_have_names() -> None:
    assert copies_needed({"cat": 4800, "dog": 1200, "fox": 300}) == {"dog": 3600, "fox": 4500}
    assert copies_needed({"b": 10, "c": 4, "a": 4}, minority=1) == {"c": 6}


def test_weights_share_copies_out_in_proportion() -> None:
    chosen = choose_sources(["a", "b", "c"], 12, seed=0, weights={"a": 3.0, "b": 2.0, "c": 1.0})
    assert Counter(copy.source_id for copy in chosen) == {"a": 6, "b": 4, "c": 2}
    assert [copy.number for copy in chosen if copy.source_id == "b"] == [1, 2, 3, 4]


def test_next_copy_is_due_to_the_highest_weight_by_its_number() -> None:
    # D'Hondt's quotients: 5, 2.5, 1.67, 1.25 against 3.3, 1.65 and 1.4.
    chosen = choose_sources(["a", "b", "c"], 6, seed=0, weights={"a": 5.0, "b": 3.3, "c": 1.4})
    assert "".join(copy.source_id for copy in chosen) == "abaabc"


def test_equal_weights_choose_as_none_do() -> None:
    members = [f"{i}.jpg" for i in range(20)]
    even = choose_sources(members, 50, seed=3)
    assert choose_sources(members, 50, seed=3, weights=dict.fromkeys(members, 1.0)) == even


def test_cap_holds_under_weights() -> None:
    chosen = choose_sources(["a", "b"], 5, seed=0, cap=3, weights={"a": 100.0, "b": 1.0})
    assert Counter(copy.source_id for copy in chosen) == {"a": 3, "b": 2}


def test_copies_already_made_count_towards_the_share() -> None:
    weights = {"a": 3.0, "b": 1.0}
    assert choose_sources(["a", "b"], 1, seed=0, made={"a": 3}, weights=weights) == [Copy("b", 1)]


def test_unfit_image_gets_no_share() -> None:
    chosen = choose_sources(["a", "b"], 2, seed=0, unfit={"a"}, weights={"a": 9.0, "b": 1.0})
    assert chosen == [Copy("b", 1), Copy("b", 2)]
