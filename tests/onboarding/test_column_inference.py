from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.images.folder_images import FolderImages
from counterweight.images.folder_scan import FolderScan
from counterweight.images.sources import open_images
from counterweight.onboarding.column_inference import SheetSchema, infer_schema
from counterweight.sheets.spreadsheet import Sheet
from counterweight.sheets.table_header import Cell

FILES = {f"{i:03}.jpg" for i in range(40)}


SOURCE = FolderImages(Path("images"))
SOURCE.__dict__["scan"] = FolderScan(sorted(FILES), {})


def inferred(columns: list[str], *values: Sequence[Cell], in_order: bool = False) -> SheetSchema:
    """The schema of a sheet of forty rows whose columns repeat these cells."""
    rows: list[list[Cell]] = [[column[i % len(column)] for column in values] for i in range(40)]
    return infer_schema(Sheet(columns, rows), SOURCE, in_order=in_order)


IDS = sorted(FILES)


def test_names_in_a_cell_are_labels() -> None:
    schema = inferred(["id", "set", "target"], IDS, ["train", "Test"], ["sea,sky", "sea", "sky,ice", "sea,ice,sky"])
    assert (schema.image, schema.split, schema.labels) == ("id", "set", "target")
    assert (schema.separator, schema.task) == (",", "multilabel")
    assert schema.counts == {"sea": 30, "sky": 30, "ice": 20}


@pytest.mark.parametrize("separator", [";", "|", "/", " "])
def test_separator_yields_the_fewest_names(separator: str) -> None:
    schema = inferred(["id", "tags"], IDS, [separator.join(names) for names in (["a", "b"], ["a"], ["b", "c"])])
    assert schema.separator == separator
    assert set(schema.counts) == {"a", "b", "c"}


def test_each_0_1_column_is_a_label() -> None:
    schema = inferred(["file", "sea", "sky"], IDS, [1.0, 0.0], [1.0, 1.0, 0.0, 0.0])
    assert (schema.labels, schema.task, schema.split) == (["sea", "sky"], "multilabel", None)


def test_0_1_columns_with_a_single_1_per_row_are_classes() -> None:
    schema = inferred(["file", "cat", "dog", "cow"], IDS, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    assert (schema.labels, schema.task) == (["cat", "dog", "cow"], "multiclass")


def test_single_0_1_column_is_binary() -> None:
    schema = inferred(["file", "ill"], IDS, [1.0, 0.0, 0.0])
    assert (schema.labels, schema.task) == (["ill"], "binary")


@pytest.mark.parametrize(("names", "task"), [(["cat", "dog"], "binary"), (["cat", "dog", "cow"], "multiclass")])
def test_one_name_per_row_is_a_class(names: list[str], task: str) -> None:
    assert inferred(["file", "animal"], IDS, names).task == task


def test_column_named_label_takes_precedence() -> None:
    schema = inferred(["file", "camera", "label"], IDS, ["a", "b"], ["cat", "dog", "cow"])
    assert schema.labels == "label"


def test_list_of_flags_in_a_cell_is_not_a_column_of_names() -> None:
    schema = inferred(["id", "target_class", "what"], IDS, ["0,0,1", "0,1,1"], ["sky", "sea,sky"])
    assert schema.labels == "what"


def test_ids_are_found_without_their_suffix() -> None:
    schema = inferred(["row", "image", "label"], list(range(1000, 1040)), [name[:-4] for name in IDS], ["a", "b", "c"])
    assert schema.image == "image"


def test_missing_cells_are_counted() -> None:
    schema = inferred(["file", "sea", "sky"], IDS, [1.0, 0.0, "NA", 0.0], [0.0, 0.0, 1.0, 1.0])
    assert schema.missing == 10
    assert schema.without == 10


def test_rows_without_an_image_have_no_files() -> None:
    schema = inferred(["file", "label"], [*IDS[:-1], "gone.jpg"], ["a", "b"])
    assert [i for i, files in enumerate(schema.files) if not files] == [39]


def test_sheet_of_an_array_needs_no_image_column() -> None:
    assert inferred(["label"], ["a", "b", "c"], in_order=True).image is None


def test_sheet_without_images_is_an_error_that_names_its_columns() -> None:
    with pytest.raises(InputError, match="of name, label, the first row has x, a"):
        inferred(["name", "label"], ["x", "y"], ["a", "b"])


def test_sheet_without_labels_is_an_error() -> None:
    with pytest.raises(InputError, match="no column holds labels"):
        inferred(["file", "note"], IDS, [f"note {i}" for i in range(40)])


def test_a_column_of_splits_is_kept_though_some_cells_say_none() -> None:
    splits = ["train"] * 30 + ["test"] * 7 + ["tset", "tset", ""]
    schema = inferred(["id", "set", "class"], IDS, splits, ["cat", "dog"])
    assert (schema.split, schema.odd_splits) == ("set", {"tset": 2, "": 1})


def test_a_column_that_says_one_split_of_all_rows_is_none() -> None:
    schema = inferred(["id", "split", "tag"], IDS, ["train"], ["a", "b"])
    assert (schema.split, schema.labels, schema.absent_splits) == (None, "tag", [])


def test_splits_that_no_row_says_are_told() -> None:
    assert inferred(["id", "split", "tag"], IDS, ["train", "val"], ["a", "b"]).absent_splits == ["test"]
    assert inferred(["id", "split", "tag"], IDS, ["test", "val"], ["a", "b"]).absent_splits == ["train"]
    assert inferred(["id", "split", "tag"], IDS, ["train", "test"], ["a", "b"]).absent_splits == []


def test_a_column_in_which_few_cells_say_a_split_is_none() -> None:
    assert inferred(["id", "kind", "class"], IDS, ["train", "plane", "ship"], ["cat", "dog"]).split is None


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-1"], {"positive": ["1"], "negative": ["-1"], "missing": []}),
        ([1.0, 0.0, -1.0], {"positive": ["1"], "negative": ["0"], "missing": ["-1"]}),
        (["yes", "no"], None),
    ],
)
def test_usual_values_of_label_columns_are_recognized(cells: list[Cell], values: object) -> None:
    schema = inferred(["id", "cat", "dog"], IDS, cells, [*cells[1:], cells[0]])
    assert (schema.labels, schema.values) == (["cat", "dog"], values)


