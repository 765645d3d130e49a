import errno
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.dataset.export import absent, folder_name, laid_out, metadata, place, samples
from counterweight.images import codec
from counterweight.runtime import file_links
from tests.pictures import RED, of_colour


def table_of(
    *rows: tuple[str, str, Sequence[int]], labels: Sequence[str] = ("cat", "dog"), copies: Sequence[str] = ()
) -> pd.DataFrame:
    """A manifest of files, splits and targets; of the files that ``copies`` names, the first is the source of them."""
    paths, splits, targets = zip(*rows, strict=True)
    sources = [paths[0] if path in copies else "" for path in paths]
    clusters = [i if split == "train" else pd.NA for i, split in enumerate(splits)]
    return manifest.build(paths, paths, splits, labels, np.array(targets), ["00"] * len(paths), sources, clusters)


def test_several_labels_an_image_leave_its_path_as_it_is() -> None:
    rows = laid_out(table_of(("sea/a.jpg", "train", [1, 1]), ("b.jpg", "test", [0, 0])), by_class=False)
    assert rows["file"].tolist() == ["test/b.jpg", "train/sea/a.jpg"]


def test_one_label_an_image_puts_it_into_the_folder_of_its_class() -> None:
    rows = laid_out(table_of(("x/cat/1.jpg", "train", [1, 0]), ("x/dog/2.jpg", "val", [0, 1])), by_class=True)
    assert rows["file"].tolist() == ["train/cat/1.jpg", "val/dog/2.jpg"]


def test_images_of_a_class_with_one_name_are_told_apart_by_their_paths() -> None:
    rows = laid_out(table_of(("x/1.jpg", "train", [1, 0]), ("y/1.jpg", "train", [1, 0])), by_class=True)
    assert rows["file"].tolist() == ["train/cat/x%2F1.jpg", "train/cat/y%2F1.jpg"]


def test_an_image_whose_class_is_missing_is_in_no_folder_of_a_class() -> None:
    rows = laid_out(table_of(("1.jpg", "train", [-1, -1]), ("2.jpg", "train", [0, 1])), by_class=True)
    assert rows["file"].tolist() == ["train/dog/2.jpg"]


@pytest.mark.parametrize(
    "label", ["a/b", "a%2Fb", "%", "50%", ".", "..", ".hidden", "a\\b", "tab\t", "été 猫 🐈", "a, b"]
)
def test_the_folder_of_a_class_tells_its_name(label: str, tmp_path: Path) -> None:
    (tmp_path / folder_name(label)).mkdir()
    (made,) = (path.name for path in tmp_path.iterdir())
    assert unquote(made) == label
    assert not made.startswith(".")


def test_a_class_with_too_long_a_name_is_an_error() -> None:
    table = table_of(("1.jpg", "train", [1, 0]), labels=("é" * 128, "dog"))
    with pytest.raises(InputError, match=r"has 256 bytes, and the name of a file or folder holds 255\. Give the class"):
        laid_out(table, by_class=True)


def test_metadata_of_several_labels_has_a_column_each_and_an_empty_cell_where_nobody_knows() -> None:
    rows = laid_out(
        table_of(("1.jpg", "train", [1, -1]), ("1__copy1.jpg", "train", [1, -1]), copies=["1__copy1.jpg"]),
        by_class=False,
    )
    assert metadata(rows, "train", by_class=False).to_csv(index=False).splitlines() == [
        "file_name,label:cat,label:dog,labels,image_id,source_id,cluster",
        '1.jpg,1.0,,"[""cat""]",1.jpg,1.jpg,0',
        '1__copy1.jpg,1.0,,"[""cat""]",1__copy1.jpg,1.jpg,1',
    ]


def test_metadata_of_one_label_counts_the_classes_in_the_order_of_their_folders() -> None:
    table = table_of(("1.jpg", "test", [1, 0]), ("2.jpg", "test", [0, 1]), labels=("zebra", "ant"))
    assert metadata(laid_out(table, by_class=True), "test", by_class=True).to_csv(index=False).splitlines() == [
        "file_name,label,labels,image_id,source_id,cluster",
        'zebra/1.jpg,1,"[""zebra""]",1.jpg,1.jpg,-1',
        'ant/2.jpg,0,"[""ant""]",2.jpg,2.jpg,-1',
    ]


