import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.images import array_images, codec
from counterweight.images.array_images import ArrayImages
from counterweight.images.folder_images import FolderImages
from counterweight.images.image_check import ImageCheck
from counterweight.images.sources import open_images
from tests.workspace import PROJECT


def array_of(folder: Path, values: Any) -> ArrayImages:
    np.save(folder / "x.npy", values)
    source = open_images(folder / "x.npy")
    assert isinstance(source, ArrayImages)
    return source


def error_of(path: Path) -> str:
    with pytest.raises(InputError) as error:
        open_images(path)
    return str(error.value)


def one_pixel_each(*values: float, dtype: str) -> np.ndarray[Any, Any]:
    return np.array(values).astype(dtype).reshape(len(values), 1, 1)


def test_a_folder_reads_its_files(tmp_path: Path) -> None:
    pixels = np.full((4, 6, 3), 7, np.uint8)
    checksum = codec.write(pixels, tmp_path / "sea/a.png", "png")
    source = open_images(tmp_path)
    assert source == FolderImages(tmp_path)
    assert source.names() == ["sea/a.png"]
    assert source.check("sea/a.png", 10**6) == ImageCheck(checksum, None, None)
    assert source.read("sea/a.png", checksum).tolist() == pixels.tolist()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert error_of(tmp_path / "images") == (
        f"{tmp_path / 'images'}: there is no such folder. Set data.images in params.yaml to the images' folder."
    )


def test_images_of_an_array_are_named_by_zero_padded_indices(tmp_path: Path) -> None:
    assert array_of(tmp_path, np.zeros((11, 2, 2), bool)).names()[::5] == ["00", "05", "10"]


@pytest.mark.parametrize(
    ("dtype", "values", "gray"),
    [
        ("bool", [0, 1], [0, 255]),
        ("uint8", [0, 1, 255], [0, 1, 255]),
        ("int64", [0, 128, 255], [0, 128, 255]),
        (">i2", [0, 128, 255], [0, 128, 255]),
        ("uint16", [0, 128, 255], [0, 128, 255]),
        ("uint16", [0, 256, 385, 386, 65535], [0, 1, 1, 2, 255]),  # a step is 257, so rounding up starts at 385.5
        (">u2", [0, 65535], [0, 255]),
        ("float32", [0, 0.1, 0.5, 1], [0, 26, 128, 255]),
        ("float16", [0, 1], [0, 255]),
        ("float64", [0, 0.4, 0.6, 2.5, 254.7], [0, 0, 1, 2, 255]),
        ("float64", [0, 0], [0, 0]),
    ],
)
def test_values_are_scaled_to_uint8(dtype: str, values: list[float], gray: list[int], tmp_path: Path) -> None:
    source = array_of(tmp_path, one_pixel_each(*values, dtype=dtype))
    assert [source.read(name).tolist() for name in source.names()] == [[[[value] * 3]] for value in gray]
    assert source.read("0").dtype == np.uint8


def test_the_scale_of_values_depends_on_the_whole_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_images, "BLOCK_BYTES", 16)
    source = array_of(tmp_path, one_pixel_each(*[1.0] * 99, 200.0, dtype="float64"))
    assert source.read("00").max() == 1


@pytest.mark.parametrize(
    ("image", "rgb"),
    [
        ([[7, 8]], [[[7, 7, 7], [8, 8, 8]]]),
        ([[[7], [8]]], [[[7, 7, 7], [8, 8, 8]]]),
        ([[[1, 2, 3], [4, 5, 6]]], [[[1, 2, 3], [4, 5, 6]]]),
        ([[[1, 2, 3, 255], [4, 5, 6, 0]]], [[[1, 2, 3], [255, 255, 255]]]),  # transparency shows white
    ],
    ids=["no channels", "gray", "rgb", "rgba"],
)
def test_any_number_of_channels_becomes_rgb(image: Any, rgb: Any, tmp_path: Path) -> None:
    assert array_of(tmp_path, np.array([image], np.uint8)).read("0").tolist() == rgb


