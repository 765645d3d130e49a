import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.export.parquet_shards import write_parquet_shard
from counterweight.export.shards import Shard, build_shards, write_shards
from counterweight.export.tar_shards import write_tar_shard
from counterweight.images import codec
from tests.pictures import of_color


def table_of(folder: Path, *, train: int, test: int = 1) -> pd.DataFrame:
    """A manifest of gray images in ``resized``, of two labels, the second of which is unknown on the first image."""
    names = [f"{number}.v2" for number in range(train + test)]
    files = [f"{name}.png" for name in names]
    checksums = [
        codec.write(of_color((n,) * 3, 8, 8), folder / "resized" / file, "png") for n, file in enumerate(files)
    ]
    targets = np.array([[1, -1]] + [[0, 1]] * (train + test - 1))
    splits, clusters = ["train"] * train + ["test"] * test, [3] * train + [pd.NA] * test
    return manifest.build(names, files, splits, ["sea", "ice"], targets, checksums, [""] * len(names), clusters)


def built(folder: Path, table: pd.DataFrame, *, by_class: bool = False, size: int = 2) -> list[Shard]:
    return build_shards(table, by_class=by_class, resized=folder / "resized", copies=folder / "copies", size=size)


def test_each_split_has_shards_of_one_size_and_a_rest(tmp_path: Path) -> None:
    shards = built(tmp_path, table_of(tmp_path, train=5, test=2))
    assert {shard.name: len(shard.rows) for shard in shards} == {
        "train-00000-of-00003": 2, "train-00001-of-00003": 2, "train-00002-of-00003": 1, "test-00000-of-00001": 2,
    }  # fmt: skip


def test_train_images_are_shuffled_and_each_is_in_one_shard(tmp_path: Path) -> None:
    shards = built(tmp_path, table_of(tmp_path, train=20), size=7)
    ids = [sample.record["image_id"] for shard in shards for sample in shard.samples()]
    assert sorted(ids) == sorted(f"{number}.v2" for number in range(21))
    assert ids[:20] != [f"{number}.v2" for number in range(20)]


def test_an_unknown_label_is_none_and_no_cluster_is_minus_one(tmp_path: Path) -> None:
    train, test = built(tmp_path, table_of(tmp_path, train=1))
    assert next(train.samples()).record == {
        "image_id": "0.v2", "source_id": "0.v2", "cluster": 3, "labels": ["sea"], "targets": [1, None],
    }  # fmt: skip
    assert next(test.samples()).record == {
        "image_id": "1.v2", "source_id": "1.v2", "cluster": -1, "labels": ["ice"], "targets": [0, 1],
    }  # fmt: skip


def test_a_copy_names_its_source_and_is_read_from_the_copies(tmp_path: Path) -> None:
    original = codec.write(of_color((0, 0, 0), 8, 8), tmp_path / "resized/a.png", "png")
    changed = codec.write(of_color((9, 9, 9), 8, 8), tmp_path / "copies/a__copy1.png", "png")
    table = manifest.build(
        ["a", "a__copy1"], ["a.png", "a__copy1.png"], ["train"] * 2, ["sea"], np.ones((2, 1), int), [original, changed],
        ["", "a"], [0, 0],
    )  # fmt: skip
    (shard,) = built(tmp_path, table)
    copy = next(sample for sample in shard.samples() if sample.record["image_id"] != "a")
    assert (copy.record["source_id"], copy.path) == ("a", "a__copy1.png")
    assert copy.content == (tmp_path / "copies/a__copy1.png").read_bytes()


def test_classes_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    table = table_of(tmp_path, train=2)
    shards = built(tmp_path, table, by_class=True)
    assert shards[0].labels == ["ice", "sea"]
    by_name = {tuple(sample.record["labels"]): sample.record["label"] for shard in shards for sample in shard.samples()}
    assert by_name == {("sea",): 1, ("ice",): 0}


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}


def test_a_sample_is_files_of_one_name(tmp_path: Path) -> None:
    table = table_of(tmp_path, train=1)
    write_shards(built(tmp_path, table), tmp_path / "out", write_tar_shard, workers=1)
    found = members(tmp_path / "out/train-00000-of-00001.tar")
    key = "train-00000-of-00001-00000"
    assert list(found) == [f"{key}.png", f"{key}.json"]
    assert found[f"{key}.png"] == (tmp_path / "resized/0.v2.png").read_bytes()
    assert json.loads(found[f"{key}.json"])["labels"] == ["sea"]


def test_the_class_has_a_file_of_its_own(tmp_path: Path) -> None:
    shards = built(tmp_path, table_of(tmp_path, train=1), by_class=True)
    write_shards(shards, tmp_path / "out", write_tar_shard, workers=1)
    assert members(tmp_path / "out/train-00000-of-00001.tar")["train-00000-of-00001-00000.cls"] == b"1"


@pytest.mark.parametrize("write", [write_tar_shard, write_parquet_shard])
def test_shards_are_the_same_bytes_for_any_number_of_workers(
    write: Callable[[Path, Shard], None], tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow", reason="make parquet installs it")
    shards = built(tmp_path, table_of(tmp_path, train=7))
    for name, workers in (("one", 1), ("three", 3)):
        write_shards(shards, tmp_path / name, write, workers=workers)
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("one", "three"))
    assert len(first) == 5
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_image_with_another_checksum_is_an_error(tmp_path: Path) -> None:
    shards = built(tmp_path, table_of(tmp_path, train=1))
    (tmp_path / "resized/0.v2.png").write_bytes(b"other")
    with pytest.raises(InputError, match=r"0\.v2\.png: the file has changed since the manifest was written\. Run"):
        write_shards(shards, tmp_path / "out", write_tar_shard, workers=1)
