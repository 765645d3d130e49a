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
from counterweight.images.geometry import Pixels, TargetSize, resize
from tests.pictures import BLACK, BLUE, GREEN, RED, WHITE, of_color, tiff_with_four_bands

# How a camera stores an upright image, by the EXIF orientation that it writes.
STORED: dict[int, Callable[[Pixels], Any]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: np.rot90,
    7: lambda upright: np.swapaxes(np.rot90(upright, 2), 0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def with_orientation(upright: Pixels, orientation: int, format: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    return encode(Image.fromarray(stored), format, exif=exif, **options)


def palette_image(colors: list[tuple[int, int, int]]) -> Image.Image:
    image = Image.new("P", (len(colors), 1))
    image.putpalette([value for color in colors for value in color])
    image.putdata(range(len(colors)))
    return image


def test_a_checksum_is_sha_256_in_hexadecimal() -> None:
    assert codec.checksum(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_image_is_decoded_upright(orientation: int, format: str, four_colors: Pixels) -> None:
    decoded = codec.decode(with_orientation(four_colors, orientation, format))
    np.testing.assert_array_equal(decoded, four_colors)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_jpeg_is_decoded_upright(orientation: int, four_colors: Pixels) -> None:
    decoded = codec.decode(with_orientation(four_colors, orientation, "JPEG", quality=95, subsampling=0))
    np.testing.assert_allclose(decoded.astype(int), four_colors, atol=3)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_colors_are_rgb(format: str, noise: Pixels) -> None:
    decoded = codec.decode(encode(Image.fromarray(noise), format))
    np.testing.assert_array_equal(decoded, noise)
    assert decoded.dtype == np.uint8


def test_webp_is_read(noise: Pixels) -> None:
    np.testing.assert_array_equal(codec.decode(encode(Image.fromarray(noise), "WEBP", lossless=True)), noise)


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
        # Alpha 128 of 255 leaves 127 of the white background.
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
    ],
)
def test_a_png_of_any_mode_becomes_rgb(mode: str, stored: Any, shown: tuple[int, int, int]) -> None:
    decoded = codec.decode(encode(Image.new(mode, (3, 2), stored), "PNG"))
    np.testing.assert_array_equal(decoded, of_color(shown, 2, 3))


def test_a_palette_is_looked_up() -> None:
    decoded = codec.decode(encode(palette_image([RED, (10, 20, 30), BLUE]), "PNG"))
    assert decoded.tolist() == [[[255, 0, 0], [10, 20, 30], [0, 0, 255]]]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_color_of_a_palette_is_white(format: str) -> None:
    decoded = codec.decode(encode(palette_image([RED, GREEN, BLUE]), format, transparency=1))
    assert decoded.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


def test_a_color_that_a_png_declares_transparent_is_white() -> None:
    two = Image.fromarray(np.array([[RED, BLUE]], np.uint8))
    assert codec.decode(encode(two, "PNG", transparency=RED)).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_cmyk_becomes_rgb() -> None:
    decoded = codec.decode(encode(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "TIFF"))
    np.testing.assert_array_equal(decoded, of_color(RED, 2, 3))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    decoded = codec.decode(encode(Image.new("CMYK", (16, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    np.testing.assert_allclose(decoded.astype(int), of_color(RED, 8, 16), atol=3)


def test_a_gray_jpeg_has_three_equal_channels() -> None:
    decoded = codec.decode(encode(Image.new("L", (16, 8), 100), "JPEG"))
    np.testing.assert_array_equal(decoded, of_color((100, 100, 100), 8, 16))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(format: str) -> None:
    deep = Image.fromarray(np.array([[0, 128, 129, 32896, 65535]], np.uint16))
    decoded = codec.decode(encode(deep, format))
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert decoded.shape == (1, 5, 3)


def test_the_first_frame_of_an_animation_is_decoded() -> None:
    frames = [palette_image([RED, BLUE]), palette_image([GREEN, WHITE])]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert codec.decode(data).tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_the_first_page_of_a_tiff_is_decoded() -> None:
    pages = [Image.new("RGB", (3, 2), RED), Image.new("RGB", (5, 4), BLUE)]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(codec.decode(data), of_color(RED, 2, 3))


def test_the_first_image_of_a_multi_picture_file_is_decoded() -> None:
    pictures = [Image.new("RGB", (16, 8), RED), Image.new("RGB", (16, 8), BLUE)]
    data = encode(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    np.testing.assert_allclose(codec.decode(data).astype(int), of_color(RED, 8, 16), atol=3)


@pytest.mark.parametrize(("factor", "height"), [(1, 49), (2, 48), (2, 25), (4, 24), (8, 12), (8, 2)])
def test_a_jpeg_to_be_shrunk_is_decoded_at_reduced_size(factor: int, height: int) -> None:
    data = encode(Image.fromarray(of_color(GREEN, 96, 192)), "JPEG", quality=100)
    assert codec.decode(data, TargetSize(2 * height, height, "stretch")).shape == (96 // factor, 192 // factor, 3)


@pytest.mark.parametrize("orientation", STORED)
def test_a_rotated_jpeg_at_reduced_size_is_upright_and_large_enough(orientation: int, four_colors: Pixels) -> None:
    large = np.kron(four_colors, np.ones((4, 4, 1), np.uint8))
    data = with_orientation(large, orientation, "JPEG", quality=100, subsampling=0)
    small = codec.decode(data, TargetSize(48, 32, "stretch"))
    assert small.shape == four_colors.shape
    assert np.abs(small.astype(int) - four_colors).max() <= 3


@pytest.mark.parametrize("mode", ["stretch", "fit", "crop"])
def test_resizing_a_reduced_jpeg_agrees_with_pillow(mode: str, photograph: Pixels) -> None:
    data, target = encode(Image.fromarray(photograph), "JPEG", quality=92), TargetSize(100, 100, mode)
    reduced = codec.decode(data, target)
    assert reduced.shape[0] < photograph.shape[0]
    resized = resize(reduced, target).astype(int)
    full = Image.open(io.BytesIO(data))
    assert np.abs(resized - resize(np.asarray(full), target)).mean() < 1
    if mode == "stretch":
        assert np.abs(resized - np.asarray(full.resize((100, 100)))).mean() < 4


def test_a_valid_image_has_no_problem(noise: Pixels) -> None:
    problem, sketch = codec.validate_bytes(encode(Image.fromarray(noise), "JPEG"), 10**6)
    assert problem is None
    assert sketch is not None


def test_the_sketch_of_a_large_photograph_is_a_reduced_image() -> None:
    data = encode(Image.new("RGB", (1600, 1200), RED), "JPEG")
    sketch = codec.validate_bytes(data, 10**7)[1]
    np.testing.assert_allclose(np.asarray(sketch).astype(int), of_color(RED, 150, 200), atol=3)


def test_floating_point_pixels_are_refused() -> None:
    data = encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")
    assert codec.validate_bytes(data, 10**6) == ("holds floating-point pixels", None)


@pytest.mark.parametrize("extra_samples", [None, 0])
def test_a_fourth_band_that_is_not_marked_as_transparency_is_dropped(extra_samples: int | None) -> None:
    data, color = tiff_with_four_bands(extra_samples)
    np.testing.assert_array_equal(codec.decode(data), color)
    np.testing.assert_array_equal(codec.validate_bytes(data, 10**6)[1], color)


def test_heic_is_decoded() -> None:
    heif = pytest.importorskip("pillow_heif", reason="make heif installs it")
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(of_color(RED, 64, 64))).save(buffer, quality=95)
    np.testing.assert_allclose(codec.decode(buffer.getvalue()).astype(int), of_color(RED, 64, 64), atol=8)


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_portable_pixmaps_are_decoded(mode: str) -> None:
    data = encode(Image.fromarray(of_color(WHITE, 4, 4)).convert(mode), "PPM")
    assert codec.validate_bytes(data, 10**6)[0] is None
    np.testing.assert_array_equal(codec.decode(data), of_color(WHITE, 4, 4))


def test_a_file_in_an_unsupported_format_is_refused(noise: Pixels) -> None:
    data = encode(Image.fromarray(noise), "TGA")
    assert codec.validate_bytes(data, 10**6) == (f"is not an image ({', '.join(codec.FORMATS)})", None)


def test_a_file_in_an_unsupported_format_is_not_decoded(noise: Pixels) -> None:
    with pytest.raises(OSError, match="cannot identify image file"):
        codec.decode(encode(Image.fromarray(noise), "TGA"))


def test_an_image_with_the_right_checksum_is_read(noise: Pixels, tmp_path: Path) -> None:
    checksum = codec.write(noise, tmp_path / "a.png", "png")
    np.testing.assert_array_equal(codec.read(tmp_path / "a.png", checksum), noise)


def test_an_image_that_changed_since_the_manifest_is_refused(noise: Pixels, tmp_path: Path) -> None:
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
        f"{tmp_path / 'a.png'}: listed in the manifest, but missing. Put it back, or run dvc repro."
    )


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"<html></html>")
    with pytest.raises(InputError) as error:
        codec.read(path)
    assert str(error.value).startswith(f"{path}: cannot be decoded: ")
    assert str(error.value).endswith(". Replace the file, or delete its row.")


def test_png_is_lossless(noise: Pixels, tmp_path: Path) -> None:
    codec.write(noise, tmp_path / "a.png", "png")
    np.testing.assert_array_equal(codec.read(tmp_path / "a.png"), noise)


def test_jpg_keeps_colors_of_single_pixels(tmp_path: Path) -> None:
    stripes = np.tile(np.array([RED, BLUE], np.uint8), (8, 4, 1))
    codec.write(stripes, tmp_path / "a.jpg", "jpg")
    np.testing.assert_allclose(codec.read(tmp_path / "a.jpg").astype(int), stripes, atol=12)


@pytest.mark.parametrize("format", ["jpg", "png"])
def test_write_returns_the_checksum_of_the_file(format: str, noise: Pixels, tmp_path: Path) -> None:
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
def test_the_name_of_a_file_in_another_format_has_a_second_suffix(path: str, format: str, name: str) -> None:
    assert codec.output_name(path, format) == name


def test_a_copied_file_has_the_bytes_of_its_source(tmp_path: Path) -> None:
    checksum = codec.write(of_color(RED, 9, 7), tmp_path / "a.jpg", "jpg")
    assert codec.copy_file(tmp_path / "a.jpg", checksum, tmp_path / "sea" / "b.jpg") == checksum
    assert (tmp_path / "sea" / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_a_changed_file_is_not_copied(tmp_path: Path) -> None:
    codec.write(of_color(RED, 9, 7), tmp_path / "a.jpg", "jpg")
    with pytest.raises(InputError, match=r"a\.jpg: the file has changed since the manifest was written"):
        codec.copy_file(tmp_path / "a.jpg", "another", tmp_path / "b.jpg")
    assert not (tmp_path / "b.jpg").exists()
