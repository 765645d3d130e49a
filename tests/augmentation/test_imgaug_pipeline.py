from typing import Any

import imgaug.augmenters as iaa
import numpy as np
import pytest

from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline
from counterweight.base.errors import InputError
from counterweight.base.steps import AUGMENTERS
from counterweight.images.codec import Pixels

STEPS: list[dict[str, dict[str, Any]]] = [
    {"Add": {"value": [-40, 40]}},
    {"AdditiveGaussianNoise": {"scale": [5, 20]}},
    {"Affine": {"scale": [0.6, 1.2], "translate_percent": [-0.1, 0.1], "rotate": [-30, 30], "shear": [-9, 9]}},
    {"AverageBlur": {"k": [2, 7]}},
    {"Crop": {"percent": [0.0, 0.2]}},
    {"CropAndPad": {"percent": [-0.25, 0.25]}},
    {"Cutout": {"nb_iterations": [1, 3], "size": 0.2}},
    {"ElasticTransformation": {"alpha": [1.0, 3.0], "sigma": 0.25}},
    {"Fliplr": {"p": 0.5}},
    {"Flipud": {"p": 0.5}},
    {"GammaContrast": {"gamma": [0.5, 2.0]}},
    {"GaussianBlur": {"sigma": [0.5, 3.0]}},
    {"LinearContrast": {"alpha": [0.5, 1.5]}},
    {"MedianBlur": {"k": [3, 11]}},
    {"Multiply": {"mul": [0.5, 1.5]}},
    {"MultiplyBrightness": {"mul": [0.5, 1.5]}},
    {"OneOf": {"children": [{"Add": {"value": [-40, 40]}}, {"Fliplr": {"p": 1}}]}},
    {"PerspectiveTransform": {"scale": [0.05, 0.15]}},
    {"Rotate": {"rotate": [-30, 30]}},
    {"SaltAndPepper": {"p": [0.01, 0.1]}},
    {"SomeOf": {"n": [0, 2], "children": [{"Add": {"value": 40}}, {"Fliplr": {"p": 1}}], "random_order": True}},
    {"Sometimes": {"p": 0.5, "then_list": [{"Flipud": {"p": 1}}, {"Add": {"value": [-40, 40]}}]}},
]
GRAY_SQUARE = {"Cutout": {"position": "center", "size": 0.5, "squared": 0, "fill_mode": "constant", "cval": 128}}


def name_of(step: dict[str, dict[str, Any]]) -> str:
    return next(iter(step))


@pytest.fixture
def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_every_accepted_augmenter_is_tested_here() -> None:
    assert [name_of(step) for step in STEPS] == sorted(AUGMENTERS)


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_copy_of_an_image_that_is_not_square_has_its_shape(step: dict[str, Any], noise: Pixels) -> None:
    copy = AugmentationPipeline([step])(noise, 0)
    assert copy.shape == (24, 40, 3)
    assert copy.dtype == np.uint8


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_same_seed_gives_the_same_copy_whatever_came_before(step: dict[str, Any], noise: Pixels) -> None:
    fresh, used = AugmentationPipeline([step]), AugmentationPipeline([step])
    for seed in range(5):
        used(noise[::-1], seed)
    assert np.array_equal(used(noise, 7), fresh(noise, 7))


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_other_seeds_give_other_copies(step: dict[str, Any], noise: Pixels) -> None:
    augmentation = AugmentationPipeline([step])
    assert len({augmentation(noise, seed).tobytes() for seed in range(20)}) > 1


def test_all_64_bits_of_the_seed_count(noise: Pixels) -> None:
    augmentation = AugmentationPipeline(STEPS)
    seeds = (1, 1 + 2**32, 1 + 2**63)
    assert len({augmentation(noise, seed).tobytes() for seed in seeds}) == 3


def test_input_is_not_changed(noise: Pixels) -> None:
    before = noise.copy()
    AugmentationPipeline(STEPS)(noise, 0)
    assert np.array_equal(noise, before)


def test_fliplr_with_p_1_mirrors_every_image(noise: Pixels) -> None:
    assert np.array_equal(AugmentationPipeline([{"Fliplr": {"p": 1}}])(noise, 0), noise[:, ::-1])


def test_blur_with_a_range_of_zeros_changes_nothing(noise: Pixels) -> None:
    assert np.array_equal(AugmentationPipeline([{"GaussianBlur": {"sigma": [0, 0]}}])(noise, 0), noise)


def test_list_of_two_numbers_is_a_range(noise: Pixels) -> None:
    augmentation = AugmentationPipeline([{"GaussianBlur": {"sigma": [0.5, 3.0]}}])
    assert len({augmentation(noise, seed).tobytes() for seed in range(20)}) > 2


