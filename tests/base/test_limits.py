import errno
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError
from xlsxwriter.exceptions import FileCreateError

from counterweight.base import limits
from counterweight.base.errors import InputError
from counterweight.base.limits import check_space, disk_error, disk_message, free_bytes


@pytest.fixture
def one_megabyte_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_bytes", lambda _: 1_000_000)


@pytest.mark.usefixtures("one_megabyte_free")
def test_too_little_space_is_an_error_with_the_bytes_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        check_space(tmp_path / "resized", 1.5e9, "768 images")
    assert str(error.value) == (
        f"{tmp_path}/resized: 768 images need about 1.5 GB on this disk, and 1.0 MB are free. "
        "Free some space, or move the project to another disk."
    )


@pytest.mark.usefixtures("one_megabyte_free")
def test_enough_space_is_no_error(tmp_path: Path) -> None:
    check_space(tmp_path, 1_000_000, "3 images")


def test_free_space_of_a_missing_folder_is_that_of_its_parent(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


@pytest.mark.usefixtures("one_megabyte_free")
def test_a_full_disk_is_an_input_error(tmp_path: Path) -> None:
    explained = disk_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "resized", 2_500)
    assert str(explained) == (
        f"{tmp_path}/resized: the disk is full after 2.5 kB; 1.0 MB are free. "
        "The partial output was removed. Free some space, then run dvc repro."
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        FileCreateError(OSError(errno.ENOSPC, "No space left on device")),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("3072 requested and 992 written"),
    ],
)
def test_a_full_disk_is_recognized_in_the_errors_of_every_library(error: Exception, tmp_path: Path) -> None:
    assert "the disk is full" in str(disk_error(error, tmp_path, 0))


def test_numpys_error_without_a_reason_may_be_a_full_or_a_failed_disk(tmp_path: Path) -> None:
    explained = disk_error(OSError("3072 requested and 992 written"), tmp_path / "features.npy", 992)
    assert str(explained).startswith(f"{tmp_path}/features.npy: the disk is full or failed after 992 bytes; ")


def test_a_failed_disk_is_an_input_error(tmp_path: Path) -> None:
    explained = disk_error(FileCreateError(OSError(errno.EIO, "Input/output error")), tmp_path / "resized", 0)
    assert str(explained) == (
        f"{tmp_path}/resized: the disk failed during writing ([Errno 5] Input/output error). The partial "
        "output was removed. Check the disk, then run dvc repro."
    )


def test_any_other_error_is_not(tmp_path: Path) -> None:
    assert disk_error(OSError(errno.ENOENT, "No such file or directory"), tmp_path, 0) is None


def test_a_full_shared_memory_is_not_called_a_full_disk(tmp_path: Path) -> None:
    full = "is full. End what fills it, or give it more (docker run --shm-size 2g), then run dvc repro."
    named = OSError(errno.ENOSPC, "No space left on device", "/dev/shm/joblib_1")
    assert disk_message(named) == f"/dev/shm, the memory that processes share, {full}"
    nameless = OSError(errno.ENOSPC, "No space left on device")
    message = disk_message(nameless, shared_memory=tmp_path)  # That disk has space.
    assert message == "a disk: No space left on device. Check the file and its disk, then run dvc repro."


@pytest.mark.parametrize(
    "error",
    [OSError("8 bytes written"), OSError(errno.EACCES, "Permission denied"), OSError(errno.ENOENT, "", "a.csv")],
)
def test_an_error_that_is_not_the_disks_has_no_message(error: OSError) -> None:
    assert disk_message(error) is None
