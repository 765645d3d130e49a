import pytest

from counterweight.augmentation.copy_maker import CopyConfig, copy_name


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


GENTLE, STRONG = [{"Fliplr": {"p": 0.5}}], [{"AverageBlur": {"k": 7}}]
SECTION = {
    "copy_mode": "plain", "pipeline": "strong", "pipelines": {"gentle": GENTLE, "strong": STRONG},
    "composition": "equal_parts", "seed": 7, "quality": {"min_std": 4.0, "min_contrast": 0.25, "max_draws": 3},
}  # fmt: skip


def test_the_config_of_the_params_is_that_of_their_pipeline() -> None:
    expected = CopyConfig("plain", STRONG, "equal_parts", 7, "png", 4.0, 0.25, 3)
    assert CopyConfig.from_params(SECTION, "png") == expected


def test_a_named_pipeline_takes_the_place_of_plain_copies() -> None:
    expected = CopyConfig("augmented", GENTLE, "equal_parts", 7, "jpg", 4.0, 0.25, 3)
    assert CopyConfig.from_params(SECTION, "jpg", "gentle") == expected
