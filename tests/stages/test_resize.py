from pathlib import Path

import cv2

from counterweight.base import manifest
from counterweight.images.codec import checksum
from tests.conftest import RESIZE, run_stage


def test_every_image_has_the_size_of_the_params(resized: Path) -> None:
    table = manifest.read(resized / "data/resized.csv")
    assert {cv2.imread(str(resized / "data/resized" / path)).shape for path in table["path"]} == {(32, 32, 3)}


def test_the_table_describes_the_resized_files(resized: Path) -> None:
    table = manifest.read(resized / "data/resized.csv")
    before = manifest.read(resized / "data/manifest.csv")
    assert table.drop(columns=["path", "checksum"]).equals(before.drop(columns=["path", "checksum"]))
    for path, expected in zip(table["path"], table["checksum"], strict=True):
        assert checksum((resized / "data/resized" / path).read_bytes()) == expected


def test_error_for_an_image_that_changed_since_ingest_names_it(ingested: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ingested / "params.yaml").read_text())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/manifest.csv").write_text((ingested / "data/manifest.csv").read_text())
    (tmp_path / "images").mkdir()
    for file in (ingested / "images").iterdir():
        (tmp_path / "images" / file.name).write_bytes(file.read_bytes() + b" " * (file.name == "0007.jpg"))
    result = run_stage(tmp_path, "resize", *RESIZE, check=False)
    assert result.returncode == 1
    assert "images/0007.jpg: the file has changed since the manifest was written. Run dvc repro." in result.stderr
    assert not (tmp_path / "data/resized").exists()
