from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest, outputs
from counterweight.base.errors import InputError


@pytest.fixture
def two_train_and_one_test() -> pd.DataFrame:
    return manifest.build(
        image_ids=["a", "b", "c"],
        paths=["a.jpg", "b.jpg", "c.jpg"],
        splits=["train", "train", "test"],
        labels=["sea", "sky"],
        targets=np.array([[1, 0], [0, 1], [1, 1]]),
        checksums=["01", "02", "03"],
    )


@pytest.fixture
def two_train_and_a_copy() -> pd.DataFrame:
    return manifest.build(
        image_ids=["a", "a+1", "b"],
        paths=["a.jpg", "a+1.jpg", "b.jpg"],
        splits=["train", "train", "train"],
        labels=["sea"],
        targets=np.array([[1], [1], [0]]),
        checksums=["01", "02", "03"],
        source_ids=["", "a", ""],
        clusters=[0, 0, 1],
    )


def train_rows(image_ids: Sequence[str], labels: Sequence[str] = ("sea",)) -> pd.DataFrame:
    rows = len(image_ids)
    return manifest.build(
        image_ids,
        [f"{i}.jpg" for i in range(rows)],
        ["train"] * rows,
        labels,
        np.ones((rows, len(labels)), np.int8),
        ["01"] * rows,
    )


def problems_of(table: pd.DataFrame, path: Path) -> list[str]:
    with pytest.raises(InputError) as error:
        manifest.write(table, path)
    assert not path.exists()
    first, *problems = str(error.value).splitlines()
    assert first.startswith(f"{path}: {len(problems)} problem")
    return [problem.removesuffix(". Make the file again: dvc repro.").strip() for problem in problems]


def test_rows_are_sorted_by_image_id() -> None:
    table = manifest.build(
        image_ids=["b", "B", "10", "9"],
        paths=["b.jpg", "B.jpg", "10.jpg", "9.jpg"],
        splits=["train", "val", "test", "train"],
        labels=["sea", "sky"],
        targets=np.array([[1, 0], [0, 1], [1, 1], [0, 0]]),
        checksums=["0b", "0B", "10", "09"],
    )
    assert table["image_id"].tolist() == ["10", "9", "B", "b"]
    assert table["path"].tolist() == ["10.jpg", "9.jpg", "B.jpg", "b.jpg"]
    assert table["split"].tolist() == ["test", "train", "val", "train"]
    assert manifest.targets(table).tolist() == [[1, 1], [0, 0], [0, 1], [1, 0]]
    assert table["checksum"].tolist() == ["10", "09", "0B", "0b"]


def test_without_copies_and_clusters_their_columns_are_empty(two_train_and_one_test: pd.DataFrame) -> None:
    assert two_train_and_one_test["source_id"].tolist() == ["", "", ""]
    assert two_train_and_one_test["cluster"].isna().tolist() == [True, True, True]


def test_a_file_has_one_line_per_image(two_train_and_a_copy: pd.DataFrame, tmp_path: Path) -> None:
    manifest.write(two_train_and_a_copy, tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_text() == (
        "image_id,path,split,source_id,cluster,label:sea,checksum\n"
        "a,a.jpg,train,,0,1,01\n"
        "a+1,a+1.jpg,train,a,0,1,02\n"
        "b,b.jpg,train,,1,0,03\n"
    )


def test_a_table_with_copies_and_clusters_survives_a_round_trip(
    two_train_and_a_copy: pd.DataFrame, tmp_path: Path
) -> None:
    manifest.write(two_train_and_a_copy, tmp_path / "manifest.csv")
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "manifest.csv"), two_train_and_a_copy)


def test_a_table_without_copies_and_clusters_survives_a_round_trip(
    two_train_and_one_test: pd.DataFrame, tmp_path: Path
) -> None:
    manifest.write(two_train_and_one_test, tmp_path / "manifest.csv")
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "manifest.csv"), two_train_and_one_test)


def test_a_table_without_rows_survives_a_round_trip(tmp_path: Path) -> None:
    manifest.write(train_rows([]), tmp_path / "manifest.csv")
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "manifest.csv"), train_rows([]))


