import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.networks import feature_extractor, inference
from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.feature_extractor import FeatureConfig, build_feature_extractor, extract_remotely
from counterweight.networks.inference import Compute, extract_features
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.networks.prediction import body_features, predict_scores
from counterweight.networks.weights import build_classifier
from counterweight.runtime.cache import Cache
from counterweight.runtime.parallel import use_executor
from tests.designs import design

CPU = Compute(torch.device("cpu"), 0)
SECTION = FeatureConfig("resnet18", "random", "layer1", "none", 224, "torch", 0)


@pytest.fixture(scope="module")
def nine_files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """Noise of different sizes; one image more than a batch on the CPU."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(9)]
    noise = [rng.integers(0, 256, (40 + i, 50 + 2 * i, 3), dtype=np.uint8) for i in range(9)]
    return ImageFiles(paths, [codec.write(pixels, path, "png") for pixels, path in zip(noise, paths, strict=True)])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10**9)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of images of each batch that a network has seen."""
    batches: list[int] = []
    monkeypatch.setattr(inference, "count", lambda what, number: batches.append(number))
    return batches


def frozen(size: int = 32, seed: int = 0, labels: tuple[str, ...] = ("cat", "dog"), **changes: Any) -> Classifier:
    """A frozen ResNet up to its first stage, with random weights."""
    config = design("resnet18", "layer1", [*labels], size, **({"frozen": True} | changes))
    return build_classifier(config, "random", None, seed)


def computed(classifier: Classifier, files: ImageFiles) -> NDArray[np.float32]:
    """Outputs of the body as it is, without fused batch norms."""
    return extract_features(classifier.body, files, classifier.config.preprocessing, CPU)


def test_rows_of_a_frozen_body_are_those_of_the_section_features(nine_files: ImageFiles, cache: Cache) -> None:
    extractor = build_feature_extractor(SECTION, nine_files, CPU, cache)
    assert np.array_equal(body_features(frozen(224), nine_files, CPU, None), extractor.features(nine_files))


def test_the_network_sees_images_of_the_size_in_the_params(nine_files: ImageFiles, cache: Cache) -> None:
    square, wide = (
        build_feature_extractor(replace(SECTION, input_size=size), nine_files, CPU, cache) for size in (64, [48, 32])
    )
    assert (square.preprocessing, wide.preprocessing) == (
        Preprocessing("none", (64, 64)),
        Preprocessing("none", (48, 32)),
    )
    assert np.array_equal(body_features(frozen(64), nine_files, CPU, None), square.features(nine_files))


def test_frozen_body_takes_the_rows_that_the_section_features_has_cached(
    nine_files: ImageFiles, cache: Cache, seen: list[int]
) -> None:
    rows = build_feature_extractor(SECTION, nine_files, CPU, cache).features(nine_files)
    assert sum(seen) == 9
    assert np.array_equal(body_features(frozen(224), nine_files, CPU, cache), rows)
    assert sum(seen) == 9


def test_rows_of_a_frozen_body_are_its_outputs_but_for_rounding(nine_files: ImageFiles) -> None:
    classifier = frozen()
    rows = body_features(classifier, nine_files, CPU, None)
    assert (rows.dtype, rows.shape) == (np.float32, (9, 64))
    np.testing.assert_allclose(rows, computed(classifier, nine_files), rtol=1e-4, atol=1e-5)


def test_only_images_that_are_new_go_through_a_frozen_body(
    nine_files: ImageFiles, cache: Cache, seen: list[int]
) -> None:
    classifier, reverse = frozen(), nine_files.take(range(8, -1, -1))
    expected = body_features(classifier, nine_files, CPU, None)
    seen.clear()
    assert np.array_equal(body_features(classifier, nine_files.take([3, 4]), CPU, cache), expected[3:5])
    assert sum(seen) == 2
    assert np.array_equal(body_features(classifier, nine_files, CPU, cache), expected)
    assert sum(seen) == 2 + 7
    assert np.array_equal(body_features(classifier, reverse, CPU, cache), expected[::-1])
    assert sum(seen) == 2 + 7