def test_list_of_three_numbers_is_a_choice(noise: Pixels) -> None:
    augmentation = AugmentationPipeline([{"GaussianBlur": {"sigma": [0.5, 1.0, 3.0]}}])
    assert len({augmentation(noise, seed).tobytes() for seed in range(50)}) == 3


def test_list_of_two_words_is_a_choice(noise: Pixels) -> None:
    augmentation = AugmentationPipeline([{"CropAndPad": {"px": 4, "pad_mode": ["edge", "wrap"]}}])
    assert len({augmentation(noise, seed).tobytes() for seed in range(50)}) == 2


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_augmenters_are_seeded_as_imgaug_seeds_them(step: dict[str, Any], noise: Pixels) -> None:
    pipeline = AugmentationPipeline([step, step])
    theirs = pipeline._steps.deepcopy()
    for seed in range(10):
        theirs.seed_(seed)
        assert np.array_equal(pipeline(noise, seed), theirs(image=noise))


def test_steps_are_applied_in_order(noise: Pixels) -> None:
    square_last = AugmentationPipeline([{"AverageBlur": {"k": 5}}, GRAY_SQUARE])(noise, 0)
    blur_last = AugmentationPipeline([GRAY_SQUARE, {"AverageBlur": {"k": 5}}])(noise, 0)
    # The square has half the height and half the width; the blur of 5 x 5 reaches 2 pixels into it.
    assert (square_last == 128).all(axis=2).sum() == 12 * 20
    assert (blur_last == 128).all(axis=2).sum() == 8 * 16


def test_several_augmenters_in_one_step_are_applied_in_order(noise: Pixels) -> None:
    blur = {"AverageBlur": {"k": 5}}
    assert np.array_equal(
        AugmentationPipeline([blur | GRAY_SQUARE])(noise, 0), AugmentationPipeline([blur, GRAY_SQUARE])(noise, 0)
    )


MIRRORED, TURNED = {"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"OneOf": {"children": [MIRRORED, TURNED]}}, {"mirrored", "turned"}),
        ({"Sometimes": {"p": 0.5, "then_list": [MIRRORED, TURNED]}}, {"same", "both"}),
        ({"Sometimes": {"p": 0.5, "then_list": [MIRRORED], "else_list": [TURNED]}}, {"mirrored", "turned"}),
        ({"SomeOf": {"n": 1, "children": [MIRRORED, TURNED]}}, {"mirrored", "turned"}),
        ({"SomeOf": {"n": [0, 2], "children": [MIRRORED, TURNED]}}, {"same", "mirrored", "turned", "both"}),
    ],
    ids=["OneOf", "Sometimes", "Sometimes else", "SomeOf one", "SomeOf up to two"],
)
def test_steps_within_a_step_are_chosen_among(step: dict[str, Any], expected: set[str], noise: Pixels) -> None:
    results = {"same": noise, "mirrored": noise[:, ::-1], "turned": noise[::-1], "both": noise[::-1, ::-1]}
    names = {pixels.tobytes(): name for name, pixels in results.items()}
    pipeline = AugmentationPipeline([step])
    assert {names[pipeline(noise, seed).tobytes()] for seed in range(40)} == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MedianBlur", {"k": 4}),
        ("MedianBlur", {"k": 2.5}),
        ("AverageBlur", {"k": [1, 3, 5]}),
        ("Fliplr", {"p": [0, 1]}),
        ("Cutout", {"nb_iterations": 2.5}),
        ("Cutout", {"squared": [0, 1]}),
        ("Cutout", {"position": ["uniform", "center"]}),
        ("CropAndPad", {"percent": [0.1, 0.2, 0.3]}),
        ("ElasticTransformation", {"order": 2.5}),
    ],
)
def test_error_for_a_value_that_imgaug_rejects_names_it_and_its_augmenter(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        AugmentationPipeline([{name: arguments}])
    assert str(error.value).startswith(f"params.yaml: augment.pipelines: imgaug rejects {name} with {arguments}: ")


@pytest.mark.parametrize("k", [[3, 11], [1, 9], 7, [1, 9, 11]], ids=str)
def test_median_blur_has_the_windows_and_bytes_of_imgaugs(k: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (210, 220, 3), dtype=np.uint8)
    theirs = iaa.Sequential([iaa.MedianBlur(k=tuple(k) if isinstance(k, list) and len(k) == 2 else k)])
    ours = AugmentationPipeline([{"MedianBlur": {"k": k}}])
    for seed in range(10):
        theirs.seed_(seed)
        assert np.array_equal(ours(pixels, seed), theirs(image=pixels))
