from collections.abc import Sequence

import pytest

from counterweight.base.errors import InputError
from counterweight.dataset.spreadsheet import Cell, Sheet
from counterweight.onboarding.column_inference import Understood, understand

FILES = {f"{i:03}.jpg" for i in range(40)}


def find(ids: Sequence[str]) -> list[list[str]]:
    """The files of these ids, with or without their suffix."""
    return [[name for name in (image_id, f"{image_id}.jpg") if name in FILES] for image_id in ids]


def understood(columns: list[str], *values: Sequence[Cell], in_order: bool = False) -> Understood:
    """A sheet of forty rows, each column of which begins again when it ends."""
    rows: list[list[Cell]] = [[column[i % len(column)] for column in values] for i in range(40)]
    return understand(Sheet(columns, rows), find, in_order=in_order)


IDS = sorted(FILES)


def test_several_names_in_a_cell_are_labels() -> None:
    found = understood(["id", "set", "target"], IDS, ["train", "Test"], ["sea,sky", "sea", "sky,ice", "sea,ice,sky"])
    assert (found.image, found.split, found.labels) == ("id", "set", "target")
    assert (found.separator, found.task) == (",", "multilabel")
    assert found.counts == {"sea": 30, "sky": 30, "ice": 20}


@pytest.mark.parametrize("separator", [";", "|", "/", " "])
def test_separator_is_the_one_that_gives_the_fewest_names(separator: str) -> None:
    found = understood(["id", "tags"], IDS, [separator.join(names) for names in (["a", "b"], ["a"], ["b", "c"])])
    assert found.separator == separator
    assert set(found.counts) == {"a", "b", "c"}


def test_columns_of_0_and_1_are_labels_each() -> None:
    found = understood(["file", "sea", "sky"], IDS, [1.0, 0.0], [1.0, 1.0, 0.0, 0.0])
    assert (found.labels, found.task, found.split) == (["sea", "sky"], "multilabel", None)


def test_one_of_several_columns_each_time_is_a_class() -> None:
    found = understood(["file", "cat", "dog", "cow"], IDS, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    assert (found.labels, found.task) == (["cat", "dog", "cow"], "multiclass")


def test_single_column_of_0_and_1_is_binary() -> None:
    found = understood(["file", "ill"], IDS, [1.0, 0.0, 0.0])
    assert (found.labels, found.task) == (["ill"], "binary")


@pytest.mark.parametrize(("names", "task"), [(["cat", "dog"], "binary"), (["cat", "dog", "cow"], "multiclass")])
def test_one_name_a_row_is_a_class(names: list[str], task: str) -> None:
    assert understood(["file", "animal"], IDS, names).task == task


def test_column_called_labels_goes_before_others_with_names() -> None:
    found = understood(["file", "camera", "label"], IDS, ["a", "b"], ["cat", "dog", "cow"])
    assert found.labels == "label"


def test_list_of_flags_in_one_cell_is_no_column_of_names() -> None:
    found = understood(["id", "target_class", "what"], IDS, ["0,0,1", "0,1,1"], ["sky", "sea,sky"])
    assert found.labels == "what"


def test_ids_without_suffix_and_numbers_are_found() -> None:
    found = understood(["row", "image", "label"], list(range(1000, 1040)), [name[:-4] for name in IDS], ["a", "b", "c"])
    assert found.image == "image"


def test_cells_that_are_not_known_are_counted() -> None:
    found = understood(["file", "sea", "sky"], IDS, [1.0, 0.0, "NA", 0.0], [0.0, 0.0, 1.0, 1.0])
    assert found.missing == 10
    assert found.without == 10


def test_files_of_each_row_are_kept_to_see_which_lack() -> None:
    found = understood(["file", "label"], [*IDS[:-1], "gone.jpg"], ["a", "b"])
    assert [i for i, files in enumerate(found.files) if not files] == [39]


def test_rows_of_an_array_may_be_in_its_order() -> None:
    assert understood(["label"], ["a", "b", "c"], in_order=True).image is None


def test_sheet_without_images_says_what_it_has() -> None:
    with pytest.raises(InputError, match="of name, label, the first row has x, a"):
        understood(["name", "label"], ["x", "y"], ["a", "b"])


def test_sheet_without_labels_says_so() -> None:
    with pytest.raises(InputError, match="no column holds labels"):
        understood(["file", "note"], IDS, [f"note {i}" for i in range(40)])