def test_arms_and_seeds_with_other_heads_share_the_rows_of_a_body(
    nine_files: ImageFiles, cache: Cache, seen: list[int], tmp_path: Path
) -> None:
    body = frozen().body
    assert isinstance(body, Backbone)
    save_file(body.trunk.state_dict(), tmp_path / "body.safetensors")
    configs = [
        design("resnet18", "layer1", ["cat", "dog"], 32, frozen=True),
        design("resnet18", "layer1", ["cat", "dog", "cow"], 32, frozen=True, task="multiclass", scores="softmax"),
    ]
    classifiers = [
        build_classifier(config, str(tmp_path / "body.safetensors"), None, seed)
        for config in configs
        for seed in (0, 1)
    ]
    rows = [body_features(classifier, nine_files, CPU, cache) for classifier in classifiers]
    assert sum(seen) == 9
    assert all(np.array_equal(other, rows[0]) for other in rows[1:])
    assert not torch.equal(classifiers[0].head.weight, classifiers[1].head.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"size": 48}, {"crop": "center"}, {"flip_tta": True}, {"pooling": "max"}, {"pooling": "pyramid"}],
    ids=str,
)
def test_rows_of_another_body_or_another_input_are_computed_anew(
    changes: dict[str, Any], nine_files: ImageFiles, cache: Cache, seen: list[int]
) -> None:
    first, other = frozen(), frozen(**changes)
    body_features(first, nine_files, CPU, cache)
    rows = body_features(other, nine_files, CPU, cache)
    assert sum(seen) == 9 + 9
    np.testing.assert_allclose(rows, computed(other, nine_files), rtol=1e-4, atol=1e-5)


def test_no_images_have_no_rows_and_no_scores(cache: Cache) -> None:
    nothing = ImageFiles([], [])
    for kept in (None, cache):
        assert len(body_features(frozen(), nothing, CPU, kept)) == 0
        assert predict_scores(frozen(), nothing, CPU, kept).shape == (0, 2)


def test_scores_are_the_sigmoid_of_the_logits(nine_files: ImageFiles) -> None:
    torch.manual_seed(0)
    classifier = Classifier(design("cnn1", None, ["cat", "dog", "cow"], 32, scores="sigmoid"))
    scores = predict_scores(classifier, nine_files, CPU, None)
    logits = extract_features(classifier, nine_files, Preprocessing("none", (32, 32)), CPU).astype(np.float64)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_scores_of_classes_are_the_softmax_of_the_logits(nine_files: ImageFiles) -> None:
    torch.manual_seed(0)
    classifier = Classifier(design("cnn1", None, ["cat", "dog", "cow"], 32, task="multiclass", scores="softmax"))
    scores = predict_scores(classifier, nine_files, CPU, None)
    logits = extract_features(classifier, nine_files, Preprocessing("none", (32, 32)), CPU).astype(np.float64)
    powers = np.exp(logits)
    np.testing.assert_allclose(scores, powers / powers.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(scores.sum(axis=1), np.ones(9), rtol=1e-12)


HEADS: dict[str, dict[str, Any]] = {
    "linear": {},
    "after a batch norm": {"pooling": "pyramid"},
    "of classes": {"task": "multiclass", "scores": "softmax"},
}


@pytest.mark.parametrize("changes", HEADS.values(), ids=HEADS.keys())
def test_scores_of_a_frozen_classifier_are_those_of_its_logits(changes: dict[str, Any], nine_files: ImageFiles) -> None:
    classifier, unfrozen = frozen(**changes), frozen(**changes, frozen=False)
    scores = predict_scores(classifier.train(), nine_files, CPU, None)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, predict_scores(unfrozen, nine_files, CPU, None), rtol=1e-4)


@pytest.mark.parametrize("changes", HEADS.values(), ids=HEADS.keys())
def test_scores_of_a_frozen_classifier_have_the_same_bits_with_a_cache_and_in_any_order(
    changes: dict[str, Any], nine_files: ImageFiles, cache: Cache
) -> None:
    classifier, reverse = frozen(**changes), nine_files.take(range(8, -1, -1))
    expected = predict_scores(classifier, nine_files, CPU, None)
    for _ in range(2):
        assert np.array_equal(predict_scores(classifier, nine_files, CPU, cache), expected)
    assert np.array_equal(predict_scores(classifier, reverse, CPU, None)[::-1], expected)
    assert np.array_equal(predict_scores(classifier, reverse, CPU, cache)[::-1], expected)
    assert np.array_equal(predict_scores(classifier, nine_files.take([5]), CPU, None)[0], expected[5])


def test_scores_of_a_trained_body_are_not_cached(nine_files: ImageFiles, cache: Cache, seen: list[int]) -> None:
    for _ in range(2):
        predict_scores(frozen(frozen=False), nine_files, CPU, cache)
    assert sum(seen) == 9 + 9
    assert not cache.folder.exists()


def test_head_of_convolutions_gets_the_frozen_bodys_feature_maps(nine_files: ImageFiles, cache: Cache) -> None:
    classifier = build_classifier(design("vgg19_convs", None, ["cat"], 64, frozen=True), "random", None, 0)
    two = nine_files.take([0, 1])
    assert body_features(classifier, two, CPU, cache).shape == (2, 512, 2, 2)
    expected = extract_features(classifier, two, Preprocessing("none", (64, 64)), CPU)
    for kept in (None, cache):
        scores = predict_scores(classifier, two, CPU, kept)
        np.testing.assert_allclose(scores, 1 / (1 + np.exp(-expected.astype(np.float64))), rtol=1e-4)


