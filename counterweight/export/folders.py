"""Export the balanced dataset as a folder for Hugging Face datasets, torchvision and FiftyOne.

Hugging Face's imagefolder reads ``metadata.csv`` with pandas, some thousand rows at a time, infers column types from
each chunk, and fails if they differ. So each column reads as the same type whatever its rows: image names have their
suffix (0017 alone would be a number, and NA missing), label names are JSON, label columns hold 0.0 and 1.0 (integers
next to an empty cell would become floats), and no other column has empty cells.
"""

import json
import re
from operator import itemgetter
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.errors import raise_problems
from counterweight.base.manifest import LABEL, MISSING
from counterweight.images import codec
from counterweight.runtime.file_links import link_or_copy
from counterweight.runtime.parallel import parallel_map

# Maximum length of a file or folder name.
MAX_NAME_BYTES = 255

# Characters that a folder name cannot have, or that would hide it; and a % that would be read as an escape.
_UNSAFE = re.compile(r"[/\\\x00-\x1f]|^\.|%(?=[0-9A-Fa-f]{2})")


def layout(table: pd.DataFrame, *, by_class: bool) -> pd.DataFrame:
    """Add a column ``file`` with the path of each image in the folder.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest with copies.
    by_class : bool
        Whether each split has one folder per class. This requires exactly one label per image; images whose class is
        missing are left out.

    Returns
    -------
    pandas.DataFrame
        The rows with ``file``: ``SPLIT/PATH``, or ``SPLIT/CLASS/NAME``. NAME is the file name, or, if two images in a
        folder would have the same one, the whole path with ``%2F`` for slashes.

    Raises
    ------
    InputError
        If a label or path is too long for a file name.
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
            f"'{part}' has {len(part.encode())} bytes, more than the {MAX_NAME_BYTES} of a file or folder name. Give "
            "the class, or the image and its folders, a shorter name."
            for part in sorted({part for file in files for part in file.split("/")})
            if len(part.encode()) > MAX_NAME_BYTES
        ],
        "data.sheet",
    )
    return rows.assign(file=files)


def folder_name(label: str) -> str:
    """Escape a label as a folder name, which `urllib.parse.unquote` reverts.

    Examples
    --------
    >>> folder_name("a dog, 100% été"), folder_name("sea/beach"), folder_name("..")
    ('a dog, 100% été', 'sea%2Fbeach', '%2E.')
    """
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", label)


def metadata(rows: pd.DataFrame, split: str, *, by_class: bool) -> pd.DataFrame:
    """Return the ``metadata.csv`` of a split, for Hugging Face's imagefolder.

    Parameters
    ----------
    rows, by_class : pandas.DataFrame, bool
        A table that `layout` returned, and its ``by_class``.
    split : str
        The split.

    Returns
    -------
    pandas.DataFrame
        ``file_name``, relative to the split's folder; ``label``, the class index in the order of the folder names, as
        in torchvision, or ``label:NAME`` for each label: 1.0, 0.0, or empty if unknown; ``labels``, the names as a JSON
        list; ``image_id`` and ``source_id``, with the file's suffix (the source of an original is itself); and
        ``cluster``, which is -1 outside train.
    """
    chosen = manifest.rows_of_split(rows, split)
    labels, targets = manifest.label_names(rows), manifest.targets(chosen)
    names = {
        image_id: image_id if PurePosixPath(image_id).suffix.lower() in codec.SUFFIXES else path
        for image_id, path in zip(rows["image_id"], rows["path"], strict=True)
    }
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


def fiftyone_samples(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the samples of all splits in a table that `layout` returned, for FiftyOne's CSVDataset.

    Returns
    -------
    pandas.DataFrame
        ``filepath``, relative to the folder; ``tags``: the split, and ``copy`` for copies; ``labels`` and ``missing``
        (the unknown labels) as JSON lists, the latter empty if there are none; ``image_id``, ``source_id`` and
        ``cluster`` as in the manifest. FiftyOne reads an empty cell as no value.
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


def missing_class_warnings(rows: pd.DataFrame) -> list[str]:
    """Warn of splits without any image of a class, because torchvision numbers the folders that exist."""
    folders = {split: set(rows["file"][rows["split"] == split].str.split("/").str[1]) for split in manifest.SPLITS}
    return [
        f"{split} has no image of '{name}', so torchvision numbers its classes differently. Give it the classes of "
        "train, as docs/next.md shows."
        for split, classes in folders.items()
        for name in manifest.label_names(rows)
        if classes and folder_name(name) not in classes
    ]


def link_images(rows: pd.DataFrame, folder: Path, *, resized: Path, copies: Path, workers: int) -> None:
    """Place the images in an empty folder, as clones or links if the file system supports them.

    Parameters
    ----------
    rows : pandas.DataFrame
        A table that `layout` returned.
    folder, resized, copies : Path
        The folder to fill, and the folders of the originals and of the copies.
    workers : int
        Number of processes.

    Raises
    ------
    InputError
        If an image is missing, or its checksum differs from the manifest's.
    """
    for inner in {(folder / file).parent for file in rows["file"]}:
        inner.mkdir(parents=True, exist_ok=True)
    jobs = [
        ((copies if source_id else resized) / path, checksum, folder / file)
        for path, source_id, checksum, file in zip(
            rows["path"], rows["source_id"], rows["checksum"], rows["file"], strict=True
        )
    ]
    parallel_map(_link_image, jobs, workers=workers, what="images", name=itemgetter(0))


def _link_image(job: tuple[Path, str, Path]) -> None:
    source, checksum, target = job
    codec.read_bytes(source, checksum)
    link_or_copy(source, target)


def _listed(rows: pd.DataFrame, value: int) -> pd.Series:
    """Return the names of each row's labels that have a value, as JSON."""
    labels = np.array(manifest.label_names(rows), dtype=object)
    names = [json.dumps(labels[row].tolist(), ensure_ascii=False) for row in manifest.targets(rows) == value]
    return pd.Series(names, index=rows.index, dtype="str")
