import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.clustering import similar_images
from counterweight.clustering.similar_images import (
    MIN_TRAIN_IMAGES,
    evenly_spaced,
    nearest_train_images,
    similar_images_table,
    whitened,
)

NO_DUPLICATES = pd.DataFrame({"image_id": [], "tied": []})


def rows_of(split: str, *names: str) -> pd.DataFrame:
    """Manifest rows of images without labels."""
    return manifest.build(names, names, [split] * len(names), ["sea"], np.zeros((len(names), 1), np.int8), names)


@pytest.mark.parametrize(("count", "limit", "chosen"), [(3, 5, [0, 1, 2]), (10, 4, [0, 2, 5, 7]), (4, 0, [])])
def test_at_most_so_many_images_are_compared(count: int, limit: int, chosen: list[int]) -> None:
    assert evenly_spaced(count, limit).tolist() == chosen


def test_blocks_of_rows_find_what_one_multiplication_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    train, views = rng.normal(size=(50, 4)).astype(np.float32), rng.normal(size=(2, 20, 4)).astype(np.float32)
    monkeypatch.setattr(similar_images, "_TRAIN_ROWS", 7)
    monkeypatch.setattr(similar_images, "_HELD_OUT_ROWS", 3)
    nearest, cosine, view = nearest_train_images(train, list(views))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (train, *views)]
    expected = np.stack([rows @ unit[0].T for rows in unit[1:]], axis=2).reshape(20, -1)
    assert (nearest * 2 + view).tolist() == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(cosine, expected.max(axis=1), rtol=1e-5)


def test_an_image_like_the_mean_of_train_is_similar_to_none() -> None:
    train = np.array([[1, 0], [-1, 0]], np.float32)
    assert nearest_train_images(train, [np.zeros((1, 2), np.float32)])[1].tolist() == [0]


def test_whitened_features_of_train_have_mean_0_and_deviation_1_whatever_their_scale() -> None:
    rng = np.random.default_rng(0)
    train = (rng.normal(size=(400, 3)) * [1, 100, 1] + [5, 0, 0]).astype(np.float32)
    of_train, of_view = whitened(train, [train[:2]])
    np.testing.assert_allclose(of_train.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(of_train.std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(of_view, of_train[:2], atol=1e-5)


def test_features_that_are_always_0_add_no_noise() -> None:
    train = np.zeros((400, 9), np.float32)
    train[:, :2] = np.random.default_rng(0).normal(size=(400, 2))
    assert whitened(train, [])[0].shape == (400, 2)
    assert whitened(np.ones((9, 3), np.float32), [np.ones((2, 3), np.float32)])[1].shape == (2, 0)


def test_unrelated_images_are_not_similar_with_as_many_train_images_as_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    train, *views = (rng.normal(size=(n, 64)).astype(np.float32) for n in (MIN_TRAIN_IMAGES, 200, 200))
    of_train, *of_views = whitened(train, views)
    assert (nearest_train_images(of_train, of_views)[1] >= 0.8).mean() < 0.02


@pytest.mark.parametrize(("n_train", "n_features", "components"), [(2, 8, 1), (40, 64, 10), (300, 64, 50), (300, 8, 8)])
def test_few_train_images_have_few_components(n_train: int, n_features: int, components: int) -> None:
    train = np.random.default_rng(0).normal(size=(n_train, n_features)).astype(np.float32)
    assert whitened(train, [])[0].shape == (n_train, components)


def test_the_most_similar_come_first_and_those_below_the_threshold_not_at_all() -> None:
    found = (np.array([1, 0, 1]), np.array([0.9, 0.99, 0.8], np.float32), np.array([0, 1, 0]))
    held_out = pd.concat([rows_of("val", "v"), rows_of("test", "t", "u")])
    table = similar_images_table(rows_of("train", "a", "b"), held_out, found, NO_DUPLICATES, min_cosine=0.85)
    assert table.to_numpy().tolist() == [["t", "test", "a", 0.99, 1], ["v", "val", "b", 0.9, 0]]


def test_images_of_one_known_group_are_not_listed_again() -> None:
    found = (np.array([0, 1]), np.array([0.9, 0.9], np.float32), np.array([0, 0]))
    duplicates = pd.DataFrame({"image_id": ["t", "a", "u", "c"], "tied": [0, 0, 1, 1]})
    table = similar_images_table(
        rows_of("train", "a", "b"), rows_of("test", "t", "u"), found, duplicates, min_cosine=0.85
    )
    assert table["image_id"].tolist() == ["u"]
