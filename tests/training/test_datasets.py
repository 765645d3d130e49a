from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from torch.utils.data import Dataset, SubsetRandomSampler

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import network_view
from counterweight.metrics.decisions import calibrate, tune
from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.inference import Compute, extract_features
from counterweight.networks.loader import ArrayDataset, ImageDataset, ImageFiles, Preprocessing, build_loader
from counterweight.networks.prediction import body_features, predict_scores
from counterweight.runtime.cache import Cache
from counterweight.training.arm import tune_on_validation
from counterweight.training.datasets import ArmImages, all_of, build_dataset
from counterweight.training.pretrained_body import fit_pretrained_body
from tests.designs import design
from tests.workspace import NO_CACHE


def resnet(*, frozen: bool) -> Classifier:
    torch.manual_seed(0)
    return Classifier(design("resnet18", "layer1", ["cat", "dog"], 32, frozen=frozen))


@pytest.fixture
def classifier() -> Classifier:
    return resnet(frozen=False)


@pytest.fixture
def frozen() -> Classifier:
    """The same network, whose head alone is trained."""
    return resnet(frozen=True)


@pytest.fixture
def image_and_copy(tmp_path: Path) -> pd.DataFrame:
    """The table of a.png among the resized images and of its copy among the copies."""
    rng = np.random.default_rng(0)
    checksums = [
        codec.write(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), tmp_path / path, "png")
        for path in ("resized/a.png", "copies/a__copy1.png")
    ]
    return manifest.build(
        image_ids=["a.png", "a__copy1.png"],
        paths=["a.png", "a__copy1.png"],
        splits=["train", "train"],
        labels=["cat", "dog"],
        targets=np.array([[0, 1], [0, 1]]),
        checksums=checksums,
        source_ids=["", "a.png"],
        clusters=[0, 0],
    )


ALONE = ProcessGroup(torch.device("cpu"))


def folders(folder: Path) -> ArmImages:
    return ArmImages(folder / "resized", folder / "copies", ALONE, workers=0, cache=Cache(folder / "cache", 10**9))


def made(classifier: Classifier, table: pd.DataFrame, folder: Path) -> Dataset[Any]:
    return build_dataset(classifier, table, folders(folder))


