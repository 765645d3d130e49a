import pytest

from counterweight.sheets.table_header import Cell, TableHeader, find_header


@pytest.mark.parametrize(
    ("grid", "row"),
    [
        ([["id", "labels"], ["a", "sea"]], 0),
        ([[], ["", ""], ["id", "labels"], ["a", "sea"]], 2),
        ([["Photographs of 2024"], ["id", "labels"], ["a", "sea"]], 1),
        ([["Photographs"], [], ["id", "labels"], ["a", "sea"]], 2),
        ([["id"], ["a"]], 0),
        ([["image name"], ["a"]], 0),
        ([["id"], ["a", "a note"]], 0),
        ([["", ""], ["id", ""], ["a", ""]], 1),
        ([["id", "0", "1"], ["a", 1.0, 1.0]], 0),
        ([["id", "sea", "sky"], ["a.jpg", "1", "1"]], 0),
        ([["id", "0", "1"], ["7", 1.0, 0.0], ["8", 0.0, 1.0]], 0),
        ([["img1", "labels"], ["img2", "sea"]], 0),
    ],
)
def test_column_names_are_found_below_blank_rows_and_a_title(grid: list[list[Cell]], row: int) -> None:
    assert find_header(grid) == TableHeader(row, is_named=True)


@pytest.mark.parametrize(
    "grid",
    [
        [["a.jpg", "sea"], ["b.jpg", "sky"]],
        [["cat/7.PNG", 1.0], ["b", 0.0]],
        [["00001", "1", "NA", "0", "1"], ["00002", "0", "0", "0", "1"]],
        [["00001", True, True], ["00002", False, True]],
        [["img1", "0"], ["img2", "1"]],
        [["00001", "0", "1"], ["00002", "1", "1"]],
        [["my photo 1.jpg", ""], ["my photo 2.jpg", "cat"]],
        [["a.pbm", "cat"], ["b.pbm", "dog"]],
    ],
)
def test_a_first_row_that_is_an_image_has_no_column_names(grid: list[list[Cell]]) -> None:
    assert find_header(grid) == TableHeader(0, is_named=False)


def test_a_sheet_without_cells_begins_at_its_first_row() -> None:
    assert find_header([]) == TableHeader(0, is_named=True)