@pytest.mark.parametrize("by_class", [True, False])
@pytest.mark.parametrize("labels", [("cat", "dog"), ("1", "dog"), ("NA", "2"), ("True", "1e5"), (" a", 'b","')])
def test_every_row_of_metadata_reads_as_the_same_types(by_class: bool, labels: tuple[str, str], tmp_path: Path) -> None:
    first = [[1, 0], [0, 1], [-1, -1]]
    table = manifest.build(
        ["007", "7", "8__copy1", "NA", "nan", "x.jpg"],
        ["007.jpg", "7.jpg", "8.jpg", "NA.jpg", "nan.jpg", "x.jpg"],
        ["train", "train", "train", "val", "val", "test"],
        labels, np.array([*first, *first]), ["00"] * 6, ["", "", "007", "", "", ""], [0, 1, 0, pd.NA, pd.NA, pd.NA],
    )  # fmt: skip
    rows = laid_out(table, by_class=by_class)
    types = set()
    for split in sorted(set(rows["split"])):
        metadata(rows, split, by_class=by_class).to_csv(tmp_path / "metadata.csv", index=False)
        for piece in pd.read_csv(tmp_path / "metadata.csv", chunksize=1):
            types.add(tuple(piece.dtypes.astype(str).items()))
            assert piece.drop(columns=[name for name in piece if name.startswith("label:")]).notna().to_numpy().all()
    assert len(types) == 1


def test_samples_have_tags_and_keep_apart_what_nobody_knows() -> None:
    table = table_of(
        ("a b.jpg", "train", [1, -1]), ("a b__copy1.jpg", "train", [1, -1]), ("c.jpg", "test", [0, 0]),
        copies=["a b__copy1.jpg"],
    )  # fmt: skip
    assert samples(laid_out(table, by_class=False)).to_csv(index=False).splitlines() == [
        "filepath,tags,labels,missing,image_id,source_id,cluster",
        'train/a b.jpg,train,"[""cat""]","[""dog""]",a b.jpg,,0',
        'train/a b__copy1.jpg,train copy,"[""cat""]","[""dog""]",a b__copy1.jpg,a b.jpg,1',
        "test/c.jpg,test,[],,c.jpg,,",
    ]


def test_a_split_without_a_class_is_said_unless_it_is_empty() -> None:
    both = ("1.jpg", "train", [1, 0]), ("2.jpg", "train", [0, 1])
    assert absent(laid_out(table_of(*both), by_class=True)) == []
    remarks = absent(laid_out(table_of(*both, ("3.jpg", "val", [1, 0])), by_class=True))
    assert [remark.partition(",")[0] for remark in remarks] == ["val has no image of 'dog'"]


@pytest.fixture
def one_image(tmp_path: Path) -> pd.DataFrame:
    """A manifest of one image in ``resized``, laid out."""
    checksum = codec.write(of_colour(RED, 8, 8), tmp_path / "resized/a.png", "png")
    table = manifest.build(["a"], ["a.png"], ["train"], ["cat"], np.array([[1]]), [checksum])
    return laid_out(table, by_class=False)


def place_in(folder: Path, rows: pd.DataFrame, source: Path) -> None:
    place(rows, folder, resized=source / "resized", copies=source / "copies", workers=1)


def test_images_take_no_second_place_where_they_can_be_linked(
    one_image: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_links, "_clone", _cannot)
    place_in(tmp_path / "out", one_image, tmp_path)
    assert (tmp_path / "out/train/a.png").samefile(tmp_path / "resized/a.png")


def test_placing_another_image_does_not_write_through_the_link_to_the_first(
    one_image: pd.DataFrame, tmp_path: Path
) -> None:
    place_in(tmp_path / "out", one_image, tmp_path)
    before = (tmp_path / "resized/a.png").read_bytes()
    checksum = codec.write(of_colour(RED, 9, 9), tmp_path / "other/resized/a.png", "png")
    place_in(tmp_path / "out", one_image.assign(checksum=checksum), tmp_path / "other")
    assert (tmp_path / "resized/a.png").read_bytes() == before
    assert (tmp_path / "out/train/a.png").read_bytes() != before


def test_a_read_only_file_of_dvc_stays_read_only_and_its_link_can_be_deleted(
    one_image: pd.DataFrame, tmp_path: Path
) -> None:
    source = tmp_path / "resized/a.png"
    source.chmod(0o444)
    before = source.stat()
    place_in(tmp_path / "out", one_image, tmp_path)
    (tmp_path / "out/train/a.png").unlink()
    after = source.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert source.read_bytes()


def test_an_image_that_is_not_what_the_manifest_says_is_an_error(one_image: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "resized/a.png").write_bytes(b"other")
    with pytest.raises(InputError, match=r"a\.png: the file has changed since the manifest was written\. Run"):
        place_in(tmp_path / "out", one_image, tmp_path)


def test_an_image_that_is_not_there_is_an_error(one_image: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "resized/a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: the file of the manifest is not there\. Put it back"):
        place_in(tmp_path / "out", one_image, tmp_path)


def _cannot(_source: Path, _target: Path) -> None:
    raise OSError(errno.EOPNOTSUPP, "not on this file system")