def test_images_are_read_from_the_resized_and_copies_from_the_copies(
    classifier: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    images = replace(folders(tmp_path), cache=NO_CACHE)
    decoded = build_dataset(classifier, image_and_copy, images)
    assert isinstance(decoded, ImageDataset)
    assert decoded.files.paths == [tmp_path / "resized" / "a.png", tmp_path / "copies" / "a__copy1.png"]


def test_with_a_cache_images_are_decoded_once_and_read_as_a_batch(
    classifier: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    decoded = build_dataset(classifier, image_and_copy, replace(folders(tmp_path), cache=NO_CACHE))
    kept = made(classifier, image_and_copy, tmp_path)
    assert isinstance(kept, ArrayDataset)
    expected = [torch.stack(part) for part in zip(*(decoded[i] for i in (1, 0)), strict=True)]
    (batch,) = build_loader(kept, ALONE, batch_size=4, workers=0, sampler=SubsetRandomSampler([1]))
    assert torch.equal(batch[0][0], expected[0][0])
    batch = kept.__getitems__([1, 0])
    assert all(torch.equal(*pair) for pair in zip(batch, expected, strict=True))
    assert torch.equal(kept[1][0], decoded[1][0])


def test_input_is_the_square_that_the_classifier_sees(
    classifier: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    square, targets = made(classifier, image_and_copy, tmp_path)[1]
    pixels = codec.read(tmp_path / "copies" / "a__copy1.png")
    assert np.array_equal(square.numpy(), network_view(pixels, "none", (32, 32)))
    assert (targets.dtype, targets.tolist()) == (torch.float32, [0.0, 1.0])


def test_inputs_of_a_frozen_body_are_its_features(
    frozen: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    rows = made(frozen, image_and_copy, tmp_path)
    assert isinstance(rows, ArrayDataset)
    features, targets = rows[:]
    files = [tmp_path / "resized" / "a.png", tmp_path / "copies" / "a__copy1.png"]
    expected = body_features(
        frozen, ImageFiles(files, image_and_copy["checksum"].tolist()), Compute(torch.device("cpu"), 0), None
    )
    assert features.shape == (2, 64)
    assert np.array_equal(features.numpy(), expected)
    assert targets.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert [part.tolist() for part in all_of(rows)] == [features.tolist(), targets.tolist()]


def test_features_of_a_frozen_body_come_from_the_cache_the_second_time(
    frozen: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    first, _ = made(frozen, image_and_copy, tmp_path)[:]
    for path in ("resized/a.png", "copies/a__copy1.png"):
        (tmp_path / path).unlink()
    again, _ = made(frozen, image_and_copy.iloc[[1, 0]], tmp_path)[:]
    assert torch.equal(again, first.flip(0))


def test_thresholds_of_a_frozen_classifier_are_tuned_on_scores_of_cached_features(
    frozen: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    images, own = folders(tmp_path), image_and_copy[:1]
    expected = predict_scores(frozen, images.files(own), images.compute, None)
    made(frozen, own, tmp_path)
    (tmp_path / "resized" / "a.png").unlink()
    rule = tune_on_validation(frozen, image_and_copy, own, images, "f1")
    targets = manifest.targets(own)
    assert rule == calibrate(tune(targets, expected, ["cat", "dog"], "multilabel"), targets, expected)


def test_head_on_frozen_features_gives_the_classifiers_logits(
    classifier: Classifier, frozen: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    squares = torch.stack([square for square, _ in made(classifier, image_and_copy, tmp_path)])
    features, _ = made(frozen, image_and_copy, tmp_path)[:]
    with torch.inference_mode():
        assert torch.allclose(frozen.head(features), classifier.eval()(squares), atol=1e-6)


def test_bilinear_pooling_is_fitted_to_the_images_that_are_no_copies(
    image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    fitted = []
    for table in (image_and_copy, image_and_copy[:1]):
        torch.manual_seed(0)
        classifier = Classifier(design("resnet18", "layer1", ["cat", "dog"], 32, pooling="bilinear"))
        assert isinstance(classifier.body, Backbone)
        assert classifier.body.bilinear is not None
        drawn = classifier.body.bilinear.reduce.weight.detach().clone()
        fit_pretrained_body(classifier, table, folders(tmp_path), recalibrate=False)
        fitted.append(classifier.body.bilinear.reduce.weight.detach())
        assert not torch.allclose(fitted[-1], drawn)
    assert torch.equal(*fitted)


def test_body_whose_norms_are_fitted_computes_in_training_what_it_does_in_evaluation(
    classifier: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    body, own = classifier.body, image_and_copy[:1]
    looks = torch.stack([square for square, _ in made(classifier, own, tmp_path)])
    with torch.no_grad():
        expected = body.eval()(looks)
        assert not torch.allclose(body.train()(looks), expected, rtol=0.05)
        classifier.load_state_dict(Classifier(classifier.config).state_dict())
        expected = body.eval()(looks)
        fit_pretrained_body(classifier, image_and_copy, folders(tmp_path), recalibrate=True)
        assert torch.allclose(body.eval()(looks), expected, rtol=1e-4, atol=1e-5)
        assert torch.allclose(body.train()(looks), expected, rtol=1e-4, atol=1e-5)


def test_norms_that_begin_random_behind_weights_are_not_fitted(
    classifier: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    body = classifier.body
    assert isinstance(body, Backbone)
    body.reinitialized = frozenset(key for key in body.trunk.state_dict() if key.startswith("layer1.1."))
    fit_pretrained_body(classifier, image_and_copy, folders(tmp_path), recalibrate=True)
    means = {key: value for key, value in body.trunk.state_dict().items() if key.endswith("running_mean")}
    assert {key for key, mean in means.items() if not mean.any()} == {
        "layer1.1.bn1.running_mean", "layer1.1.bn2.running_mean",
    }  # fmt: skip


@pytest.mark.parametrize("head_alone", [False, True])
def test_changed_copy_is_an_error_that_names_it(head_alone: bool, image_and_copy: pd.DataFrame, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "a__copy1.png"
    copy.write_bytes((tmp_path / "resized" / "a.png").read_bytes())
    with pytest.raises(InputError) as error:
        list(made(resnet(frozen=head_alone), image_and_copy, tmp_path))
    assert str(error.value) == f"{copy}: the file has changed since the manifest was written. Run dvc repro."


def test_thresholds_are_tuned_on_the_scores_of_the_users_own_images(
    classifier: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    own = image_and_copy[:1]
    found = tune_on_validation(classifier, image_and_copy, own, folders(tmp_path), "f1")
    files = ImageFiles([tmp_path / "resized" / "a.png"], own["checksum"].tolist())
    logits = extract_features(classifier, files, Preprocessing("none", (32, 32)), Compute(torch.device("cpu"), 0))
    targets, scores = manifest.targets(own), expit(logits.astype(np.float64))
    assert found == calibrate(tune(targets, scores, ["cat", "dog"], "multilabel"), targets, scores)


def test_positive_class_is_the_rarer_of_the_users_own_images(image_and_copy: pd.DataFrame, tmp_path: Path) -> None:
    cat, dog = {"label:cat": [1, 1], "label:dog": [0, 0]}, {"label:cat": [0, 0], "label:dog": [1, 1]}
    own, copies = image_and_copy.iloc[[0, 0]], image_and_copy.iloc[[1, 1]]
    # With the copies, cats are four and dogs are three.
    train = pd.concat(
        [
            own.assign(**dog),
            image_and_copy[:1].assign(**{"label:cat": 0, "label:dog": 1}),
            own.assign(**cat),
            copies.assign(**cat),
        ]
    )
    of_two = Classifier(design("resnet18", "layer1", ["cat", "dog"], 32, task="binary", scores="softmax"))
    assert tune_on_validation(of_two, train, own.assign(**cat), folders(tmp_path), "platt").positive == "cat"


def test_missing_labels_stay_missing_in_the_targets(
    classifier: Classifier, image_and_copy: pd.DataFrame, tmp_path: Path
) -> None:
    table = image_and_copy.assign(**{"label:cat": [-1, -1]})
    assert made(classifier, table, tmp_path)[0][1].tolist() == [-1.0, 1.0]