def test_an_array_in_fortran_order_holds_the_same_images(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    source = array_of(tmp_path, np.asfortranarray(values))
    assert [source.read(name)[..., 0].tolist() for name in source.names()] == values.tolist()


@pytest.mark.parametrize(
    ("values", "dtype", "found"),
    [
        ([0, 0.5, np.nan, np.nan], "float64", "image 2 holds nan"),
        ([0, 1, -1], "int64", "image 2 holds -1"),
        ([0, 256, 300], "int32", "image 1 holds 256"),
        ([0, 255.5], "float32", "image 1 holds 255.5"),
        ([np.inf], "float32", "image 0 holds inf"),
        ([1, -0.5], "float64", "image 1 holds -0.5"),
    ],
)
@pytest.mark.parametrize("block", [1, 2**26])
def test_the_first_image_with_a_value_out_of_range_is_named(
    values: list[float], dtype: str, found: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_images, "BLOCK_BYTES", block)
    np.save(tmp_path / "x.npy", one_pixel_each(*values, dtype=dtype))
    assert error_of(tmp_path / "x.npy") == (
        f"{tmp_path}/x.npy: {found}. Values are integers from 0 to 255, or floating-point numbers from 0 to 1 or 255. "
        "Replace, clip or scale them."
    )


def test_a_value_slightly_above_one_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", one_pixel_each(0, 0.5, 1.25, dtype="float64"))
    assert error_of(tmp_path / "x.npy") == (
        f"{tmp_path}/x.npy: image 2 holds 1.25. Floating-point values are all from 0 to 1, or all from 0 to 255 and "
        "some of them 2 or more. Clip or multiply them."
    )


@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 3, 8, 8), (4, 8, 8, 2), (4, 1, 8, 8, 3)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    assert f"with 1, 3 or 4 channels, not {shape}" in error_of(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "values",
    [np.array([["a"]]), np.zeros((1, 2, 2), complex), np.zeros((0, 2, 2), np.uint8), np.array([[[{}]]], object)],
    ids=["text", "complex", "no images", "objects"],
)
def test_an_array_without_images_is_refused(values: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    assert error_of(tmp_path / "x.npy").startswith(f"{tmp_path}/x.npy: not an array of ")


def test_a_file_that_is_not_an_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"not an array")
    assert error_of(tmp_path / "x.npy").endswith("Write it with numpy.save.")


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{'descr': '|u1', 'fortran_order': False, 'shape': (-3, 8, 8), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (-3, -8, 8), }",
        b"{'descr': " + b"(" * 3_000 + b", }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (9" + b"0" * 40 + b", 8, 8), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': ('a', 8, 8), }",
    ],
)  # fmt: skip
def test_an_array_whose_header_is_damaged_is_refused(header: bytes, tmp_path: Path) -> None:
    path, padded = tmp_path / "images.npy", header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded if header else b"")
    with pytest.raises(InputError, match=r"images\.npy: not an array of images: "):
        open_images(path)


def test_a_pipe_is_no_array_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "images.npy")
    with pytest.raises(InputError, match=r"images\.npy: is no regular file\. Set data\.images"):
        open_images(tmp_path / "images.npy")


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((9, 9, 9), np.uint8))
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content[:-1])
    assert "not an array of images" in error_of(tmp_path / "x.npy")


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    assert error_of(tmp_path / "x.npy") == (
        f"{tmp_path}/x.npy: there is no such file. Set data.images in params.yaml to your array."
    )


def test_an_image_that_changed_since_the_manifest_is_named(tmp_path: Path) -> None:
    source = array_of(tmp_path, one_pixel_each(1, 2, dtype="uint8"))
    checksum, _, problem, *_ = source.check("1", 10**6)
    assert (source.read("1", checksum).max(), problem) == (2, None)
    with pytest.raises(InputError) as error:
        source.read("0", checksum)
    assert str(error.value) == f"{tmp_path}/x.npy: image 0 has changed since the manifest was written. Run dvc repro."


def test_an_image_that_no_longer_exists_is_named(tmp_path: Path) -> None:
    source = array_of(tmp_path, one_pixel_each(1, 2, dtype="uint8"))
    array_of(tmp_path, one_pixel_each(1, dtype="uint8"))
    with pytest.raises(InputError, match="image 1 no longer exists"):
        source.read("1")


def test_images_with_equal_bytes_and_different_shapes_have_different_checksums(tmp_path: Path) -> None:
    wide = array_of(tmp_path, np.zeros((1, 1, 4), np.uint8)).check("0", 10**6)
    assert array_of(tmp_path, np.zeros((1, 2, 2), np.uint8)).check("0", 10**6) != wide


def test_a_source_pickles_to_a_few_bytes(tmp_path: Path) -> None:
    source = array_of(tmp_path, np.ones((64, 64, 64), np.uint8))
    assert len(pickle.dumps(source)) < 1000
    assert pickle.loads(pickle.dumps(source)) == source


def test_an_array_larger_than_memory_is_read(tmp_path: Path) -> None:
    # A sparse file of one GiB; the process may allocate 128 MiB beyond what its imports took.
    count, side = 256, 2048
    header = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (count, side, side))
    header[200, 5, 5] = 9
    del header
    program = (
        "import resource\n"
        "from pathlib import Path\n"
        "from counterweight.images.sources import open_images\n"
        "used = next(int(l.split()[1]) * 1024 for l in open('/proc/self/status') if l.startswith('VmData'))\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (used + 2**27, used + 2**27))\n"
        "source = open_images(Path('x.npy'))\n"
        "print(source.count, source.read('200')[5, 5].tolist())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("256 [9, 9, 9]\n", "")
