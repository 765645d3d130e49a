import pytest

from counterweight.base.errors import InputError, raise_problems


def test_the_first_ten_problems_are_shown_with_their_total() -> None:
    with pytest.raises(InputError) as error:
        raise_problems([f"row {row}: no label." for row in range(2, 14)], "labels.xlsx")
    assert str(error.value) == (
        "labels.xlsx: 12 problems\n"
        "  row 2: no label.\n"
        "  row 3: no label.\n"
        "  row 4: no label.\n"
        "  row 5: no label.\n"
        "  row 6: no label.\n"
        "  row 7: no label.\n"
        "  row 8: no label.\n"
        "  row 9: no label.\n"
        "  row 10: no label.\n"
        "  row 11: no label.\n"
        "  ... and 2 more"
    )


def test_ten_problems_are_all_shown() -> None:
    with pytest.raises(InputError) as error:
        raise_problems([f"row {row}: no label." for row in range(2, 12)], "labels.xlsx")
    assert str(error.value).splitlines()[-1] == "  row 11: no label."
