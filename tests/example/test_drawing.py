from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.example.drawing import LABELS, LOOKS, SHAPES, Drawn, Look, draw, make_images


@pytest.fixture(scope="module")
def default_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("example")


@pytest.fixture(scope="module")
def default_example(default_folder: Path) -> list[Drawn]:
    """What the project's own params.yaml asks for."""
    return make_images(default_folder, train=900, test=200, seed=7)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = make_images(tmp_path / "one", train=12, test=4, seed=7)
    two = make_images(tmp_path / "two", train=12, test=4, seed=7)
    assert one == two
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        make_images(tmp_path / str(seed), train=4, test=0, seed=seed)
    assert bytes_of(tmp_path / "1").keys() == bytes_of(tmp_path / "2").keys()
    assert bytes_of(tmp_path / "1") != bytes_of(tmp_path / "2")


def test_files_are_numbered_from_one_the_train_images_first(tmp_path: Path) -> None:
    drawn = make_images(tmp_path, train=2, test=1, seed=0)
    assert [(image.file, image.split) for image in drawn] == [
        ("0001.jpg", "train"),
        ("0002.jpg", "train"),
        ("0003.jpg", "test"),
    ]
    assert sorted(bytes_of(tmp_path)) == ["0001.jpg", "0002.jpg", "0003.jpg"]


def test_example_has_as_many_images_as_asked_for(default_example: list[Drawn], default_folder: Path) -> None:
    assert Counter(image.split for image in default_example) == {"train": 900, "test": 200}
    assert sorted(bytes_of(default_folder)) == [image.file for image in default_example]


def test_every_image_has_one_to_three_digits_sorted_and_each_once(default_example: list[Drawn]) -> None:
    assert {len(image.digits) for image in default_example} == {1, 2, 3}
    assert all(list(image.digits) == sorted(set(image.digits)) for image in default_example)


def test_commonest_digit_is_eight_times_as_common_as_the_rarest_in_train(default_example: list[Drawn]) -> None:
    counts = Counter(digit for image in default_example if image.split == "train" for digit in image.digits)
    assert set(counts) == set(LABELS)
    assert max(counts.values()) >= 8 * min(counts.values())


def test_every_digit_is_among_the_test_images(default_example: list[Drawn]) -> None:
    assert {digit for image in default_example if image.split == "test" for digit in image.digits} == set(LABELS)


def test_images_have_all_the_shapes_and_no_other(default_example: list[Drawn], default_folder: Path) -> None:
    shapes = set()
    for image in default_example:
        with Image.open(default_folder / image.file) as picture:
            shapes.add((picture.height, picture.width))
    assert shapes == set(SHAPES)


def test_some_shapes_are_thumb_nails() -> None:
    assert [shape for shape in SHAPES if min(shape) <= 40] == [(40, 40), (36, 56)]


def test_images_are_color_jpegs(default_folder: Path, default_example: list[Drawn]) -> None:
    with Image.open(default_folder / default_example[0].file) as picture:
        assert (picture.format, picture.mode) == ("JPEG", "RGB")


def test_looks_share_all_images_unequally_and_each_digit_is_liked_once() -> None:
    assert sum(look.share for look in LOOKS) == pytest.approx(1)
    assert [look.share for look in LOOKS] == [0.50, 0.22, 0.14, 0.09, 0.05]
    assert sorted(digit for look in LOOKS for digit in look.likes) == list(LABELS)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.texture.__name__.strip("_"))
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_three_digits_fit_every_shape_in_every_look(look: Look, height: int, width: int) -> None:
    full = [np.full((8, 8), 16.0)] * 3
    pixels = draw(full, look, height, width, np.random.default_rng(0))
    assert (pixels.shape, pixels.dtype) == ((height, width, 3), np.uint8)


def test_digit_is_drawn_in_the_looks_ink() -> None:
    (plain, *_) = LOOKS
    pixels = draw([np.full((8, 8), 16.0)], plain, 96, 96, np.random.default_rng(0))
    is_ink = (pixels == plain.ink).all(axis=2)
    # A square of 0.75 to 0.95 of the height, less the corners that its turn cuts off.
    assert 0.4 < is_ink.mean() < 0.95**2


def test_no_ink_leaves_the_ground() -> None:
    (plain, *_) = LOOKS
    pixels = draw([np.zeros((8, 8))], plain, 96, 96, np.random.default_rng(0))
    assert pixels.mean(axis=(0, 1)) == pytest.approx(plain.ground, abs=25)
