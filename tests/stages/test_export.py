import csv
import hashlib
import importlib.util
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torchvision.datasets import ImageFolder

from counterweight.base import manifest
from counterweight.images import codec
from tests.conftest import EXPORT, TINY, run_stage
from tests.pictures import of_color
from tests.workspace import PROJECT, write_params

# The images of `single_label`: file, split, class (None if unknown) and source, with unusual names.
DRAWN = [
    ("007.png", "train", "1", ""),
    ("007__copy1.png", "train", "1", "007.png"),
    ("a, b; c.png", "train", "sea/beach", ""),
    ("x/été 猫.png", "train", "a dog, 100% été", ""),
    ("=1+1.png", "val", "1", ""),
    ("[v]*?.png", "val", "sea/beach", ""),
    ("NA.png", "val", "a dog, 100% été", ""),
    ("train/8.png", "test", "1", ""),
    ("9.png", "test", "sea/beach", ""),
    ("test.png", "test", "a dog, 100% été", ""),
    ("unknown.png", "train", None, ""),
]
CLASSES = ["1", "a dog, 100% été", "sea/beach"]


@pytest.fixture(scope="module")
def multilabel(augmented: Path) -> Path:
    """The multilabel dataset of the tiny folder."""
    run_stage(augmented, "export", *EXPORT)
    return augmented / "augmented/dataset"


