"""A folder beside the page with all images, label by label, for those that the page has no room for."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from counterweight.base import manifest
from counterweight.explanation.thumbnails import SIDE, shrink
from counterweight.images import codec
from counterweight.runtime.parallel import parallel_map

_TEMPLATE = Path(__file__).with_name("gallery.html")
# Images per page: more load slowly.
_PER_PAGE = 500
# Links to other pages, at most, on either side.
_NEIGHBORS = 5


def write_gallery(
    table: pd.DataFrame, titles: Mapping[int, str], folders: tuple[Path, Path], out: Path, workers: int
) -> None:
    """Write a page per label with all its images, and one that lists the labels.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with the copies.
    titles : mapping of int to str
        The result of `counterweight.report.cluster_titles`.
    folders : (Path, Path)
        The resized images, and the copies.
    out : Path
        An empty folder. It gets ``index.html``, pages such as ``3-1.html``, the first of the third label, and
        ``images/``.
    workers : int
        Processes that make the small images.
    """
    (out / "images").mkdir()
    rows = table.reset_index(drop=True)
    jobs = [
        (folders[source != ""] / path, checksum, out / "images" / f"{number}.jpg")
        for number, (source, path, checksum) in enumerate(
            zip(rows["source_id"], rows["path"], rows["checksum"], strict=True)
        )
    ]
    parallel_map(_shrink_file, jobs, workers=workers, what="small images", name=_name_of)
    names, targets = manifest.label_names(rows), manifest.targets(rows)
    has, unknown = targets == 1, (targets < 0).any(axis=1)
    without = ~has.any(axis=1)
    groups = [*zip(names, has.T, strict=True), ("no label", without & ~unknown), ("unknown", without & unknown)]
    captions = [_caption(row, titles) for row in rows.to_dict("records")]
    environment = Environment(loader=FileSystemLoader(_TEMPLATE.parent), autoescape=True, undefined=StrictUndefined)
    write = partial(_write, environment, out)
    listed: list[dict[str, Any]] = []
    for column, (label, members) in enumerate(groups):
        images = np.flatnonzero(members).tolist()
        if not images:
            continue
        parts = [images[start : start + _PER_PAGE] for start in range(0, len(images), _PER_PAGE)]
        for part, shown in enumerate(parts, 1):
            near = range(max(part - _NEIGHBORS, 1), min(part + _NEIGHBORS, len(parts)) + 1)
            pages = [(number, f"{column}-{number}.html", number == part) for number in near]
            write(f"{column}-{part}.html", label, pages, [(f"images/{i}.jpg", captions[i]) for i in shown], [])
        listed.append({"label": label, "page": f"{column}-1.html", "count": len(images)})
    write("index.html", "All images", [], [], listed)


def _shrink_file(job: tuple[Path, str, Path]) -> None:
    source, checksum, target = job
    codec.write(shrink(codec.read(source, checksum), SIDE), target, "jpg")


def _name_of(job: tuple[Path, str, Path]) -> str:
    return str(job[0])


def _caption(row: Mapping[Any, Any], titles: Mapping[int, str]) -> str:
    split = {"val": "validation"}.get(row["split"], row["split"])
    kind = f"{split}, copy of {row['source_id']}" if row["source_id"] else split
    known = not (pd.isna(row["cluster"]) or row["cluster"] == "")
    return f"{row['image_id']}: {kind}" + (f", cluster {titles[int(row['cluster'])]}" if known else "")


def _write(
    environment: Environment, out: Path, name: str, title: str, pages: Sequence[tuple[int, str, bool]],
    images: Sequence[tuple[str, str]], labels: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    text = environment.get_template(_TEMPLATE.name).render(title=title, pages=pages, images=images, labels=labels)
    (out / name).write_text(text, encoding="utf-8")
