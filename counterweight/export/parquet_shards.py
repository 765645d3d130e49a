"""Shards as Parquet files, in which Hugging Face datasets finds images and classes."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError
from counterweight.export.shards import Sample, Shard

# Images that lie in memory at a time, here and in readers.
_ROWS_PER_GROUP = 100


def require_pyarrow() -> None:
    """Raise InputError if PyArrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError("params.yaml: export.formats: parquet needs pyarrow. Run make parquet.") from None


def write_parquet_shard(folder: Path, shard: Shard) -> None:
    """Write a shard as ``NAME.parquet``, with a row per image.

    The columns are ``image`` (the bytes and the name of the file), ``label`` or, for each label, ``label:NAME`` (1.0,
    0.0, or null if unknown), ``labels``, ``image_id``, ``source_id`` and ``cluster``.
    """
    import pyarrow
    from pyarrow import parquet

    text = pyarrow.string()
    flags = ["label"] if shard.by_class else [f"label:{name}" for name in shard.labels]
    types = {
        "image": pyarrow.struct([("bytes", pyarrow.binary()), ("path", text)]),
        **dict.fromkeys(flags, pyarrow.int64() if shard.by_class else pyarrow.float64()),
        "labels": pyarrow.list_(text), "image_id": text, "source_id": text, "cluster": pyarrow.int64(),
    }  # fmt: skip
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if shard.by_class:
        features["label"] = {"_type": "ClassLabel", "names": list(shard.labels)}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    schema, samples = pyarrow.schema(types.items(), metadata=about), shard.samples()
    with parquet.ParquetWriter(folder / f"{shard.name}.parquet", schema) as writer:
        while group := list(islice(samples, _ROWS_PER_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist([_row(sample, flags) for sample in group], schema))


def _row(sample: Sample, flags: Sequence[str]) -> dict[str, Any]:
    record = dict(sample.record)
    if "targets" in record:
        record |= zip(flags, record.pop("targets"), strict=True)
    return {"image": {"bytes": sample.content, "path": sample.path}, **record}
