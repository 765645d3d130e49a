import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import Wanted, resize
from tests.pictures import BLACK, BLUE, GREEN, RED, WHITE, of_colour

# How a camera stores an upright picture, by the EXIF orientation that it writes beside it.
STORED: dict[int, Callable[[codec.Pixels], Any]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: np.rot90,
    7: lambda upright: np.swapaxes(np.rot90(upright, 2), 0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def file_of(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def with_orientation(upright: codec.Pixels, orientation: int, format: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    return file_of(Image.fromarray(stored), format, exif=exif, **options)


def palette_image(colours: list[tuple[int, int, int]]) -> Image.Image:
    image = Image.new("P", (len(colours), 1))
    image.putpalette([value for colour in colours for value in colour])
    image.putdata(range(len(colours)))
    return image


def test_image_files_are_listed_sorted_with_their_folders(tmp_path: Path) -> None:
    (tmp_path / "sea").mkdir()
    for name in ("b.JPG", "a.png", "sea/c.webp", "d.jpeg", "e.bmp", "f.tif", "g.TIFF", "h.gif"):
        (tmp_path / name).touch()
    assert codec.image_files(tmp_path) == [
        *("a.png", "b.JPG", "d.jpeg", "e.bmp", "f.tif", "g.TIFF", "h.gif", "sea/c.webp")
    ]


def test_hidden_files_are_not_images(tmp_path: Path) -> None:
    (tmp_path / "._a.jpg").touch()
    assert codec.image_files(tmp_path) == []


def test_other_files_and_folders_are_not_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a.jpg.part").touch()
    (tmp_path / "album.png").mkdir()
    assert codec.image_files(tmp_path) == []


def test_a_checksum_is_sha_256_in_hexadecimal() -> None:
    assert codec.checksum(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_decoded_upright(orientation: int, format: str, four_colours: codec.Pixels) -> None:
    decoded = codec.decode(with_orientation(four_colours, orientation, format))
    np.testing.assert_array_equal(decoded, four_colours)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_decoded_upright(orientation: int, four_colours: codec.Pixels) -> None:
    decoded = codec.decode(with_orientation(four_colours, orientation, "JPEG", quality=95, subsampling=0))
    np.testing.assert_allclose(decoded.astype(int), four_colours, atol=3)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_colours_are_rgb(format: str, noise: codec.Pixels) -> None:
    decoded = codec.decode(file_of(Image.fromarray(noise), format))
    np.testing.assert_array_equal(decoded, noise)
    assert decoded.dtype == np.uint8


def test_webp_is_read(noise: codec.Pixels) -> None:
    np.testing.assert_array_equal(codec.decode(file_of(Image.fromarray(noise), "WEBP", lossless=True)), noise)


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
    decoded = codec.decode(file_of(Image.new(mode, (3, 2), stored), "PNG"))
    np.testing.assert_array_equal(decoded, of_colour(shown, 2, 3))


def test_a_palette_is_looked_up() -> None:
    decoded = codec.decode(file_of(palette_image([RED, (10, 20, 30), BLUE]), "PNG"))
    assert decoded.tolist() == [[[255, 0, 0], [10, 20, 30], [0, 0, 255]]]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_is_white(format: str) -> None:
    decoded = codec.decode(file_of(palette_image([RED, GREEN, BLUE]), format, transparency=1))
    assert decoded.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


def test_a_colour_that_a_png_declares_transparent_is_white() -> None:
    two = Image.fromarray(np.array([[RED, BLUE]], np.uint8))
    assert codec.decode(file_of(two, "PNG", transparency=RED)).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_cmyk_becomes_rgb() -> None:
    decoded = codec.decode(file_of(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "TIFF"))
    np.testing.assert_array_equal(decoded, of_colour(RED, 2, 3))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    decoded = codec.decode(file_of(Image.new("CMYK", (16, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    np.testing.assert_allclose(decoded.astype(int), of_colour(RED, 8, 16), atol=3)


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    decoded = codec.decode(file_of(Image.new("L", (16, 8), 100), "JPEG"))
    np.testing.assert_array_equal(decoded, of_colour((100, 100, 100), 8, 16))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(format: str) -> None:
    deep = Image.fromarray(np.array([[0, 128, 129, 32896, 65535]], np.uint16))
    decoded = codec.decode(file_of(deep, format))
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert decoded.shape == (1, 5, 3)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [palette_image([RED, BLUE]), palette_image([GREEN, WHITE])]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert codec.decode(data).tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_the_first_page_of_a_tiff_is_taken() -> None:
    pages = [Image.new("RGB", (3, 2), RED), Image.new("RGB", (5, 4), BLUE)]
    data = file_of(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(codec.decode(data), of_colour(RED, 2, 3))


def test_the_first_picture_of_a_camera_with_two_is_taken() -> None:
    pictures = [Image.new("RGB", (16, 8), RED), Image.new("RGB", (16, 8), BLUE)]
    data = file_of(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    np.testing.assert_allclose(codec.decode(data).astype(int), of_colour(RED, 8, 16), atol=3)


@pytest.mark.parametrize(("factor", "wanted"), [(1, 49), (2, 48), (2, 25), (4, 24), (8, 12), (8, 2)])
def test_a_jpeg_that_will_shrink_is_decoded_at_a_part_of_its_size(factor: int, wanted: int) -> None:
    data = file_of(Image.fromarray(of_colour(GREEN, 96, 192)), "JPEG", quality=100)
    assert codec.decode(data, Wanted(2 * wanted, wanted, "stretch")).shape == (96 // factor, 192 // factor, 3)


@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_jpeg_at_a_part_of_its_size_is_upright_and_large_enough(
    orientation: int, four_colours: codec.Pixels
) -> None:
    large = np.kron(four_colours, np.ones((4, 4, 1), np.uint8))
    data = with_orientation(large, orientation, "JPEG", quality=100, subsampling=0)
    small = codec.decode(data, Wanted(48, 32, "stretch"))
    assert small.shape == four_colours.shape
    assert np.abs(small.astype(int) - four_colours).max() <= 3


@pytest.mark.parametrize("mode", ["stretch", "fit", "crop"])
def test_what_is_resized_from_a_part_of_its_size_is_what_pillow_gives(mode: str, photograph: codec.Pixels) -> None:
    data, wanted = file_of(Image.fromarray(photograph), "JPEG", quality=92), Wanted(100, 100, mode)
    assert codec.decode(data, wanted).shape[0] < photograph.shape[0]
    found = resize(codec.decode(data, wanted), wanted).astype(int)
    whole = Image.open(io.BytesIO(data))
    assert np.abs(found - resize(np.asarray(whole), wanted)).mean() < 1
    if mode == "stretch":
        assert np.abs(found - np.asarray(whole.resize((100, 100)))).mean() < 4


def test_an_image_that_decodes_has_no_problem(noise: codec.Pixels) -> None:
    problem, sketch = codec.examine(file_of(Image.fromarray(noise), "JPEG"), 10**6)
    assert problem is None
    assert sketch is not None


def test_sketch_of_a_large_photograph_is_small_and_shows_the_same() -> None:
    data = file_of(Image.new("RGB", (1600, 1200), RED), "JPEG")
    sketch = codec.examine(data, 10**7)[1]
    np.testing.assert_allclose(np.asarray(sketch).astype(int), of_colour(RED, 150, 200), atol=3)


def test_floating_point_pixels_are_refused() -> None:
    data = file_of(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")
    assert codec.examine(data, 10**6) == ("holds floating-point pixels", None)


def test_a_file_in_a_format_that_is_not_taken_is_refused(noise: codec.Pixels) -> None:
    data = file_of(Image.fromarray(noise), "PPM")
    assert codec.examine(data, 10**6) == ("is not an image (JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF)", None)


def test_a_file_in_a_format_that_is_not_taken_is_not_decoded(noise: codec.Pixels) -> None:
    with pytest.raises(OSError, match="cannot identify image file"):
        codec.decode(file_of(Image.fromarray(noise), "PPM"))


def test_an_image_with_the_right_checksum_is_read(noise: codec.Pixels, tmp_path: Path) -> None:
    checksum = codec.write(noise, tmp_path / "a.png", "png")
    np.testing.assert_array_equal(codec.read(tmp_path / "a.png", checksum), noise)


def test_an_image_that_changed_since_the_manifest_is_refused(noise: codec.Pixels, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    checksum = codec.write(noise, path, "png")
    codec.write(255 - noise, path, "png")
    with pytest.raises(InputError) as error:
        codec.read(path, checksum)
    assert str(error.value) == f"{path}: the file has changed since the manifest was written. Run dvc repro."


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        codec.read(tmp_path / "a.png")
    assert str(error.value) == (
        f"{tmp_path / 'a.png'}: the file of the manifest is not there. Put it back, or run dvc repro."
    )


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"<html></html>")
    with pytest.raises(InputError) as error:
        codec.read(path)
    assert str(error.value).startswith(f"{path}: cannot be decoded: ")
    assert str(error.value).endswith(". Replace the file, or delete its row.")


def test_png_loses_nothing(noise: codec.Pixels, tmp_path: Path) -> None:
    codec.write(noise, tmp_path / "a.png", "png")
    np.testing.assert_array_equal(codec.read(tmp_path / "a.png"), noise)


def test_jpg_keeps_colours_of_single_pixels(tmp_path: Path) -> None:
    stripes = np.tile(np.array([RED, BLUE], np.uint8), (8, 4, 1))
    codec.write(stripes, tmp_path / "a.jpg", "jpg")
    np.testing.assert_allclose(codec.read(tmp_path / "a.jpg").astype(int), stripes, atol=12)


@pytest.mark.parametrize("format", ["jpg", "png"])
def test_write_returns_the_checksum_of_the_file(format: str, noise: codec.Pixels, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"a.{format}"
    assert codec.write(noise, path, format) == hashlib.sha256(path.read_bytes()).hexdigest()


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
    assert codec.file_name(path, format) == name


def test_duplicate_has_the_bytes_of_its_source(tmp_path: Path) -> None:
    checksum = codec.write(of_colour(RED, 9, 7), tmp_path / "a.jpg", "jpg")
    assert codec.duplicate(tmp_path / "a.jpg", checksum, tmp_path / "sea" / "b.jpg") == checksum
    assert (tmp_path / "sea" / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_changed_file_is_not_duplicated(tmp_path: Path) -> None:
    codec.write(of_colour(RED, 9, 7), tmp_path / "a.jpg", "jpg")
    with pytest.raises(InputError, match=r"a\.jpg: the file has changed since the manifest was written"):
        codec.duplicate(tmp_path / "a.jpg", "another", tmp_path / "b.jpg")
    assert not (tmp_path / "b.jpg").exists()