@pytest.fixture(scope="module")
def single_label(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single-label dataset of `DRAWN`; image n has gray level 20 n."""
    folder = tmp_path_factory.mktemp("single")
    export(folder)
    return folder / "augmented/dataset"


def export(folder: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Write the images and manifest of `DRAWN`, run the stage, and return its log."""
    checksums = []
    for number, (file, _, _, source) in enumerate(DRAWN):
        path = folder / ("augmented/images" if source else "data/resized") / file
        checksums.append(codec.write(of_color((20 * number,) * 3, 8, 8), path, "png"))
    files, splits, classes, sources = zip(*DRAWN, strict=True)
    targets = np.array([[-1] * 3 if name is None else [int(name == each) for each in CLASSES] for name in classes])
    clusters = [0 if split == "train" else pd.NA for split in splits]
    table = manifest.build(files, files, splits, CLASSES, targets, checksums, sources, clusters)
    manifest.write(table, folder / "augmented/manifest.csv")
    write_params(folder / "params.yaml", {**TINY, "data.task": "multiclass", **changes})
    return run_stage(folder, "export", *EXPORT).stderr


def number_of(image: Any) -> int:
    """Return the index in `DRAWN` of an image, from its gray level."""
    return int(np.asarray(image.convert("L"))[0, 0]) // 20


def test_every_image_of_the_balanced_dataset_is_in_its_split(multilabel: Path, augmented: Path) -> None:
    table = manifest.read(augmented / "augmented/manifest.csv")
    files = {path.relative_to(multilabel).as_posix() for path in multilabel.rglob("*.jpg")}
    assert files == set(table["split"] + "/" + table["path"])
    for path, source, split, checksum in table[["path", "source_id", "split", "checksum"]].itertuples(index=False):
        assert hashlib.sha256((multilabel / split / path).read_bytes()).hexdigest() == checksum, source


def test_an_image_whose_class_is_missing_is_left_out(single_label: Path, tmp_path: Path) -> None:
    files = [path.name for path in single_label.rglob("*.png")]
    assert len(files) == len(DRAWN) - 1
    assert "unknown.png" not in files
    assert "unknown.png" not in (single_label / "train/metadata.csv").read_text(encoding="utf-8")
    assert "export: 1 images are left out because their class is missing" in export(tmp_path)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_same_bytes_for_any_number_of_workers(
    workers: str, single_label: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", workers)
    export(tmp_path)
    assert contents(tmp_path / "augmented/dataset") == contents(single_label)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_torchvision_loads_one_folder_per_class(single_label: Path) -> None:
    folders = ["1", "a dog, 100% été", "sea%2Fbeach"]
    for split in manifest.SPLITS:
        dataset = ImageFolder(str(single_label / split))
        assert dataset.classes == folders
        loaded = {number_of(image): CLASSES[target] for image, target in dataset}
        assert loaded == {i: row[2] for i, row in enumerate(DRAWN) if row[1] == split and row[2] is not None}


def documented(number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a block of docs/next.md in a folder, and return what it defines."""
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/next.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(blocks[number], names)
    return names


def test_the_documented_code_numbers_torchvisions_test_classes_as_in_train(
    single_label: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(single_label, tmp_path / "augmented/dataset")
    shutil.rmtree(tmp_path / "augmented/dataset/test/1")
    test = documented(2, tmp_path, monkeypatch)["test"]
    assert {number_of(image): CLASSES[target] for image, target in test} == {8: "sea/beach", 9: "a dog, 100% été"}


@pytest.fixture
def hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, offline and with its own cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="make loaders installs it")
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets


def test_hugging_face_numbers_single_labels_as_torchvision_does(
    single_label: Path, hugging_face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = documented(0, single_label.parents[1], monkeypatch)["dataset"]
    assert set(dataset) == {"train", "validation", "test"}
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        loaded = {number_of(row["image"]): (row["label"], json.loads(row["labels"])) for row in dataset[name]}
        assert loaded == {
            i: (CLASSES.index(row[2]), [row[2]]) for i, row in enumerate(DRAWN) if row[1] == split and row[2]
        }
    sources = {row["image_id"]: row["source_id"] for row in dataset["train"]}
    assert sources["007__copy1.png"] == sources["007.png"] == "007.png"
    assert {row["cluster"] for row in dataset["train"]} == {0}
    assert {row["cluster"] for row in dataset["test"]} == {-1}


def test_the_documented_code_names_hugging_faces_classes(
    single_label: Path, hugging_face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = documented(1, single_label.parents[1], monkeypatch)["dataset"]["train"]
    assert [train.features["label"].int2str(row["label"]) for row in train] == [
        "1", "1", "sea%2Fbeach", "a dog, 100% été",
    ]  # fmt: skip


def test_hugging_face_loads_multilabel_with_a_gap_where_nobody_knows(
    hugging_face: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data/resized"
    checksums = [codec.write(of_color((0, 0, 0), 8, 8), data / name, "png") for name in ("1.png", "2.png", "3.png")]
    targets = np.array([[1, 0], [-1, 1], [0, 0]])
    table = manifest.build(
        ["1", "2", "3"], ["1.png", "2.png", "3.png"], ["train", "train", "test"], ["sea", "5"], targets, checksums,
        clusters=[0, 1, pd.NA],
    )  # fmt: skip
    manifest.write(table, tmp_path / "augmented/manifest.csv")
    (tmp_path / "augmented/images").mkdir()
    write_params(tmp_path / "params.yaml", TINY)
    run_stage(tmp_path, "export", *EXPORT)
    dataset = documented(0, tmp_path, monkeypatch)["dataset"]
    assert [{name: row[name] for name in row if name != "image"} for row in dataset["train"]] == [
        {
            "label:sea": 1.0, "label:5": 0.0, "labels": '["sea"]', "image_id": "1.png", "source_id": "1.png",
            "cluster": 0,
        },
        {
            "label:sea": None, "label:5": 1.0, "labels": '["5"]', "image_id": "2.png", "source_id": "2.png",
            "cluster": 1,
        },
    ]  # fmt: skip
    assert [(row["label:sea"], row["labels"], row["cluster"]) for row in dataset["test"]] == [(0.0, "[]", -1)]


def test_hugging_face_loads_every_row_of_the_tiny_dataset(
    multilabel: Path, augmented: Path, hugging_face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = manifest.read(augmented / "augmented/manifest.csv")
    dataset = documented(0, multilabel.parents[1], monkeypatch)["dataset"]
    assert {split: len(rows) for split, rows in dataset.items()} == {
        {"val": "validation"}.get(split, split): count for split, count in table["split"].value_counts().items()
    }
    assert dataset["train"][0]["image"].size == (32, 32)


def test_fiftyones_csv_names_existing_files(single_label: Path) -> None:
    with (single_label / "fiftyone.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    loaded = {
        row["image_id"]: (row["tags"].split(), json.loads(row["labels"]), row["source_id"])
        for row in rows
        if (single_label / row["filepath"]).is_file()
    }
    assert loaded == {
        file: ([split, *(["copy"] if source else [])], [name], source) for file, split, name, source in DRAWN if name
    }


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `DRAWN` after the stage with shards alone."""
    pytest.importorskip("pyarrow", reason="make parquet installs it")
    folder = tmp_path_factory.mktemp("sharded")
    export(folder, {"export.formats": ["webdataset", "parquet"]})
    return folder


def test_only_the_formats_that_are_wanted_are_written(sharded: Path, single_label: Path) -> None:
    assert list((sharded / "augmented/dataset").iterdir()) == []
    assert list((single_label.parent / "shards").iterdir()) == []
    assert sorted(path.name for path in (sharded / "augmented/shards/webdataset").iterdir()) == [
        "labels.json", "test-00000-of-00001.tar", "train-00000-of-00001.tar", "val-00000-of-00001.tar",
    ]  # fmt: skip


def test_webdataset_loads_its_shards_with_the_documented_code(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("webdataset", reason="make loaders installs it")
    loaded = {
        number_of(image): (about["labels"], about["label"])
        for image, about in documented(4, sharded, monkeypatch)["train"]
    }
    assert json.loads((sharded / "augmented/shards/webdataset/labels.json").read_text("utf-8")) == {"labels": CLASSES}
    assert loaded == {
        i: ([row[2]], CLASSES.index(row[2])) for i, row in enumerate(DRAWN) if row[1] == "train" and row[2] is not None
    }


def test_hugging_face_loads_parquet_with_the_documented_code(
    sharded: Path, hugging_face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = documented(5, sharded, monkeypatch)["dataset"]
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        names = dataset[name].features["label"]
        loaded = {number_of(row["image"]): names.int2str(row["label"]) for row in dataset[name]}
        assert loaded == {i: row[2] for i, row in enumerate(DRAWN) if row[1] == split and row[2] is not None}


@pytest.mark.skipif(
    importlib.util.find_spec("fiftyone") is None,
    reason="FiftyOne is in no lock, because it downloads its database, mongod, during installation",
)
def test_fiftyone_loads_its_csv_with_the_documented_code(single_label: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = documented(3, single_label.parents[1], monkeypatch)["dataset"]
    try:
        loaded = {
            sample.image_id: (sample.tags, [each.label for each in sample.labels.classifications], sample.source_id)
            for sample in dataset
        }
    finally:
        dataset.delete()
    assert loaded == {
        file: ([split, *(["copy"] if source else [])], [name], source or None)
        for file, split, name, source in DRAWN
        if name
    }
