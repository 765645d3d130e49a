import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from counterweight.base import manifest
from tests.conftest import AUGMENT, TINY, run_stage
from tests.workspace import run, write_params


def test_every_cluster_has_the_majoritys_count(augmented: Path) -> None:
    before = manifest.read(augmented / "features/clusters.csv")["cluster"].value_counts()
    after = manifest.read(augmented / "augmented/manifest.csv")["cluster"].value_counts()
    assert after.to_dict() == dict.fromkeys(before.index, before.max())


def test_copies_that_were_drawn_again_are_as_many_as_the_metrics_say(clustered: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"augment.quality.min_std": 30.0})
    options = [
        str(clustered / option) if option in {"features/clusters.csv", "data/resized"} else option for option in AUGMENT
    ]
    run_stage(tmp_path, "augment", *options)
    redrawn = pd.read_csv(tmp_path / "augmented/redrawn.csv")
    refused = json.loads((tmp_path / "augmented/augment.json").read_text())["drawn_again"]
    assert redrawn["uniform"].sum() == refused["uniform"] > 0
    assert redrawn["contrast"].sum() == refused["contrast"]
    copies = manifest.read(tmp_path / "augmented/manifest.csv")
    assert set(redrawn["image_id"]) <= set(copies["image_id"][copies["source_id"] != ""])


def test_no_copy_comes_from_a_validation_or_test_image(augmented: Path) -> None:
    table = manifest.read(augmented / "augmented/manifest.csv")
    split_of = table.set_index("image_id")["split"]
    copies = table[table["source_id"] != ""]
    assert len(copies) > 0
    assert set(copies["split"]) == {"train"}
    assert set(split_of[copies["source_id"]]) == {"train"}


def test_a_copy_has_the_labels_of_its_source(augmented: Path) -> None:
    table = manifest.read(augmented / "augmented/manifest.csv").set_index("image_id")
    labels = [column for column in table if column.startswith("label:")]
    copies = table[table["source_id"] != ""]
    assert copies[labels].to_numpy().tolist() == table.loc[copies["source_id"], labels].to_numpy().tolist()


def test_the_folder_holds_the_copies_and_nothing_else(augmented: Path) -> None:
    table = manifest.read(augmented / "augmented/manifest.csv")
    copies = table[table["source_id"] != ""]
    assert sorted(path.name for path in (augmented / "augmented/images").iterdir()) == sorted(copies["path"])
    metrics = json.loads((augmented / "augmented/augment.json").read_text())
    assert metrics["copies"] == len(copies)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_same_bytes_for_any_number_of_workers(workers: str, augmented: Path, tmp_path: Path) -> None:
    options = [
        str(augmented / option) if option in {"features/clusters.csv", "data/resized"} else option for option in AUGMENT
    ]
    write_params(tmp_path / "params.yaml", TINY)
    command = ["python", "-m", "stages.augment", *options]
    run(tmp_path, *command, COUNTERWEIGHT_WORKERS=workers, PYTHONPATH=str(Path(__file__).parent.parent))
    assert digests(tmp_path / "augmented") == digests(augmented / "augmented", leave_out="balanced.xlsx")


def test_a_fraction_of_the_majority_fills_to_that_and_leaves_larger_clusters(clustered: Path, tmp_path: Path) -> None:
    before = manifest.read(clustered / "features/clusters.csv")["cluster"].value_counts()
    write_params(tmp_path / "params.yaml", TINY | {"augment.target": 0.5})
    options = [
        str(clustered / option) if option in {"features/clusters.csv", "data/resized"} else option for option in AUGMENT
    ]
    run_stage(tmp_path, "augment", *options)
    after = manifest.read(tmp_path / "augmented/manifest.csv")["cluster"].value_counts()
    assert after.to_dict() == {cluster: max(size, round(before.max() / 2)) for cluster, size in before.items()}


def digests(folder: Path, leave_out: str = "") -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != leave_out
    }
