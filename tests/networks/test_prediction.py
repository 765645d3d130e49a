from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import Wanted
from counterweight.images.resizing import resize_all
from counterweight.images.sources import open_images
from counterweight.metrics.decisions import Decisions
from counterweight.networks.classifier import Classifier, Design
from counterweight.networks.inference import scores_of
from counterweight.networks.prediction import columns, predict, rows, table_files
from tests.workspace import NO_CACHE

CPU = {"device": torch.device("cpu"), "workers": 1}


def classifier_of(**changes: Any) -> Classifier:
    design = {
        "model": "cnn1",
        "layer": None,
        "activation": "relu",
        "pooling": "average",
        "mirror": False,
        "channels": 3,
        "labels": ["cat", "dog"],
        "task": "multilabel",
        "scores": "sigmoid",
        "view": "whole",
        "size": (16, 12),
        "resize": {"width": 24, "height": 20, "mode": "crop", "format": "jpg"},
    }
    torch.manual_seed(0)
    return Classifier(Design(**(design | changes)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eleven images of different sizes, some of them in a folder below: more than a batch on the CPU."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for i in range(11):
        pixels = rng.integers(0, 256, (30 + i, 50 - i, 3), dtype=np.uint8)
        codec.write(pixels, folder / (f"sea/{i:02}.png" if i % 3 else f"{i:02}.jpg"), "jpg" if i % 3 == 0 else "png")
    return folder


@pytest.mark.parametrize("format", ["jpg", "png"])
@pytest.mark.parametrize("view", ["whole", "centre"])
def test_scores_are_those_of_the_pipeline_to_the_last_bit(photos: Path, tmp_path: Path, format: str, view: str) -> None:
    classifier = classifier_of(view=view, resize={"width": 24, "height": 20, "mode": "crop", "format": format})
    source = open_images(photos)
    names = source.names()
    how = classifier.design.resize
    paths, checksums = resize_all(
        names,
        [source.check(name, 10**6)[0] for name in names],
        source=source,
        target=tmp_path / "resized",
        cache=NO_CACHE,
        workers=1,
        wanted=Wanted(how["width"], how["height"], how["mode"]),
        format=how["format"],
    )
    files = [tmp_path / "resized" / path for path in paths]
    expected = scores_of(classifier, files, checksums, view=view, size=(16, 12), **CPU)
    scores, problems = predict(classifier, source, names, **CPU)
    assert scores.tolist() == expected.tolist()
    assert len({tuple(row) for row in scores.tolist()}) == 11
    assert problems == [""] * 11


def test_scores_do_not_depend_on_the_chunks_or_the_workers(photos: Path) -> None:
    classifier, source = classifier_of(), open_images(photos)
    expected = predict(classifier, source, source.names(), **CPU)[0].tolist()
    assert predict(classifier, source, source.names(), **CPU, chunk=4)[0].tolist() == expected
    assert predict(classifier, source, source.names(), **(CPU | {"workers": 2}))[0].tolist() == expected


def test_images_of_an_array_are_treated_like_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 40, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    for i in range(3):
        codec.write(pixels[i], tmp_path / f"files/{i}.png", "png")
    classifier = classifier_of()
    found = [
        predict(classifier, source, source.names(), **CPU)[0].tolist()
        for source in (open_images(tmp_path / "images.npy"), open_images(tmp_path / "files"))
    ]
    assert found[0] == found[1]


def test_unreadable_image_is_named_and_the_others_are_as_without_it(photos: Path) -> None:
    classifier, source = classifier_of(), open_images(photos)
    names = source.names()
    before = predict(classifier, source, names, **CPU)[0]
    (photos / names[3]).write_bytes(b"no image")
    whole = (photos / names[5]).read_bytes()
    (photos / names[5]).write_bytes(whole[: len(whole) // 2])
    (photos / names[6]).unlink()
    scores, problems = predict(classifier, source, names, **CPU)
    assert [i for i, problem in enumerate(problems) if problem] == [3, 5, 6]
    assert problems[3] == f"{photos / names[3]} is not an image (JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF)"
    assert problems[5].startswith(f"{photos / names[5]} cannot be decoded: ")
    assert problems[6] == f"{photos / names[6]} cannot be read: No such file or directory"
    assert np.isnan(scores[[3, 5, 6]]).all()
    good = [i for i, problem in enumerate(problems) if not problem]
    assert scores[good].tolist() == before[good].tolist()


def test_where_no_image_can_be_read_each_is_named(photos: Path) -> None:
    source = open_images(photos)
    for name in source.names():
        (photos / name).write_bytes(b"")
    scores, problems = predict(classifier_of(), source, source.names(), **CPU)
    assert (np.isnan(scores).all(), all(problems)) == (True, True)


def test_no_file_is_left_behind(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    predict(classifier_of(), open_images(photos), open_images(photos).names(), **CPU)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_columns_are_named_by_the_labels() -> None:
    assert columns(["cat", "dog"]) == [
        "image", "labels", "probability:cat", "probability:dog", "label:cat", "label:dog", "problem",
    ]  # fmt: skip


def test_each_label_is_given_from_its_own_threshold_on() -> None:
    decisions = Decisions("multilabel", ["sea", "sun"], None, 0.5, {"sea": 0.7, "sun": 0.2})
    scores = np.array([[0.7, 0.2], [0.6, 0.3], [0.6, 0.1]])
    assert list(rows(["a.jpg", "b.jpg", "c.jpg"], scores, ["", "", ""], decisions)) == [
        ["a.jpg", "sea,sun", 0.7, 0.2, 1, 1, ""],
        ["b.jpg", "sun", 0.6, 0.3, 0, 1, ""],
        ["c.jpg", "", 0.6, 0.1, 0, 0, ""],
    ]


def test_of_two_classes_the_positive_one_is_given_from_the_tuned_threshold_on() -> None:
    decisions = Decisions("binary", ["cat", "dog"], "dog", 0.3, {"dog": 0.3})
    found = rows(["a", "b"], np.array([[0.7, 0.3], [0.8, 0.2]]), ["", ""], decisions)
    assert [row[1] for row in found] == ["dog", "cat"]


def test_of_several_classes_the_one_with_the_highest_score_is_given() -> None:
    decisions = Decisions("multiclass", ["fig", "kiwi", "pear"], None, 0.5, {"fig": 0.9, "kiwi": 0.5, "pear": 0.1})
    found = rows(["a", "b"], np.array([[0.5, 0.3, 0.2], [0.3, 0.4, 0.3]]), ["", ""], decisions)
    assert [row[1] for row in found] == ["fig", "kiwi"]


def test_row_of_an_unreadable_image_has_its_problem_and_nothing_else() -> None:
    decisions = Decisions("multiclass", ["fig", "kiwi"], None, 0.5, {"fig": 0.5, "kiwi": 0.5})
    scores = np.array([[np.nan, np.nan], [0.3, 0.7]])
    assert list(rows(["a", "b"], scores, ["a is not an image", ""], decisions)) == [
        ["a", "", "", "", "", "", "a is not an image"],
        ["b", "kiwi", 0.3, 0.7, 0, 1, ""],
    ]


def test_beside_a_workbook_stands_the_same_table_as_csv() -> None:
    assert table_files(Path("out/labels.xlsx"), 3) == [Path("out/labels.csv"), Path("out/labels.xlsx")]
    assert table_files(Path("out/labels.csv"), 3) == [Path("out/labels.csv")]


def test_more_rows_than_excel_holds_are_written_as_csv_alone() -> None:
    assert table_files(Path("labels.xlsx"), 1_048_576) == [Path("labels.csv")]


def test_table_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"--out labels\.ods: a table is an \.xlsx or a \.csv\."):
        table_files(Path("labels.ods"), 3)
