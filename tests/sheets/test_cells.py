import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterweight.sheets.cells import UnreadableCellError, flag_values, label_names, unknown_hint, unknown_names
from counterweight.sheets.table_header import Cell

LABELS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda label: label.strip())


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("sea, ice", ["sea", "ice"]),
        ("['sea', 'ice']", ["sea", "ice"]),
        ('["sea", "ice"]', ["sea", "ice"]),
        ("['sea' 'ice']", ["sea", "ice"]),  # NumPy
        ("['sea' 'ice'\n 'fog']", ["sea", "ice", "fog"]),
        ("('sea', 'ice')", ["sea", "ice"]),
        ("{'sea', 'ice'}", ["ice", "sea"]),
        ("['sea, blue', \"l'ice\"]", ["sea, blue", "l'ice"]),
        ("[0, 3, 12.0]", ["0", "3", "12"]),
        ("[]", []),
        ("[' sea ', '']", ["sea"]),
        ("(unknown)", ["(unknown)"]),
        ("{sea}", ["{sea}"]),
        ("", []),
        (3.0, ["3"]),
        ("NaN", None),
    ],
)
def test_a_cell_has_names_or_a_list_of_them(cell: Cell, names: list[str] | None) -> None:
    assert label_names(cell, ",", None) == names


@given(st.lists(LABELS, max_size=4))
def test_lists_as_python_and_json_write_them_come_back(labels: list[str]) -> None:
    expected = [label.strip() for label in labels]
    assert label_names(json.dumps(labels), ",", None) == expected
    assert label_names(str(labels), ",", None) == expected


@pytest.mark.parametrize("cell", ["[sea, ice]", "['sea', ice]", "[['sea']]", "[{'sea': 1}]", "[" * 3000 + "]"])
def test_what_begins_and_ends_like_a_list_and_is_none_is_an_error(cell: str) -> None:
    with pytest.raises(UnreadableCellError):
        label_names(cell, ",", None)


@pytest.mark.parametrize("cell", ["[", "['sea'"])
def test_half_a_list_is_a_name(cell: str) -> None:
    assert label_names(cell, ",", None) == [cell]


def test_allowed_names_are_not_divided() -> None:
    assert label_names("Pepper, bell", ",", ["Pepper, bell"]) == ["Pepper, bell"]
    assert label_names("[sea]", ",", ["[sea]"]) == ["[sea]"]


def test_named_texts_take_precedence_over_missing_ones() -> None:
    assert flag_values({"positive": ["NA"], "negative": [""], "missing": ["?"]}) == {
        "na": 1, "": 0, "?": -1, "nan": -1, "n/a": -1, "#n/a": -1,
    }  # fmt: skip


def test_cells_that_say_unknown_are_counted_unless_the_classes_are_named() -> None:
    cells: list[Cell] = ["NA", " NA ", "nan", "#N/A", float("nan"), "", "cat", "NA,cat"]
    assert unknown_names(cells, None) == {"NA": 2, "nan": 1}
    assert unknown_names(cells, ["EU", "cat"]) == {}  # Whoever names the classes has decided.


def test_the_hint_says_what_to_do_if_unknown_is_a_class() -> None:
    assert unknown_hint({"NA": 1200, "nan": 1}) == (
        "label cells read as unknown: 1,200 'NA', 1 'nan'. If one of these is a class, name all classes in data.labels"
    )