def test_scoring_changes_no_weight_of_a_frozen_classifier(nine_files: ImageFiles, cache: Cache) -> None:
    classifier = frozen(pooling="pyramid").train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    predict_scores(classifier, nine_files, CPU, cache)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert any(isinstance(layer, nn.BatchNorm1d) for layer in classifier.head)  # type: ignore[arg-type]


def on_cpu() -> str:
    return "cpu"


def remote_rows(config: FeatureConfig, files: ImageFiles, cache: Cache) -> NDArray[np.float32]:
    """Features by two workers of an executor, which stands for those of other machines."""
    extractor = build_feature_extractor(config, files, CPU, cache)
    rows = np.full((len(files), extractor.n_features), np.nan, dtype=np.float32)
    with ThreadPoolExecutor(2) as executor, use_executor(executor, lambda function: [function(), function()]):
        devices = extract_remotely(extractor, config, files, 2, on_cpu, rows.__setitem__)
    assert devices == "2 workers, each on cpu"
    return rows


def test_workers_of_other_machines_extract_the_same_rows(
    nine_files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_extractor, "_PART", 2)
    monkeypatch.setattr(feature_extractor, "_AT_ONCE", 4)
    here = build_feature_extractor(SECTION, nine_files, CPU, Cache(tmp_path / "other", 10**9)).features(nine_files)
    cache = Cache(tmp_path / "cache", 10**9)
    first_five = nine_files.take(range(5))
    assert np.array_equal(remote_rows(SECTION, first_five, cache), here[:5])
    assert np.array_equal(remote_rows(SECTION, nine_files, cache), here)


def test_threads_of_a_worker_extract_one_after_the_other(
    nine_files: ImageFiles, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    extracting, together = Lock(), []

    def extract(*arguments: Any) -> NDArray[np.float32]:
        together.append(not extracting.acquire(blocking=False))
        time.sleep(0.05)  # Long enough for the other thread to come in, if nothing holds it.
        rows = extract_features(*arguments)
        extracting.release()
        return rows

    monkeypatch.setattr(feature_extractor, "_PART", 2)
    monkeypatch.setattr(feature_extractor, "extract_features", extract)
    remote_rows(SECTION, nine_files, cache)
    assert together == [False] * 5


@pytest.mark.parametrize(
    ("device", "installed", "engine"),
    [("cpu", True, "openvino"), ("cpu", False, "torch"), ("cuda", True, "torch"), ("mps", True, "torch")],
)
def test_engine_is_chosen_by_the_device_and_by_what_is_installed(
    device: str, installed: bool, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_extractor, "distributions", lambda name: iter([name] * installed))
    assert replace(SECTION, engine="auto").with_engine(torch.device(device)) == replace(SECTION, engine=engine)
    assert replace(SECTION, engine="openvino_int8").with_engine(torch.device(device)).engine == "openvino_int8"


def test_engine_that_is_chosen_shares_the_cache_with_the_same_one_named(
    nine_files: ImageFiles, cache: Cache, seen: list[int]
) -> None:
    auto = replace(SECTION, engine="auto")
    for config in (auto, auto.with_engine(CPU.device)):
        build_feature_extractor(config, nine_files, CPU, cache).features(nine_files)
    assert seen == [9]


def test_workers_see_only_images_that_are_not_in_the_cache(
    nine_files: ImageFiles, cache: Cache, seen: list[int]
) -> None:
    build_feature_extractor(SECTION, nine_files, CPU, cache).features(nine_files.take(range(6)))
    seen.clear()
    remote_rows(SECTION, nine_files, cache)
    assert seen == [3]


def test_workers_load_weights_again_that_have_changed(nine_files: ImageFiles, tmp_path: Path) -> None:
    config, rows = replace(SECTION, weights=str(tmp_path / "weights.safetensors")), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_file(Backbone("resnet18", "layer1", (224, 224)).trunk.state_dict(), tmp_path / "weights.safetensors")
        rows.append(remote_rows(config, nine_files, Cache(tmp_path / f"cache{seed}", 10**9)))
    assert not np.array_equal(rows[0], rows[1])


def test_workers_with_other_kinds_of_devices_are_an_error(nine_files: ImageFiles, cache: Cache) -> None:
    extractor = build_feature_extractor(SECTION, nine_files, CPU, cache)
    with (
        ThreadPoolExecutor(1) as executor,
        use_executor(executor, lambda function: ["cuda", function()]),
        pytest.raises(InputError, match="the workers compute on cpu and cuda, whose features differ"),
    ):
        extract_remotely(extractor, SECTION, nine_files, 2, on_cpu, lambda position, row: None)