@pytest.mark.parametrize(
    "image_id", ["0012", "12", "1e5", "NA", "nan", "null", "None", "True", "a,b", 'a "b"', "a\nb", " a ", "Früh", "=A1"]
)
def test_an_id_stays_text(image_id: str, tmp_path: Path) -> None:
    manifest.write(train_rows([image_id]), tmp_path / "manifest.csv")
    assert manifest.read(tmp_path / "manifest.csv")["image_id"].tolist() == [image_id]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_table_survives_a_round_trip_in_parts_of_a_few_rows(
    two_train_and_a_copy: pd.DataFrame, rows: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outputs, "_CELLS_AT_ONCE", rows * len(two_train_and_a_copy.columns))
    monkeypatch.setattr(outputs, "_ROWS_AT_ONCE", 1)
    manifest.write(two_train_and_a_copy, tmp_path / "m.csv")
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "m.csv"), two_train_and_a_copy)


def test_a_table_is_read_without_paths_and_checksums(two_train_and_a_copy: pd.DataFrame, tmp_path: Path) -> None:
    manifest.write(two_train_and_a_copy, tmp_path / "m.csv")
    read = manifest.read(tmp_path / "m.csv", without=("path", "checksum"))
    pd.testing.assert_frame_equal(read, two_train_and_a_copy.drop(columns=["path", "checksum"]))


def test_a_label_may_have_the_name_of_a_column(tmp_path: Path) -> None:
    labels = ["path", "image_id", "NA", "label:sea", "a,b", "007"]
    manifest.write(train_rows(["a"], labels), tmp_path / "manifest.csv")
    table = manifest.read(tmp_path / "manifest.csv")
    assert manifest.label_names(table) == labels
    assert table["path"].tolist() == ["0.jpg"]


def test_labels_keep_their_order(two_train_and_one_test: pd.DataFrame) -> None:
    assert manifest.label_names(two_train_and_one_test) == ["sea", "sky"]


def test_targets_are_int8(two_train_and_one_test: pd.DataFrame) -> None:
    targets = manifest.targets(two_train_and_one_test)
    assert targets.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert targets.dtype == np.int8


def test_the_rows_of_a_split_are_numbered_from_zero(two_train_and_one_test: pd.DataFrame) -> None:
    rows = manifest.rows_of_split(two_train_and_one_test, "test")
    assert rows["image_id"].to_dict() == {0: "c"}


def test_an_id_that_occurs_twice_is_named(two_train_and_one_test: pd.DataFrame, tmp_path: Path) -> None:
    broken = two_train_and_one_test.assign(image_id=["a", "c", "c"])
    assert problems_of(broken, tmp_path / "m.csv") == ["image_id 'c' occurs twice"]


def test_rows_out_of_order_are_refused(two_train_and_one_test: pd.DataFrame, tmp_path: Path) -> None:
    assert problems_of(two_train_and_one_test[::-1], tmp_path / "m.csv") == ["the rows are not sorted by image_id"]


def test_each_unknown_split_is_named(two_train_and_one_test: pd.DataFrame, tmp_path: Path) -> None:
    broken = two_train_and_one_test.assign(split=["train", "Train", "holdout"])
    assert problems_of(broken, tmp_path / "m.csv") == [
        "split 'Train' is none of train, val, test",
        "split 'holdout' is none of train, val, test",
    ]


def test_a_table_without_labels_is_refused(two_train_and_one_test: pd.DataFrame, tmp_path: Path) -> None:
    broken = two_train_and_one_test.drop(columns=["label:sea", "label:sky"])
    assert problems_of(broken, tmp_path / "m.csv") == ["there is no label column"]


def test_a_label_is_zero_one_or_missing(two_train_and_one_test: pd.DataFrame, tmp_path: Path) -> None:
    broken = two_train_and_one_test.assign(**{"label:sky": np.array([0, 1, 2], np.int8)})
    assert problems_of(broken, tmp_path / "m.csv") == ["a label cell is not 0, 1 or empty"]


def test_only_train_rows_have_clusters(two_train_and_one_test: pd.DataFrame, tmp_path: Path) -> None:
    broken = two_train_and_one_test.assign(cluster=pd.array([0, 1, 1], dtype="Int64"))
    assert problems_of(broken, tmp_path / "m.csv") == ["a row outside train has a cluster"]


