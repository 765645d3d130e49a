import errno
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError
from xlsxwriter.exceptions import FileCreateError

from counterweight.base import limits
from counterweight.base.errors import InputError
from counterweight.base.limits import check_space, free_bytes, of_the_disk


@pytest.fixture
def one_megabyte_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_bytes", lambda _: 1_000_000)


@pytest.mark.usefixtures("one_megabyte_free")
def test_work_that_will_not_fit_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        check_space(tmp_path / "resized", 1.5e9, "768 images")
    assert str(error.value) == (
        f"{tmp_path}/resized: 768 images need about 1.5 GB on this disk, and 1.0 MB are free. "
        "Free some, or put the project on another disk."
    )


@pytest.mark.usefixtures("one_megabyte_free")
def test_work_that_fits_is_not(tmp_path: Path) -> None:
    check_space(tmp_path, 1_000_000, "3 images")


def test_room_is_that_of_the_folder_that_will_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


@pytest.mark.usefixtures("one_megabyte_free")
def test_full_disk_is_the_users_to_mend(tmp_path: Path) -> None:
    said = of_the_disk(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "resized", 2_500)
    assert str(said) == (
        f"{tmp_path}/resized: the disk is full after 2.5 kB of it, so more are needed, and 1.0 MB are free. "
        "Nothing half-written is left. Free some, then run dvc repro."
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
def test_full_disk_is_known_however_a_library_says_it(error: Exception, tmp_path: Path) -> None:
    assert "the disk is full" in str(of_the_disk(error, tmp_path, 0))


def test_disk_of_which_numpy_says_no_reason_may_be_full_or_have_failed(tmp_path: Path) -> None:
    said = of_the_disk(OSError("3072 requested and 992 written"), tmp_path / "features.npy", 992)
    assert str(said).startswith(f"{tmp_path}/features.npy: the disk is full or failed after 992 bytes of it")


def test_failed_disk_is_said_too(tmp_path: Path) -> None:
    said = of_the_disk(FileCreateError(OSError(errno.EIO, "Input/output error")), tmp_path / "resized", 0)
    assert str(said) == (
        f"{tmp_path}/resized: the disk failed while it was written ([Errno 5] Input/output error). Nothing "
        "half-written is left. Look after the disk, then run dvc repro."
    )


def test_another_error_is_not(tmp_path: Path) -> None:
    assert of_the_disk(OSError(errno.ENOENT, "No such file or directory"), tmp_path, 0) is None
