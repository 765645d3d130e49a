import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterweight.base.errors import InputError
from counterweight.images import folder_scan
from counterweight.images.folder_scan import FolderScan, scan_folder

OUT = "is a link that leads out of the folder. Name its target in data.follow_links"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """An empty folder, two levels below another that links may lead to."""
    folder = tmp_path / "project/data/photos"
    folder.mkdir(parents=True)
    return folder


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def save(path: Path, format: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(path, format)


def test_images_are_listed_sorted_with_their_folders(photos: Path) -> None:
    names = "a.png b.JPG c.jpeg d.jfif e.jpe f.bmp g.tif h.TIFF i.gif j.avif k.ppm l.pgm sea/deep/m.webp".split()
    put(photos, *names)
    assert scan_folder(photos) == FolderScan(names, {})


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF"])
@pytest.mark.parametrize("name", ["a", "a.image", "a.jpg_large"])
def test_an_image_is_known_by_its_content_whatever_its_suffix(name: str, format: str, photos: Path) -> None:
    save(photos / name, format)
    assert scan_folder(photos) == FolderScan([name], {})


def test_files_that_are_not_read_are_listed_with_the_reason(photos: Path) -> None:
    put(photos, "labels.csv", "a.jpg.part")
    (photos / "b.dcm").write_bytes(bytes(128) + b"DICM" + bytes(100))
    (photos / "c").write_bytes(b"RIFF1234WAVE")
    (photos / "d.png").symlink_to("missing.png")
    os.mkfifo(photos / "e.png")
    assert scan_folder(photos) == FolderScan(
        [],
        {
            "a.jpg.part": "is no image",
            "b.dcm": "is DICOM. Convert it to PNG, for example with dcm2img of DCMTK",
            "c": "is no image",
            "d.png": "leads nowhere",
            "e.png": "is no regular file",
            "labels.csv": "is a table or text",
        },
    )


def test_heic_is_read_with_its_package_and_named_without(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(16))
    monkeypatch.setattr(folder_scan, "SUFFIXES", frozenset({".jpg", ".heic"}))
    assert scan_folder(photos) == FolderScan(["a.heic"], {})
    monkeypatch.setattr(folder_scan, "SUFFIXES", frozenset({".jpg"}))
    monkeypatch.setattr(folder_scan, "FORMATS", ("JPEG",))
    reason = "is HEIC, which needs pillow-heif. Run make heif, or convert it"
    assert scan_folder(photos) == FolderScan([], {"a.heic": reason})


def test_what_systems_leave_behind_is_no_data_at_any_depth(photos: Path) -> None:
    put(photos, "a.png", "._a.png", ".hidden/b.png", "sea/.ipynb_checkpoints/c.png", "sea/@eaDir/d.png/e.jpg",
        "__MACOSX/f.png", "sea/Thumbs.db", "desktop.ini")  # fmt: skip
    assert scan_folder(photos) == FolderScan(["a.png"], {})


def test_a_folder_that_is_named_like_an_image_is_a_folder(photos: Path) -> None:
    put(photos, "album.png/a.png")
    assert scan_folder(photos) == FolderScan(["album.png/a.png"], {})


def test_links_inside_the_folder_and_its_parent_are_followed(photos: Path) -> None:
    put(photos, "sea/a.png")
    put(photos.parent, "more/b.png", "c.png")
    (photos / "ice").symlink_to(photos.parent / "more")
    (photos / "c.png").symlink_to(photos.parent / "c.png")
    (photos / "water").symlink_to("sea")
    anyway = {"water": "is a link to a folder that is read anyway"}
    assert scan_folder(photos) == FolderScan(["c.png", "ice/b.png", "sea/a.png"], anyway, ["ice"])


def test_links_that_lead_elsewhere_are_followed_only_into_named_folders(photos: Path) -> None:
    store = photos.parents[2] / "store"
    put(store, "cats/a.png", "b.png")
    (photos / "cats").symlink_to(store / "cats")
    (photos / "b.png").symlink_to(store / "b.png")
    assert scan_folder(photos) == FolderScan([], {"b.png": OUT, "cats": OUT})
    assert scan_folder(photos, [store]) == FolderScan(["b.png", "cats/a.png"], {}, ["cats"])
    assert scan_folder(photos, [store / "cats"]) == FolderScan(["cats/a.png"], {"b.png": OUT}, ["cats"])


def test_the_folder_itself_may_be_a_link(photos: Path) -> None:
    put(photos, "a.png")
    link = photos.parents[2] / "link"
    link.symlink_to(photos)
    assert scan_folder(link) == FolderScan(["a.png"], {})


def test_links_in_a_circle_end(photos: Path) -> None:
    put(photos, "sea/a.png")
    (photos / "sea/again").symlink_to(photos)
    (photos / "sea/itself").symlink_to(photos / "sea")
    (photos / "up").symlink_to(photos.parent)
    (photos / "loop").symlink_to("loop")
    (photos / "x.png").symlink_to("y.png")
    (photos / "y.png").symlink_to("x.png")
    inside = "is a link to a folder that it is in"
    assert scan_folder(photos) == FolderScan(
        ["sea/a.png"],
        {
            "loop": "leads nowhere",
            "sea/again": inside,
            "sea/itself": "is a link to a folder that is read anyway",
            "up": inside,
            "x.png": "leads nowhere",
            "y.png": "leads nowhere",
        },
    )


def test_folders_outside_that_link_to_each_other_are_read_once(photos: Path) -> None:
    store = photos.parents[2] / "store"
    for name in "abc":
        put(store, f"{name}/{name}.png")
        for other in "abc":
            (store / name / f"to-{other}").symlink_to(store / other)
        (photos / name).symlink_to(store / name)
    assert scan_folder(photos, [store]).images == ["a/a.png", "b/b.png", "c/c.png"]


def test_raw_photographs_and_texts_are_no_images(photos: Path) -> None:
    (photos / "a.CR2").write_bytes(b"II*\0" + bytes(200))
    (photos / "README").write_text("BMI data of the patients, and more of it")
    assert scan_folder(photos) == FolderScan(
        [], {"README": "is no image", "a.CR2": "is a raw photograph. Convert it, unless its JPEG is there, too"}
    )


def test_a_folder_that_cannot_be_read_is_listed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(photos, "a.png", "secret/b.png")
    scandir = os.scandir

    def refuse(folder: Path) -> Iterator[os.DirEntry[str]]:
        if folder.name == refused:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(folder_scan.os, "scandir", refuse)
    refused = "secret"
    assert scan_folder(photos) == FolderScan(["a.png"], {"secret/": "cannot be read: Permission denied"})
    refused = "photos"
    with pytest.raises(InputError, match=r"the folder cannot be read: Permission denied\. Check its rights\."):
        scan_folder(photos)


def test_a_name_that_is_not_utf_8_is_an_error(photos: Path) -> None:
    put(photos, os.fsdecode(b"caf\xe9.png"))
    with pytest.raises(InputError, match=r"is not UTF-8, so no table can hold it\. Rename the file\."):
        scan_folder(photos)