@pytest.mark.parametrize(
    ("splits", "source_ids"),
    [
        (["train", "test", "train"], ["", "a", ""]),
        (["test", "train", "train"], ["", "a", ""]),
        (["train", "train", "train"], ["", "z", ""]),
        (["train", "train", "train"], ["", "a", "a+1"]),
    ],
    ids=["copy in test", "source in test", "no such source", "copy of a copy"],
)
def test_a_copy_is_in_train_and_so_is_its_source(
    splits: list[str], source_ids: list[str], two_train_and_a_copy: pd.DataFrame, tmp_path: Path
) -> None:
    broken = two_train_and_a_copy.assign(
        split=splits, source_id=source_ids, cluster=pd.array([pd.NA] * 3, dtype="Int64")
    )
    assert problems_of(broken, tmp_path / "m.csv") == ["a copy is not in train, or its source is not"]


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    broken = pd.DataFrame(
        {
            "image_id": ["b", "a", "a"],
            "path": ["b.jpg", "a.jpg", "a.jpg"],
            "split": ["test", "train", "dev"],
            "source_id": ["", "", "z"],
            "cluster": pd.array([0, pd.NA, pd.NA], dtype="Int64"),
            "label:sea": [0, 1, 2],
            "checksum": ["02", "01", "01"],
        }
    )
    assert problems_of(broken, tmp_path / "m.csv") == [
        "image_id 'a' occurs twice",
        "the rows are not sorted by image_id",
        "split 'dev' is none of train, val, test",
        "a label cell is not 0, 1 or empty",
        "a row outside train has a cluster",
        "a copy is not in train, or its source is not",
    ]


def test_a_table_is_validated_when_it_is_built() -> None:
    with pytest.raises(InputError, match="image_id 'a' occurs twice"):
        train_rows(["a", "a"])


def test_missing_columns_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("image_id,path,split,cluster,label:sea\na,a.jpg,train,0,1\n")
    with pytest.raises(InputError) as error:
        manifest.read(path)
    assert str(error.value) == (
        f"{path}: 2 problems\n"
        "  there is no column 'source_id'. Make the file again: dvc repro.\n"
        "  there is no column 'checksum'. Make the file again: dvc repro."
    )


@pytest.mark.parametrize("cell", ["2", "-1", "yes", "nan", "0.5", "256", "257", "1e9"])
def test_a_label_cell_of_a_file_is_zero_one_or_empty(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"image_id,path,split,source_id,cluster,label:sea,checksum\na,a.jpg,train,,0,{cell},01\n")
    with pytest.raises(InputError, match="a label cell is not 0, 1 or empty"):
        manifest.read(path)


@pytest.mark.parametrize("cell", ["x", "1.5", "-1", "inf", "1e9"])
def test_a_cluster_cell_of_a_file_is_a_whole_number_or_empty(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"image_id,path,split,source_id,cluster,label:sea,checksum\na,a.jpg,train,,{cell},1,01\n")
    with pytest.raises(InputError, match="cluster"):
        manifest.read(path)


def test_a_missing_label_is_an_empty_cell_and_minus_one(tmp_path: Path) -> None:
    table = manifest.build(
        ["a", "b"], ["a", "b"], ["train", "test"], ["sea", "sky"], np.array([[1, -1], [-1, 0]]), ["x", "y"]
    )
    manifest.write(table, tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text() == (
        "image_id,path,split,source_id,cluster,label:sea,label:sky,checksum\na,a,train,,,1,,x\nb,b,test,,,,0,y\n"
    )
    again = manifest.read(tmp_path / "m.csv")
    pd.testing.assert_frame_equal(again, table)
    assert manifest.targets(again).tolist() == [[1, manifest.MISSING], [manifest.MISSING, 0]]


def test_new_labels_replace_those_of_one_split(two_train_and_one_test: pd.DataFrame) -> None:
    before = two_train_and_one_test.copy()
    changed = manifest.with_targets(two_train_and_one_test, "train", np.array([[0, 0], [1, 1]], np.int8))
    assert manifest.targets(changed).tolist() == [[0, 0], [1, 1], [1, 1]]
    others = ["image_id", "path", "split", "source_id", "cluster", "checksum"]
    pd.testing.assert_frame_equal(changed[others], before[others])
    pd.testing.assert_frame_equal(two_train_and_one_test, before)
