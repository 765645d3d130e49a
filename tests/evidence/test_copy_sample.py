from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.evidence.copy_sample import (
    CopyExtractor,
    SampleConfig,
    extract_sample,
    plan_copies,
    sample_sources,
)
from counterweight.images import codec
from counterweight.images.geometry import TargetSize, resize
from counterweight.networks.loader import ImageFiles
from tests.workspace import NO_CACHE

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


def test_each_pipeline_and_each_of_its_augmenters_alone_is_sampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "resized").mkdir()
    sources = []
    for name in ("a.png", "b.png", "c.png"):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        sources.append(Source(name, name, codec.write(pixels, tmp_path / "resized" / name, "png")))
    steps = [{"Fliplr": {"p": 1}}, {"Add": {"value": 20}, "Flipud": {"p": 1}}]
    configs = {"mine": CopyConfig("augmented", steps, "compose", 0, "png", 0.0, 0.0, 1)}

    def brightness(files: ImageFiles) -> np.ndarray:
        pixels = [
            codec.read(path, checksum).mean() for path, checksum in zip(files.paths, files.checksums, strict=True)
        ]
        return np.array(pixels, dtype=np.float32)[:, None]

    reference = np.array([[0.0], [1.0]], dtype=np.float32)  # Mean 0.5, deviation 0.5.
    extract = CopyExtractor(tmp_path / "resized", tmp_path / "scratch", brightness, reference, NO_CACHE, 1)
    sample = SampleConfig(max_copied=2, copies_per_image=2, images_per_augmenter=1, seed=0)
    pictures = tmp_path / "pictures"
    copies = extract_sample(extract, sources, {"labels": np.array([1, 2, 0])}, configs, sample, None, pictures)
    assert {name: each.sources.tolist() for name, each in copies.items()} == {
        "mine": [0, 1, 1],
        "mine\n": [0, 1, 1],
        "mine\n1. Fliplr": [0],
        "mine\n2. Add and Flipud": [0],
    }
    plain = codec.read(tmp_path / "resized" / "a.png", sources[0].checksum).mean()
    assert copies["mine\n1. Fliplr"].features == pytest.approx((plain - 0.5) / 0.5, rel=1e-5)
    # The images that every row shows: the one that is copied by each augmenter.
    assert {path.name: codec.read(path).shape for path in pictures.iterdir()} == dict.fromkeys(
        ("0.jpg", "1.jpg", "2.jpg"), (96, 96, 3)
    )
    mirrored, plain_pixels = (codec.read(path) for path in (pictures / "1.jpg", tmp_path / "resized" / "a.png"))
    expected = resize(plain_pixels[:, ::-1], TargetSize(96, 96, "stretch")).astype(int)
    assert np.abs(mirrored.astype(int) - expected).mean() < 5


def test_remedies_get_guarded_copies_and_affinity_those_without_a_guard(tmp_path: Path) -> None:
    """The guard refuses all but the sources themselves."""

    class Strict:
        max_draws, fallback = 1, CopyConfig("plain", [], "compose", 0, "png", 0.0, 0.0, 1)

        def __call__(self, copies: Sequence[MadeCopy], folder: Path) -> NDArray[np.float64]:
            return np.array([float(copy.checksum == copy.source.checksum) for copy in copies])

        def hidden_labels(self, image_ids: Sequence[str]) -> pd.DataFrame:
            raise NotImplementedError

    pixels = np.random.default_rng(0).integers(0, 200, (8, 8, 3), dtype=np.uint8)
    source = Source("a.png", "a.png", codec.write(pixels, tmp_path / "resized/a.png", "png"))
    config = CopyConfig("augmented", [{"Add": {"value": 40}}], "compose", 0, "png", 0.0, 0.0, 1)

    def brightness(files: ImageFiles) -> np.ndarray:
        return np.array([[codec.read(path).mean()] for path in files.paths], dtype=np.float32)

    reference = np.array([[-1.0], [1.0]], dtype=np.float32)
    extract = CopyExtractor(tmp_path / "resized", tmp_path / "scratch", brightness, reference, NO_CACHE, 1)
    sample = SampleConfig(max_copied=1, copies_per_image=1, images_per_augmenter=1, seed=0)
    copies = extract_sample(
        extract, [source], {"labels": np.array([1])}, {"mine": config}, sample, Strict(), tmp_path / "pictures"
    )
    of = {name: float(each.features[0, 0]) for name, each in copies.items()}
    assert of["mine"] == pytest.approx(pixels.mean())
    assert of["mine\n"] == of["mine\n1. Add"] == pytest.approx(pixels.mean() + 40)
