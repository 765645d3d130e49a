import numpy as np

from counterweight.evidence.copy_sample import plan_copies, sample_sources

WANTED = {"clusters": np.array([0, 1, 1, 5]), "labels": np.array([9, 0, 1, 0])}


def test_each_wanted_image_is_copied_up_to_the_limit() -> None:
    plan = plan_copies(list("abcd"), WANTED, max_sources=4, copies_per_image=2, seed=0)
    assert sorted((copy.source_id, copy.number) for copy in plan.next_copies({}, set())) == [
        ("a", 1), ("a", 2), ("b", 1), ("c", 1), ("d", 1), ("d", 2),
    ]  # fmt: skip


def test_no_other_image_replaces_an_unusable_one() -> None:
    plan = plan_copies(list("abcd"), WANTED, max_sources=4, copies_per_image=1, seed=0)
    assert plan.next_copies({"a": 1, "b": 1, "d": 1}, {"c"}) == []


def test_strategies_that_want_the_same_images_share_their_copies() -> None:
    wanted = np.ones(100, dtype=int)
    first = sample_sources(wanted, 10, seed=0)
    wanted[~np.isin(np.arange(100), first)] *= np.arange(90) % 2
    assert sample_sources(wanted, 10, seed=0).tolist() == first.tolist()


def test_the_limit_of_sources_holds_per_strategy() -> None:
    wanted = {"a": np.repeat([1, 0], 50), "b": np.repeat([0, 1], 50)}
    plan = plan_copies([f"{i}" for i in range(100)], wanted, max_sources=5, copies_per_image=1, seed=0)
    assert len(plan.next_copies({}, set())) == 10
