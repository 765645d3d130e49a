import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.core import images
from stages.core.errors import InputError

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)

# How a camera stores an upright picture, by the EXIF orientation that it writes beside it.
STORED: dict[int, Callable[[images.Pixels], Any]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: np.rot90,
    7: lambda upright: np.swapaxes(np.rot90(upright, 2), 0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def of_colour(colour: tuple[int, int, int], height: int, width: int) -> images.Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def file_of(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def with_orientation(upright: images.Pixels, orientation: int, format: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    return file_of(Image.fromarray(stored), format, exif=exif, **options)


def palette_image(colours: list[tuple[int, int, int]]) -> Image.Image:
    image = Image.new("P", (len(colours), 1))
    image.putpalette([value for colour in colours for value in colour])
    image.putdata(range(len(colours)))
    return image


@pytest.fixture
def four_colours() -> images.Pixels:
    top = np.hstack([of_colour(RED, 16, 24), of_colour(GREEN, 16, 24)])
    return np.vstack([top, np.hstack([of_colour(BLUE, 16, 24), of_colour(WHITE, 16, 24)])])


@pytest.fixture
def noise() -> images.Pixels:
    return np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)


def test_image_files_are_listed_sorted_with_their_folders(tmp_path: Path) -> None:
    (tmp_path / "sea").mkdir()
    for name in ("b.JPG", "a.png", "sea/c.webp", "d.jpeg", "e.bmp", "f.tif", "g.TIFF", "h.gif"):
        (tmp_path / name).touch()
    assert images.image_files(tmp_path) == [
        *("a.png", "b.JPG", "d.jpeg", "e.bmp", "f.tif", "g.TIFF", "h.gif", "sea/c.webp")
    ]


def test_hidden_files_are_not_images(tmp_path: Path) -> None:
    (tmp_path / "._a.jpg").touch()
    assert images.image_files(tmp_path) == []


def test_other_files_and_folders_are_not_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a.jpg.part").touch()
    (tmp_path / "album.png").mkdir()
    assert images.image_files(tmp_path) == []


def test_a_checksum_is_sha_256_in_hexadecimal() -> None:
    assert images.checksum(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_decoded_upright(orientation: int, format: str, four_colours: images.Pixels) -> None:
    decoded = images.decode(with_orientation(four_colours, orientation, format))
    np.testing.assert_array_equal(decoded, four_colours)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_decoded_upright(orientation: int, four_colours: images.Pixels) -> None:
    decoded = images.decode(with_orientation(four_colours, orientation, "JPEG", quality=95, subsampling=0))
    np.testing.assert_allclose(decoded.astype(int), four_colours, atol=3)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_colours_are_rgb(format: str, noise: images.Pixels) -> None:
    decoded = images.decode(file_of(Image.fromarray(noise), format))
    np.testing.assert_array_equal(decoded, noise)
    assert decoded.dtype == np.uint8


def test_webp_is_read(noise: images.Pixels) -> None:
    np.testing.assert_array_equal(images.decode(file_of(Image.fromarray(noise), "WEBP", lossless=True)), noise)


@pytest.mark.parametrize(
    ("mode", "stored", "shown"),
    [
        ("1", 1, WHITE),
        ("1", 0, BLACK),
        ("L", 100, (100, 100, 100)),
        ("LA", (100, 255), (100, 100, 100)),
        ("LA", (100, 0), WHITE),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), WHITE),
        # 128 of 255 parts of red on a white page: 127 parts of white remain.
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
    ],
)
def test_a_png_of_any_mode_becomes_rgb(mode: str, stored: Any, shown: tuple[int, int, int]) -> None:
    decoded = images.decode(file_of(Image.new(mode, (3, 2), stored), "PNG"))
    np.testing.assert_array_equal(decoded, of_colour(shown, 2, 3))


def test_a_palette_is_looked_up() -> None:
    decoded = images.decode(file_of(palette_image([RED, (10, 20, 30), BLUE]), "PNG"))
    assert decoded.tolist() == [[[255, 0, 0], [10, 20, 30], [0, 0, 255]]]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_is_white(format: str) -> None:
    decoded = images.decode(file_of(palette_image([RED, GREEN, BLUE]), format, transparency=1))
    assert decoded.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


def test_a_colour_that_a_png_declares_transparent_is_white() -> None:
    two = Image.fromarray(np.array([[RED, BLUE]], np.uint8))
    assert images.decode(file_of(two, "PNG", transparency=RED)).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_cmyk_becomes_rgb() -> None:
    decoded = images.decode(file_of(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "TIFF"))
    np.testing.assert_array_equal(decoded, of_colour(RED, 2, 3))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    decoded = images.decode(file_of(Image.new("CMYK", (16, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    np.testing.assert_allclose(decoded.astype(int), of_colour(RED, 8, 16), atol=3)


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    decoded = images.decode(file_of(Image.new("L", (16, 8), 100), "JPEG"))
    np.testing.assert_array_equal(decoded, of_colour((100, 100, 100), 8, 16))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(format: str) -> None:
    deep = Image.fromarray(np.array([[0, 128, 129, 32896, 65535]], np.uint16))
    decoded = images.decode(file_of(deep, format))
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert decoded.shape == (1, 5, 3)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [palette_image([RED, BLUE]), palette_image([GREEN, WHITE])]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.decode(data).tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_the_first_page_of_a_tiff_is_taken() -> None:
    pages = [Image.new("RGB", (3, 2), RED), Image.new("RGB", (5, 4), BLUE)]
    data = file_of(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(images.decode(data), of_colour(RED, 2, 3))


def test_the_first_picture_of_a_camera_with_two_is_taken() -> None:
    pictures = [Image.new("RGB", (16, 8), RED), Image.new("RGB", (16, 8), BLUE)]
    data = file_of(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    np.testing.assert_allclose(images.decode(data).astype(int), of_colour(RED, 8, 16), atol=3)


def test_an_image_that_decodes_has_no_problem(noise: images.Pixels) -> None:
    problem, sketch = images.examine(file_of(Image.fromarray(noise), "JPEG"), 10**6)
    assert problem is None
    assert sketch is not None


def test_sketch_of_a_large_photograph_is_small_and_shows_the_same() -> None:
    data = file_of(Image.new("RGB", (1600, 1200), RED), "JPEG")
    sketch = images.examine(data, 10**7)[1]
    np.testing.assert_allclose(np.asarray(sketch).astype(int), of_colour(RED, 150, 200), atol=3)


def test_floating_point_pixels_are_refused() -> None:
    data = file_of(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")
    assert images.examine(data, 10**6) == ("holds floating-point pixels", None)


def test_a_file_in_a_format_that_is_not_taken_is_refused(noise: images.Pixels) -> None:
    data = file_of(Image.fromarray(noise), "PPM")
    assert images.examine(data, 10**6) == ("is not an image (JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF)", None)


def test_a_file_in_a_format_that_is_not_taken_is_not_decoded(noise: images.Pixels) -> None:
    with pytest.raises(OSError, match="cannot identify image file"):
        images.decode(file_of(Image.fromarray(noise), "PPM"))


def test_an_image_with_the_right_checksum_is_read(noise: images.Pixels, tmp_path: Path) -> None:
    checksum = images.write(noise, tmp_path / "a.png", "png")
    np.testing.assert_array_equal(images.read(tmp_path / "a.png", checksum), noise)


def test_an_image_that_changed_since_the_manifest_is_refused(noise: images.Pixels, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    checksum = images.write(noise, path, "png")
    images.write(255 - noise, path, "png")
    with pytest.raises(InputError) as error:
        images.read(path, checksum)
    assert str(error.value) == f"{path}: the file has changed since the manifest was written. Run dvc repro."


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        images.read(tmp_path / "a.png")
    assert str(error.value) == (
        f"{tmp_path / 'a.png'}: the file of the manifest is not there. Put it back, or run dvc repro."
    )


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"<html></html>")
    with pytest.raises(InputError) as error:
        images.read(path)
    assert str(error.value).startswith(f"{path}: cannot be decoded: ")
    assert str(error.value).endswith(". Replace the file, or delete its row.")


def test_png_loses_nothing(noise: images.Pixels, tmp_path: Path) -> None:
    images.write(noise, tmp_path / "a.png", "png")
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), noise)


def test_jpg_keeps_colours_of_single_pixels(tmp_path: Path) -> None:
    stripes = np.tile(np.array([RED, BLUE], np.uint8), (8, 4, 1))
    images.write(stripes, tmp_path / "a.jpg", "jpg")
    np.testing.assert_allclose(images.read(tmp_path / "a.jpg").astype(int), stripes, atol=12)


@pytest.mark.parametrize("format", ["jpg", "png"])
def test_write_returns_the_checksum_of_the_file(format: str, noise: images.Pixels, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"a.{format}"
    assert images.write(noise, path, format) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("path", "format", "name"),
    [
        ("a.jpg", "jpg", "a.jpg"),
        ("a.jpg", "png", "a.jpg.png"),
        ("sea/a.PNG", "png", "sea/a.PNG"),
        ("a.png", "jpg", "a.png.jpg"),
        ("a.b.gif", "png", "a.b.gif.png"),
    ],
)
def test_a_file_in_another_format_has_a_suffix_more(path: str, format: str, name: str) -> None:
    assert images.file_name(path, format) == name


@pytest.mark.parametrize("mode", ["stretch", "crop"])
@pytest.mark.parametrize(("width", "height"), [(8, 8), (30, 10), (10, 30), (20, 40), (200, 7), (1, 1)])
def test_a_white_image_stays_white(width: int, height: int, mode: str) -> None:
    resized = images.resize(of_colour(WHITE, 20, 40), width, height, mode)
    np.testing.assert_array_equal(resized, of_colour(WHITE, height, width))


def test_an_image_of_the_size_wanted_stays_as_it_is(noise: images.Pixels) -> None:
    for mode in ("stretch", "fit", "crop"):
        np.testing.assert_array_equal(images.resize(noise, 13, 9, mode), noise)


def test_fit_puts_even_black_bars_above_and_below_a_wide_image() -> None:
    resized = images.resize(of_colour(WHITE, 20, 40), 20, 20, "fit")
    assert resized[:, :, 0].mean(axis=1).tolist() == [0] * 5 + [255] * 10 + [0] * 5


def test_fit_puts_even_black_bars_beside_a_high_image() -> None:
    resized = images.resize(of_colour(WHITE, 40, 20), 20, 20, "fit")
    assert resized[:, :, 0].mean(axis=0).tolist() == [0] * 5 + [255] * 10 + [0] * 5


def test_fit_enlarges_a_small_image() -> None:
    resized = images.resize(of_colour(WHITE, 4, 2), 16, 16, "fit")
    assert resized[:, :, 0].mean(axis=0).tolist() == [0] * 4 + [255] * 8 + [0] * 4


def test_fit_keeps_a_thin_line() -> None:
    resized = images.resize(of_colour(WHITE, 1, 100), 10, 10, "fit")
    assert resized[:, :, 0].mean(axis=1).tolist() == [0] * 4 + [255] + [0] * 5


def test_crop_takes_the_centre_of_a_wide_image() -> None:
    thirds = np.hstack([of_colour(RED, 8, 8), of_colour(GREEN, 8, 8), of_colour(BLUE, 8, 8)])
    np.testing.assert_array_equal(images.resize(thirds, 8, 8, "crop"), of_colour(GREEN, 8, 8))


def test_crop_takes_the_centre_of_a_high_image_and_shrinks_it() -> None:
    thirds = np.vstack([of_colour(RED, 8, 8), of_colour(GREEN, 8, 8), of_colour(BLUE, 8, 8)])
    np.testing.assert_array_equal(images.resize(thirds, 4, 4, "crop"), of_colour(GREEN, 4, 4))


def test_stretch_keeps_all_of_the_image(four_colours: images.Pixels) -> None:
    resized = images.resize(four_colours, 2, 2, "stretch")
    assert resized.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


def test_shrinking_takes_the_mean() -> None:
    board = np.array([[BLACK, WHITE], [WHITE, BLACK]], np.uint8)
    assert images.resize(board, 1, 1, "stretch")[0, 0, 0] in (127, 128)


def test_every_pixel_has_its_part_in_the_mean() -> None:
    corner = of_colour(BLACK, 4, 4)
    corner[0, 0] = 240
    assert images.resize(corner, 1, 1, "stretch").tolist() == [[[15, 15, 15]]]


def test_a_fine_board_does_not_alias_when_it_shrinks() -> None:
    board = np.tile(np.array([[BLACK, WHITE], [WHITE, BLACK]], np.uint8), (16, 16, 1))
    resized = images.resize(board, 8, 4, "stretch")
    assert set(np.unique(resized)) <= {127, 128}


def test_one_side_may_shrink_while_the_other_grows() -> None:
    stripes = np.tile(np.array([BLACK, WHITE], np.uint8), (4, 8, 1))
    resized = images.resize(stripes, 8, 16, "stretch")
    assert resized.shape == (16, 8, 3)
    assert set(np.unique(resized)) <= {127, 128}


def test_resizing_leaves_the_image_as_it_was(four_colours: images.Pixels) -> None:
    before = four_colours.copy()
    for mode in ("stretch", "fit", "crop"):
        images.resize(four_colours, 10, 10, mode)
    np.testing.assert_array_equal(four_colours, before)


def test_the_whole_view_keeps_every_corner(four_colours: images.Pixels) -> None:
    seen = images.view(four_colours, "whole", (2, 2))
    assert seen.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


@pytest.mark.parametrize(("height", "width"), [(400, 400), (400, 800), (1000, 400)])
def test_the_centre_view_is_the_middle_224_of_400(height: int, width: int) -> None:
    framed = of_colour(RED, height, width)
    top, left = (height - 224) // 2, (width - 224) // 2
    framed[top : top + 224, left : left + 224] = GREEN
    np.testing.assert_array_equal(images.view(framed, "centre", (224, 224)), of_colour(GREEN, 224, 224))


def test_the_centre_view_of_another_size_has_the_same_share() -> None:
    framed = of_colour(RED, 200, 200)
    framed[44:156, 44:156] = GREEN
    np.testing.assert_array_equal(images.view(framed, "centre", (112, 112)), of_colour(GREEN, 112, 112))


@pytest.mark.parametrize("how", ["centre", "whole"])
@pytest.mark.parametrize(("height", "width"), [(5, 900), (64, 64), (333, 57)])
def test_a_view_is_a_square_of_the_size_wanted(height: int, width: int, how: str) -> None:
    np.testing.assert_array_equal(images.view(of_colour(WHITE, height, width), how, (64, 64)), of_colour(WHITE, 64, 64))


def test_view_may_be_wider_than_high(four_colours: images.Pixels) -> None:
    assert images.view(four_colours, "whole", (48, 32)).shape == (32, 48, 3)
    assert images.view(four_colours, "centre", (48, 32)).shape == (32, 48, 3)


def test_centre_of_a_view_that_is_wider_than_high_is_cut_to_its_own_shape() -> None:
    # Wanted are 112 x 56: the image is brought to fill 200 x 100, which it does already, and 44 and 22 go on each side.
    framed = of_colour(RED, 100, 200)
    framed[22:78, 44:156] = GREEN
    np.testing.assert_array_equal(images.view(framed, "centre", (112, 56)), of_colour(GREEN, 56, 112))


def test_duplicate_has_the_bytes_of_its_source(tmp_path: Path) -> None:
    checksum = images.write(of_colour(RED, 9, 7), tmp_path / "a.jpg", "jpg")
    assert images.duplicate(tmp_path / "a.jpg", checksum, tmp_path / "sea" / "b.jpg") == checksum
    assert (tmp_path / "sea" / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_changed_file_is_not_duplicated(tmp_path: Path) -> None:
    images.write(of_colour(RED, 9, 7), tmp_path / "a.jpg", "jpg")
    with pytest.raises(InputError, match=r"a\.jpg: the file has changed since the manifest was written"):
        images.duplicate(tmp_path / "a.jpg", "another", tmp_path / "b.jpg")
    assert not (tmp_path / "b.jpg").exists()
