import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.report import gallery_folder
from counterweight.report.gallery_folder import write_gallery


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Four images, the last two without a known label, and a copy of the first."""
    names = ["a.png", "b.png", "c.png", "d.png", "a+1.png"]
    sums = [
        codec.write(
            np.full((200, 100, 3), 60 * i, np.uint8), tmp_path / ("copies" if "+" in name else "images") / name, "png"
        )
        for i, name in enumerate(names)
    ]
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, -1], [1, 0]], np.int8)
    built = manifest.build(names, names, ["train", "test", "val", "val", "train"], ["<sea>", "ice"], targets, sums)
    is_copy = built["image_id"] == "a+1.png"
    return built.assign(source_id=np.where(is_copy, "a.png", ""), cluster=np.where(built["split"] == "train", "0", ""))


def test_each_label_has_pages_of_its_images_and_copies_and_the_index_counts_them(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_folder, "_PER_PAGE", 2)
    out = tmp_path / "gallery"
    out.mkdir()
    folders = (tmp_path / "images", tmp_path / "copies")
    write_gallery(table, {0: "0 (night)"}, folders, out, 1)
    assert sorted(file.name for file in out.glob("*.html")) == [
        "0-1.html",
        "0-2.html",
        "1-1.html",
        "2-1.html",
        "3-1.html",
        "index.html",
    ]
    index = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<a href="(.*?)">(.*?)</a>: (\d+)', index) == [
        ("0-1.html", "&lt;sea&gt;", "3"), ("1-1.html", "ice", "1"), ("2-1.html", "no label", "1"),
        ("3-1.html", "unknown", "1"),
    ]  # fmt: skip
    captions = [
        re.findall(r"<figcaption>(.*?)</figcaption>", (out / name).read_text(encoding="utf-8"))
        for name in ("0-1.html", "0-2.html", "2-1.html")
    ]
    assert captions == [
        ["a+1.png: train, copy of a.png, cluster 0 (night)", "a.png: train, cluster 0 (night)"],
        ["b.png: test"],
        ["c.png: validation"],
    ]
    assert '<a href="0-2.html" aria-current="page">2</a>' in (out / "0-2.html").read_text(encoding="utf-8")
    assert codec.read(out / "images/3.jpg").shape == (112, 56, 3)
