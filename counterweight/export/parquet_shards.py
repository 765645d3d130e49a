"""Shards as Parquet files, in which Hugging Face datasets finds images and classes."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError
from counterweight.export.shards import Shard
from counterweight.images import codec

# Images that a reader has to read at a time.
_ROWS_PER_GROUP = 100


def require_pyarrow() -> Any:
    """Import PyArrow.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        return import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise InputError(
            "params.yaml: export.formats: parquet needs PyArrow, which is not installed. Run make parquet."
        ) from error


def write_parquet_shard(folder: Path, shard: Shard) -> None:
    """Write a shard as ``NAME.parquet``, with a row per image.

    The columns are ``image`` (the bytes and the name of the file), ``label`` or, for each label, ``label:NAME`` (1.0,
    0.0, or null if unknown), ``labels``, ``image_id``, ``source_id`` and ``cluster``.
    """
    arrow, parquet = require_pyarrow(), import_module("pyarrow.parquet")
    abouts = [sample.about for sample in shard.samples]
    images = [
        {"bytes": sample.read(), "path": about["image_id"] + _suffix(sample.path, about["image_id"])}
        for sample, about in zip(shard.samples, abouts, strict=True)
    ]
    columns: dict[str, Any] = {
        "image": arrow.array(images, arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())]))
    }
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if shard.by_class:
        columns["label"] = arrow.array([about["label"] for about in abouts], arrow.int64())
        features["label"] = {"_type": "ClassLabel", "names": list(shard.labels)}
    else:
        for number, name in enumerate(shard.labels):
            columns[f"label:{name}"] = arrow.array([about["targets"][number] for about in abouts], arrow.float64())
    columns["labels"] = arrow.array([about["labels"] for about in abouts], arrow.list_(arrow.string()))
    for name, kind in (("image_id", arrow.string()), ("source_id", arrow.string()), ("cluster", arrow.int64())):
        columns[name] = arrow.array([about[name] for about in abouts], kind)
    table = arrow.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, folder / f"{shard.name}.parquet", row_group_size=_ROWS_PER_GROUP)


def _suffix(path: Path, image_id: str) -> str:
    """Return the suffix of the file, unless the id has that of an image."""
    return "" if Path(image_id).suffix.lower() in codec.SUFFIXES else path.suffix
