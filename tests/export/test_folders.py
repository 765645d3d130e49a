import errno
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.export.folders import (
    fiftyone_samples,
    folder_name,
    layout,
    link_images,
    metadata,
    missing_class_warnings,
)
from counterweight.images import codec
from counterweight.runtime import file_links
from tests.pictures import RED, of_color


def table_of(
    *rows: tuple[str, str, Sequence[int]], labels: Sequence[str] = ("cat", "dog"), copies: Sequence[str] = ()
) -> pd.DataFrame:
    """A manifest of files, splits and targets; the first file is the source of ``copies``."""
    paths, splits, targets = zip(*rows, strict=True)
    sources = [paths[0] if path in copies else "" for path in paths]
    clusters = [i if split == "train" else pd.NA for i, split in enumerate(splits)]
    return manifest.build(paths, paths, splits, labels, np.array(targets), ["00"] * len(paths), sources, clusters)


def test_a_multilabel_image_keeps_its_path() -> None:
    rows = layout(table_of(("sea/a.jpg", "train", [1, 1]), ("b.jpg", "test", [0, 0])), by_class=False)
    assert rows["file"].tolist() == ["test/b.jpg", "train/sea/a.jpg"]


def test_a_single_label_image_is_in_the_folder_of_its_class() -> None:
    rows = layout(table_of(("x/cat/1.jpg", "train", [1, 0]), ("x/dog/2.jpg", "val", [0, 1])), by_class=True)
    assert rows["file"].tolist() == ["train/cat/1.jpg", "val/dog/2.jpg"]


def test_images_of_a_class_with_the_same_name_are_named_by_their_paths() -> None:
    rows = layout(table_of(("x/1.jpg", "train", [1, 0]), ("y/1.jpg", "train", [1, 0])), by_class=True)
    assert rows["file"].tolist() == ["train/cat/x%2F1.jpg", "train/cat/y%2F1.jpg"]


def test_an_image_whose_class_is_missing_is_left_out() -> None:
    rows = layout(table_of(("1.jpg", "train", [-1, -1]), ("2.jpg", "train", [0, 1])), by_class=True)
    assert rows["file"].tolist() == ["train/dog/2.jpg"]


@pytest.mark.parametrize(
    "label", ["a/b", "a%2Fb", "%", "50%", ".", "..", ".hidden", "a\\b", "tab\t", "été 猫 🐈", "a, b"]
)
def test_a_class_name_can_be_read_from_its_folder(label: str, tmp_path: Path) -> None:
    (tmp_path / folder_name(label)).mkdir()
    (made,) = (path.name for path in tmp_path.iterdir())
    assert unquote(made) == label
    assert not made.startswith(".")


def test_a_class_name_that_is_too_long_is_an_error() -> None:
    table = table_of(("1.jpg", "train", [1, 0]), labels=("é" * 128, "dog"))
    with pytest.raises(InputError, match=r"has 256 bytes, more than the 255 of a file or folder name\. Give the class"):
        layout(table, by_class=True)


def test_multilabel_metadata_has_a_column_per_label_and_empty_cells_for_unknown() -> None:
    rows = layout(
        table_of(("1.jpg", "train", [1, -1]), ("1__copy1.jpg", "train", [1, -1]), copies=["1__copy1.jpg"]),
        by_class=False,
    )
    assert metadata(rows, "train", by_class=False).to_csv(index=False).splitlines() == [
        "file_name,label:cat,label:dog,labels,image_id,source_id,cluster",
        '1.jpg,1.0,,"[""cat""]",1.jpg,1.jpg,0',
        '1__copy1.jpg,1.0,,"[""cat""]",1__copy1.jpg,1.jpg,1',
    ]


def test_single_label_metadata_numbers_the_classes_in_the_order_of_their_folders() -> None:
    table = table_of(("1.jpg", "test", [1, 0]), ("2.jpg", "test", [0, 1]), labels=("zebra", "ant"))
    assert metadata(layout(table, by_class=True), "test", by_class=True).to_csv(index=False).splitlines() == [
        "file_name,label,labels,image_id,source_id,cluster",
        'zebra/1.jpg,1,"[""zebra""]",1.jpg,1.jpg,-1',
        'ant/2.jpg,0,"[""ant""]",2.jpg,2.jpg,-1',
    ]


