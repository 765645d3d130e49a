"""The balanced dataset as a folder that other libraries load: Hugging Face datasets, torchvision, FiftyOne.

Hugging Face's imagefolder reads ``metadata.csv`` by pandas, some thousand rows at a time, and guesses the type of each
column from each piece; where two guesses differ, it loads nothing. So every column here can be read in one way alone,
whatever rows are in it: the name of an image has its suffix (0017 alone would be a number, and NA nothing at all), the
names of labels are JSON, a label's column holds 0.0 and 1.0, since 0 and 1 become other numbers beside an empty cell,
and no other column has empty cells.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path, PurePosixPath

import pandas as pd

from counterweight.base import manifest
from counterweight.base.errors import raise_problems
from counterweight.base.manifest import LABEL, MISSING
from counterweight.images import codec
from counterweight.runtime.file_links import link_or_copy
from counterweight.runtime.parallel import for_each

# What a file system takes as the name of one file or folder, in bytes.
LONGEST = 255

# What may not stand in the name of a folder, or would hide it; and a % that would be read as the beginning of such.
_UNSAFE = re.compile(r"[/\\\x00-\x1f]|^\.|%(?=[0-9A-Fa-f]{2})")


def laid_out(table: pd.DataFrame, *, by_class: bool) -> pd.DataFrame:
    """The rows that the folder holds, with the place of each in it.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest with copies.
    by_class : bool
        Whether an image has exactly one label, so that each split has a folder a class. Images whose class is missing
        are then left out: in a folder, they would be of one.

    Returns
    -------
    pandas.DataFrame
        The rows, with the column ``file``: ``SPLIT/PATH``; or ``SPLIT/CLASS/NAME``, where the name is that of the
        image's file, and its whole path, with ``%2F`` for a slash, if two images of a folder have the same name.

    Raises
    ------
    InputError
        If a label or a path is too long for a name.
    """
    if not by_class:
        return table.assign(file=table["split"] + "/" + table["path"])
    targets = manifest.targets(table) == 1
    known = targets.any(axis=1)
    rows: pd.DataFrame = table[known].reset_index(drop=True)
    folders = [folder_name(name) for name in manifest.label_names(table)]
    within = rows["split"] + "/" + [folders[column] for column in targets[known].argmax(axis=1)] + "/"
    files = within + rows["path"].map(lambda path: PurePosixPath(path).name)
    if not files.is_unique:
        files = within + rows["path"].map(folder_name)
    raise_problems(
        [
            f"'{part}' has {len(part.encode())} bytes, and the name of a file or folder holds {LONGEST}. Give the "
            "class, or the image and its folders, a shorter name."
            for part in sorted({part for file in files for part in file.split("/")})
            if len(part.encode()) > LONGEST
        ],
        "data.sheet",
    )
    return rows.assign(file=files)


def folder_name(label: str) -> str:
    """A label as the name of a folder; `urllib.parse.unquote` gives the label back.

    Examples
    --------
    >>> folder_name("a dog, 100% été"), folder_name("sea/beach"), folder_name("..")
    ('a dog, 100% été', 'sea%2Fbeach', '%2E.')
    """
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", label)


def metadata(rows: pd.DataFrame, split: str, *, by_class: bool) -> pd.DataFrame:
    """The ``metadata.csv`` of a split, for Hugging Face's imagefolder.

    Parameters
    ----------
    rows : pandas.DataFrame
        What `laid_out` returned.
    split : str
        Which rows of it.
    by_class : bool
        As in `laid_out`.

    Returns
    -------
    pandas.DataFrame
        ``file_name``, relative to the split's folder; ``label``, the class as a number from 0 in the order of the
        folders' names, as torchvision counts them, or ``label:NAME`` for each label: 1.0, 0.0, or empty where nobody
        knows; ``labels``, the names as a JSON list; ``image_id`` and ``source_id``, with the file's suffix, the latter
        of an original the image itself; and ``cluster``, which is -1 outside train.
    """
    chosen = manifest.of_split(rows, split)
    labels, targets = manifest.label_names(rows), manifest.targets(chosen)
    names = _names(rows)
    ids = chosen["image_id"].map(names)
    order = sorted(range(len(labels)), key=lambda column: folder_name(labels[column]))
    flags = {LABEL + name: chosen[LABEL + name].astype(float).mask(chosen[LABEL + name] == MISSING) for name in labels}
    return pd.DataFrame(
        {
            "file_name": chosen["file"].str.removeprefix(f"{split}/"),
            **({"label": [order.index(column) for column in targets.argmax(axis=1)]} if by_class else flags),
            "labels": _listed(chosen, 1),
            "image_id": ids,
            "source_id": chosen["source_id"].map(names).where(chosen["source_id"] != "", ids),
            "cluster": chosen["cluster"].fillna(-1),
        }
    )


def samples(rows: pd.DataFrame) -> pd.DataFrame:
    """The samples of all splits, for FiftyOne's CSVDataset.

    Parameters
    ----------
    rows : pandas.DataFrame
        What `laid_out` returned.

    Returns
    -------
    pandas.DataFrame
        ``filepath``, relative to the folder; ``tags``: the split, and of a copy ``copy``; ``labels``, and ``missing``,
        those of which nobody knows, as JSON lists, the latter empty where there are none; ``image_id``, ``source_id``
        and ``cluster`` as in the manifest. FiftyOne takes an empty cell as no value.
    """
    missing = _listed(rows, MISSING)
    return pd.DataFrame(
        {
            "filepath": rows["file"],
            "tags": rows["split"].where(rows["source_id"] == "", rows["split"] + " copy"),
            "labels": _listed(rows, 1),
            "missing": missing.mask(missing == "[]", ""),
            "image_id": rows["image_id"],
            "source_id": rows["source_id"],
            "cluster": rows["cluster"],
        }
    )


def absent(rows: pd.DataFrame) -> list[str]:
    """A sentence for each split that has images, but none of a class: torchvision counts what folders there are."""
    folders = {split: set(rows["file"][rows["split"] == split].str.split("/").str[1]) for split in manifest.SPLITS}
    return [
        f"{split} has no image of '{name}', so torchvision counts the classes of its folder in another way. Give it "
        "those of train, as docs/next.md says."
        for split, found in folders.items()
        for name in manifest.label_names(rows)
        if found and folder_name(name) not in found
    ]


def place(rows: pd.DataFrame, folder: Path, *, resized: Path, copies: Path, workers: int) -> None:
    """Put the images where `laid_out` has them, as clones or links where the file system can.

    Parameters
    ----------
    rows : pandas.DataFrame
        What `laid_out` returned.
    folder : Path
        An empty one.
    resized, copies : Path
        Where the originals and the copies are. They are read, and nothing is written through a link to them.
    workers : int
        Processes.

    Raises
    ------
    InputError
        If an image is not there, or not what the manifest says.
    """
    for inner in {(folder / file).parent for file in rows["file"]}:
        inner.mkdir(parents=True, exist_ok=True)
    jobs = [
        _Job((copies if source_id else resized) / path, checksum, folder / file)
        for path, source_id, checksum, file in zip(
            rows["path"], rows["source_id"], rows["checksum"], rows["file"], strict=True
        )
    ]
    for_each(_place, jobs, workers=workers, what="images", name=attrgetter("source"))


@dataclass(frozen=True)
class _Job:
    source: Path
    checksum: str
    target: Path


def _place(job: _Job) -> None:
    codec.content(job.source, job.checksum)
    link_or_copy(job.source, job.target)


def _names(rows: pd.DataFrame) -> dict[str, str]:
    """What `metadata` calls each image: its id, or its file where the sheet gives ids without a suffix."""
    return {
        image_id: image_id if PurePosixPath(image_id).suffix.lower() in codec.SUFFIXES else path
        for image_id, path in zip(rows["image_id"], rows["path"], strict=True)
    }


def _listed(rows: pd.DataFrame, value: int) -> pd.Series:
    """The names of the labels that have a value, as JSON, row by row."""
    labels = manifest.label_names(rows)

    def named(row: Sequence[int]) -> str:
        return json.dumps([name for name, is_so in zip(labels, row, strict=True) if is_so], ensure_ascii=False)

    return pd.Series([named(row) for row in manifest.targets(rows) == value], index=rows.index, dtype="str")
