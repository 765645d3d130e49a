import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.codec import FORMATS
from counterweight.images.geometry import TargetSize
from counterweight.images.resizing import resize_images
from counterweight.images.sources import open_images
from counterweight.metrics.calibration import Calibration
from counterweight.metrics.decisions import DecisionRule
from counterweight.networks.classifier import Classifier, ModelConfig
from counterweight.networks.inference import Compute
from counterweight.networks.loader import ImageFiles
from counterweight.networks.prediction import predict, predict_scores, table_columns, table_files, table_rows
from tests.workspace import NO_CACHE

CPU = Compute(torch.device("cpu"), 1)


def build_classifier(**changes: Any) -> Classifier:
    settings = {
        "model": "cnn1",
        "layer": None,
        "activation": "relu",
        "pooling": "average",
        "flip_tta": False,
        "channels": 3,
        "labels": ["cat", "dog"],
        "task": "multilabel",
        "scores": "sigmoid",
        "crop": "none",
        "input_size": (16, 12),
        "resize": {"width": 24, "height": 20, "mode": "crop", "format": "jpg"},
        "frozen": False,
    }
    torch.manual_seed(0)
    return Classifier(ModelConfig(**(settings | changes)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eleven images of different sizes, some in a subfolder; more than a batch on the CPU."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for i in range(11):
        pixels = rng.integers(0, 256, (30 + i, 50 - i, 3), dtype=np.uint8)
        codec.write(pixels, folder / (f"sea/{i:02}.png" if i % 3 else f"{i:02}.jpg"), "jpg" if i % 3 == 0 else "png")
    return folder


@pytest.mark.parametrize("format", ["jpg", "png"])
@pytest.mark.parametrize("crop", ["none", "center"])
def test_scores_are_bit_identical_to_those_of_the_pipeline(
    photos: Path, tmp_path: Path, format: str, crop: str
) -> None:
    classifier = build_classifier(crop=crop, resize={"width": 24, "height": 20, "mode": "crop", "format": format})
    source = open_images(photos)
    names = source.names()
    paths, checksums = resize_images(
        names,
        [source.check(name, 10**6)[0] for name in names],
        source=source,
        folder=tmp_path / "resized",
        cache=NO_CACHE,
        workers=1,
        size=TargetSize(24, 20, "crop"),
        format=format,
    )
    files = ImageFiles([tmp_path / "resized" / path for path in paths], checksums)
    expected = predict_scores(classifier, files, CPU, None)
    scores, problems = predict(classifier, source, names, CPU)
    assert scores.tolist() == expected.tolist()
    assert len({tuple(row) for row in scores.tolist()}) == 11
    assert problems == [""] * 11


def test_scores_do_not_depend_on_chunks_or_workers(photos: Path) -> None:
    classifier, source = build_classifier(), open_images(photos)
    expected = predict(classifier, source, source.names(), CPU)[0].tolist()
    assert predict(classifier, source, source.names(), CPU, chunk=4)[0].tolist() == expected
    assert predict(classifier, source, source.names(), Compute(torch.device("cpu"), 2))[0].tolist() == expected


def test_images_of_an_array_are_resized_like_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 40, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    for i in range(3):
        codec.write(pixels[i], tmp_path / f"files/{i}.png", "png")
    classifier = build_classifier()
    from_array, from_files = (
        predict(classifier, source, source.names(), CPU)[0].tolist()
        for source in (open_images(tmp_path / "images.npy"), open_images(tmp_path / "files"))
    )
    assert from_array == from_files


def test_unreadable_image_is_reported_and_others_are_scored_as_before(photos: Path) -> None:
    classifier, source = build_classifier(), open_images(photos)
    names = source.names()
    before = predict(classifier, source, names, CPU)[0]
    (photos / names[3]).write_bytes(b"no image")
    whole = (photos / names[5]).read_bytes()
    (photos / names[5]).write_bytes(whole[: len(whole) // 2])
    (photos / names[6]).unlink()
    scores, problems = predict(classifier, source, names, CPU)
    assert [i for i, problem in enumerate(problems) if problem] == [3, 5, 6]
    assert problems[3] == f"{photos / names[3]} is not an image ({', '.join(FORMATS)})"
    assert problems[5].startswith(f"{photos / names[5]} cannot be decoded: ")
    assert problems[6] == f"{photos / names[6]} cannot be read: No such file or directory"
    assert np.isnan(scores[[3, 5, 6]]).all()
    good = [i for i, problem in enumerate(problems) if not problem]
    assert scores[good].tolist() == before[good].tolist()


def test_all_images_may_be_unreadable(photos: Path) -> None:
    source = open_images(photos)
    for name in source.names():
        (photos / name).write_bytes(b"")
    scores, problems = predict(build_classifier(), source, source.names(), CPU)
    assert np.isnan(scores).all()
    assert all(problems)


def test_no_temporary_file_is_left_behind(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Sockets need a short path.
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        monkeypatch.setattr("tempfile.tempdir", temporary)
        predict(build_classifier(), open_images(photos), open_images(photos).names(), CPU)
        assert list(Path(temporary).iterdir()) == []


def test_columns_are_named_after_the_labels() -> None:
    assert table_columns(["cat", "dog"]) == [
        "image", "labels", "probability:cat", "probability:dog", "label:cat", "label:dog", "problem",
    ]  # fmt: skip


def test_multilabel_prediction_is_every_label_that_reaches_its_threshold() -> None:
    decisions = DecisionRule("multilabel", ["sea", "sun"], None, 0.5, {"sea": 0.7, "sun": 0.2})
    scores = np.array([[0.7, 0.2], [0.6, 0.3], [0.6, 0.1]])
    assert list(table_rows(["a.jpg", "b.jpg", "c.jpg"], scores, ["", "", ""], decisions)) == [
        ["a.jpg", "sea,sun", 0.7, 0.2, 1, 1, ""],
        ["b.jpg", "sun", 0.6, 0.3, 0, 1, ""],
        ["c.jpg", "", 0.6, 0.1, 0, 0, ""],
    ]


def test_binary_prediction_is_the_positive_class_from_the_tuned_threshold_on() -> None:
    decisions = DecisionRule("binary", ["cat", "dog"], "dog", 0.3, {"dog": 0.3})
    rows = table_rows(["a", "b"], np.array([[0.7, 0.3], [0.8, 0.2]]), ["", ""], decisions)
    assert [row[1] for row in rows] == ["dog", "cat"]


def test_multiclass_prediction_is_the_class_with_the_highest_score() -> None:
    decisions = DecisionRule("multiclass", ["fig", "kiwi", "pear"], None, 0.5, {"fig": 0.9, "kiwi": 0.5, "pear": 0.1})
    rows = table_rows(["a", "b"], np.array([[0.5, 0.3, 0.2], [0.3, 0.4, 0.3]]), ["", ""], decisions)
    assert [row[1] for row in rows] == ["fig", "kiwi"]


def test_probabilities_are_calibrated_and_labels_follow_from_the_scores() -> None:
    # Odds are divided by 4: 0.8 becomes 0.5, and 0.5 becomes 0.2.
    calibration = Calibration("sigmoid", [1.0, 1.0], [-math.log(4), 0.0])
    decisions = DecisionRule("multilabel", ["sea", "sun"], None, 0.5, {"sea": 0.5, "sun": 0.9}, calibration)
    scores = np.array([[0.8, 0.8], [np.nan, np.nan], [0.5, 0.9]])
    rows = list(table_rows(["a", "b", "c"], scores, ["", "b is not an image", ""], decisions))
    assert rows[0] == ["a", "sea", pytest.approx(0.5), pytest.approx(0.8), 1, 0, ""]
    assert rows[1] == ["b", "", "", "", "", "", "b is not an image"]
    assert rows[2] == ["c", "sea,sun", pytest.approx(0.2), pytest.approx(0.9), 1, 1, ""]


def test_row_of_an_unreadable_image_contains_only_its_problem() -> None:
    decisions = DecisionRule("multiclass", ["fig", "kiwi"], None, 0.5, {"fig": 0.5, "kiwi": 0.5})
    scores = np.array([[np.nan, np.nan], [0.3, 0.7]])
    assert list(table_rows(["a", "b"], scores, ["a is not an image", ""], decisions)) == [
        ["a", "", "", "", "", "", "a is not an image"],
        ["b", "kiwi", 0.3, 0.7, 0, 1, ""],
    ]


def test_xlsx_table_is_also_written_as_csv() -> None:
    assert table_files(Path("out/labels.xlsx"), 3) == [Path("out/labels.csv"), Path("out/labels.xlsx")]
    assert table_files(Path("out/labels.csv"), 3) == [Path("out/labels.csv")]


def test_table_too_long_for_excel_is_written_as_csv_only() -> None:
    assert table_files(Path("labels.xlsx"), 1_048_576) == [Path("labels.csv")]


def test_table_with_another_suffix_is_an_error() -> None:
    with pytest.raises(InputError, match=r"--out labels\.ods: a table is an \.xlsx or a \.csv\."):
        table_files(Path("labels.ods"), 3)
