import json
import sys
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.export.parquet_shards import require_pyarrow, write_parquet_shard
from counterweight.export.shards import write_shards
from tests.export.test_shards import built, table_of

FILE = "out/train-00000-of-00001.parquet"


def test_a_row_has_the_image_and_what_is_known_of_it(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="make parquet installs it")
    write_shards(built(tmp_path, table_of(tmp_path, train=1)), tmp_path / "out", write_parquet_shard, workers=1)
    assert parquet.read_table(tmp_path / FILE).to_pylist() == [
        {
            "image": {"bytes": (tmp_path / "resized/0.v2.png").read_bytes(), "path": "0.v2.png"},
            "label:sea": 1.0, "label:ice": None, "labels": ["sea"], "image_id": "0.v2", "source_id": "0.v2",
            "cluster": 3,
        }
    ]  # fmt: skip


def test_classes_are_named_in_the_schema(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="make parquet installs it")
    shards = built(tmp_path, table_of(tmp_path, train=1), by_class=True)
    write_shards(shards, tmp_path / "out", write_parquet_shard, workers=1)
    table = parquet.read_table(tmp_path / FILE)
    assert table["label"].to_pylist() == [1]
    assert json.loads(table.schema.metadata[b"huggingface"])["info"]["features"] == {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": ["ice", "sea"]},
    }


def test_without_pyarrow_the_error_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"export\.formats: parquet needs pyarrow\. Run make parquet\."):
        require_pyarrow()
