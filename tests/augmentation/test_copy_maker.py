import pytest

from counterweight.augmentation.copy_maker import copy_name


@pytest.mark.parametrize(
    ("name", "number", "copy"),
    [
        ("a.b.JPEG", 10, "a.b__copy10.JPEG"),
        ("beach.2/dog", 1, "beach.2/dog__copy1"),
        ("dog.tif.png", 3, "dog.tif__copy3.png"),
        ("dog__copy1.png", 1, "dog__copy1__copy1.png"),
        ("Strand/Möwe 7.png", 2, "Strand/Möwe 7__copy2.png"),
    ],
)
def test_copy_is_named_after_its_source(name: str, number: int, copy: str) -> None:
    assert copy_name(name, number) == copy