@pytest.mark.parametrize(
    ("sea", "ice", "values"),
    [
        (["0", "1"], ["-1.0", "0.0", "1.0"], (["1", "1.0"], ["0", "0.0"], ["-1.0"])),
        (["true", "false"], ["-1", "1"], (["1", "true"], ["-1", "false"], [])),
        (["0", "1"], ["-1", "1"], (["1"], ["-1", "0"], [])),
        (["0.0", "1.0"], ["-1", "0", "1"], (["1", "1.0"], ["0", "0.0"], ["-1"])),
    ],
)
def test_columns_may_write_their_values_differently(
    sea: list[Cell], ice: list[Cell], values: tuple[list[str], list[str], list[str]]
) -> None:
    schema = inferred(["id", "sea", "ice"], IDS, sea, ice)
    assert schema.values == dict(zip(("positive", "negative", "missing"), values, strict=True))


def test_lists_in_cells_are_labels() -> None:
    schema = inferred(["id", "target"], IDS, ["['sea', 'sky']", "['sea']", "['sky', 'ice']", "[]"])
    assert (schema.labels, schema.counts) == ("target", {"sea": 20, "sky": 20, "ice": 10})


@pytest.mark.parametrize(
    "classes", [["red apple", "green apple"], ["red apple", "green pear", "red pear", "green apple"]]
)
def test_classes_with_spaces_are_not_divided(classes: list[str]) -> None:
    assert set(inferred(["id", "class"], IDS, classes).counts) == set(classes)


@pytest.mark.parametrize("name", ["patient_id", "Lesion ID", "video", "SubjectNo"])
def test_a_column_of_groups_is_found_by_its_name(name: str) -> None:
    groups = [f"p{i // 4}" for i in range(40)]
    assert inferred(["id", name, "class"], IDS, groups, ["cat", "dog"]).group == name


def test_a_column_without_repeated_cells_or_with_one_is_no_column_of_groups() -> None:
    for cells in (IDS, ["p"]):
        assert inferred(["id", "patient", "class"], IDS, cells, ["cat", "dog"]).group is None


def test_a_column_that_may_be_labels_is_no_column_of_groups() -> None:
    assert inferred(["id", "lesion"], IDS, ["nevus", "melanoma", "other"]).labels == "lesion"
    schema = inferred(["id", "person", "group"], IDS, [1, 0], [0, 0, 1])
    assert (schema.labels, schema.group) == (["person", "group"], None)


def test_images_with_several_rows_have_the_labels_of_all() -> None:
    rows: list[list[Cell]] = [[f"{i // 2:03}", ("sea", "sky", "ice")[i % 3]] for i in range(80)]
    schema = infer_schema(Sheet(["id", "tag"], rows), SOURCE, in_order=False)
    assert (schema.image, schema.labels, schema.task, schema.repeats) == ("id", "tag", "multilabel", True)
    assert schema.counts == {"sea": 27, "sky": 27, "ice": 26}


def test_numbers_whose_zeros_were_lost_name_images_nearly() -> None:
    schema = inferred(["id", "animal"], [float(i) for i in range(40)], ["cat", "dog", "cow"])
    assert schema.image == "id"
    assert schema.nearly[:2] == [("0", "000.jpg"), ("1", "001.jpg")]
    assert schema.files[39] == ["039.jpg"]


def test_a_column_of_0_and_1_names_no_images_nearly() -> None:
    with pytest.raises(InputError, match="no column names images"):
        inferred(["a", "b"], [0.0, 1.0], [1.0, 0.0, 0.0])


def test_one_image_twice_is_a_mistake_and_no_long_form() -> None:
    rows: list[list[Cell]] = [[f"{i:03}", ("cat", "dog")[i % 2]] for i in range(40)] + [["007", "cat"]]
    schema = infer_schema(Sheet(["id", "animal"], rows), SOURCE, in_order=False)
    assert (schema.task, schema.repeats) == ("binary", False)


def test_a_file_that_is_missing_is_not_replaced_by_one_of_another_folder() -> None:
    source = FolderImages(Path("images"))
    source.__dict__["scan"] = FolderScan([f"cat/{i}.jpg" for i in range(40)], {})
    rows: list[list[Cell]] = [[f"cat/{i}.jpg", ("sea", "sky")[i % 2]] for i in range(40)] + [["dog/7.jpg", "sea"]]
    schema = infer_schema(Sheet(["id", "tag"], rows), source, in_order=False)
    assert (schema.nearly, schema.files[-1]) == ([], [])


def test_long_form_of_an_array_is_recognized(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8))
    rows: list[list[Cell]] = [[float(i // 2), ("sea", "sky", "ice")[i % 3]] for i in range(40)]
    schema = infer_schema(Sheet(["index", "tag"], rows), open_images(tmp_path / "x.npy"), in_order=True)
    assert (schema.image, schema.repeats) == ("index", True)