@pytest.mark.parametrize("by_class", [True, False])
@pytest.mark.parametrize("labels", [("cat", "dog"), ("1", "dog"), ("NA", "2"), ("True", "1e5"), (" a", 'b","')])
def test_every_row_of_metadata_is_read_with_the_same_types(
    by_class: bool, labels: tuple[str, str], tmp_path: Path
) -> None:
    first = [[1, 0], [0, 1], [-1, -1]]
    table = manifest.build(
        ["007", "7", "8__copy1", "NA", "nan", "x.jpg"],
        ["007.jpg", "7.jpg", "8.jpg", "NA.jpg", "nan.jpg", "x.jpg"],
        ["train", "train", "train", "val", "val", "test"],
        labels, np.array([*first, *first]), ["00"] * 6, ["", "", "007", "", "", ""], [0, 1, 0, pd.NA, pd.NA, pd.NA],
    )  # fmt: skip
    rows = layout(table, by_class=by_class)
    types = set()
    for split in sorted(set(rows["split"])):
        metadata(rows, split, by_class=by_class).to_csv(tmp_path / "metadata.csv", index=False)
        for piece in pd.read_csv(tmp_path / "metadata.csv", chunksize=1):
            types.add(tuple(piece.dtypes.astype(str).items()))
            assert piece.drop(columns=[name for name in piece if name.startswith("label:")]).notna().to_numpy().all()
    assert len(types) == 1


def test_samples_have_tags_and_list_unknown_labels_apart() -> None:
    table = table_of(
        ("a b.jpg", "train", [1, -1]), ("a b__copy1.jpg", "train", [1, -1]), ("c.jpg", "test", [0, 0]),
        copies=["a b__copy1.jpg"],
    )  # fmt: skip
    assert fiftyone_samples(layout(table, by_class=False)).to_csv(index=False).splitlines() == [
        "filepath,tags,labels,missing,image_id,source_id,cluster",
        'train/a b.jpg,train,"[""cat""]","[""dog""]",a b.jpg,,0',
        'train/a b__copy1.jpg,train copy,"[""cat""]","[""dog""]",a b__copy1.jpg,a b.jpg,1',
        "test/c.jpg,test,[],,c.jpg,,",
    ]


def test_a_split_without_a_class_is_warned_of_unless_it_is_empty() -> None:
    both = ("1.jpg", "train", [1, 0]), ("2.jpg", "train", [0, 1])
    assert missing_class_warnings(layout(table_of(*both), by_class=True)) == []
    warnings = missing_class_warnings(layout(table_of(*both, ("3.jpg", "val", [1, 0])), by_class=True))
    assert [warning.partition(",")[0] for warning in warnings] == ["val has no image of 'dog'"]


@pytest.fixture
def one_image(tmp_path: Path) -> pd.DataFrame:
    """A manifest of one image in ``resized``, laid out."""
    checksum = codec.write(of_color(RED, 8, 8), tmp_path / "resized/a.png", "png")
    table = manifest.build(["a"], ["a.png"], ["train"], ["cat"], np.array([[1]]), [checksum])
    return layout(table, by_class=False)


def link_into(folder: Path, rows: pd.DataFrame, source: Path) -> None:
    link_images(rows, folder, resized=source / "resized", copies=source / "copies", workers=1)


def test_images_are_hard_links_if_they_cannot_be_cloned(
    one_image: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_links, "_clone", _cannot)
    link_into(tmp_path / "out", one_image, tmp_path)
    assert (tmp_path / "out/train/a.png").samefile(tmp_path / "resized/a.png")


def test_linking_another_image_does_not_write_through_the_first_link(one_image: pd.DataFrame, tmp_path: Path) -> None:
    link_into(tmp_path / "out", one_image, tmp_path)
    before = (tmp_path / "resized/a.png").read_bytes()
    checksum = codec.write(of_color(RED, 9, 9), tmp_path / "other/resized/a.png", "png")
    link_into(tmp_path / "out", one_image.assign(checksum=checksum), tmp_path / "other")
    assert (tmp_path / "resized/a.png").read_bytes() == before
    assert (tmp_path / "out/train/a.png").read_bytes() != before


def test_a_read_only_file_stays_read_only_and_its_link_can_be_deleted(one_image: pd.DataFrame, tmp_path: Path) -> None:
    source = tmp_path / "resized/a.png"
    source.chmod(0o444)
    before = source.stat()
    link_into(tmp_path / "out", one_image, tmp_path)
    (tmp_path / "out/train/a.png").unlink()
    after = source.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert source.read_bytes()


def test_an_image_with_another_checksum_than_the_manifests_is_an_error(one_image: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "resized/a.png").write_bytes(b"other")
    with pytest.raises(InputError, match=r"a\.png: the file has changed since the manifest was written\. Run"):
        link_into(tmp_path / "out", one_image, tmp_path)


def test_a_missing_image_is_an_error(one_image: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "resized/a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: listed in the manifest, but missing\. Put it back"):
        link_into(tmp_path / "out", one_image, tmp_path)


def _cannot(_source: Path, _target: Path) -> None:
    raise OSError(errno.EOPNOTSUPP, "not on this file system")
