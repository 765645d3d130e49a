import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.networks.backbones import build_model
from tests.conftest import FEATURES, INGEST, LEAKS, RESIZE, TINY, make_tiny_data, run_stage
from tests.workspace import write_params

FROM_FILE = TINY | {"features.weights": "weights.safetensors"}


@pytest.fixture(scope="module")
def with_features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after features by weights from a file, in which a test image is a train image, mirrored."""
    folder = tmp_path_factory.mktemp("leaks") / "project"
    make_tiny_data(folder, train=160)
    torch.manual_seed(0)
    save_file(build_model("resnet18").state_dict(), folder / "weights.safetensors")
    write_params(folder / "params.yaml", FROM_FILE)
    run_stage(folder, "ingest", *INGEST)
    run_stage(folder, "resize", *RESIZE)
    table = manifest.read(folder / "data/resized.csv")
    source, target = (manifest.rows_of_split(table, split).iloc[0] for split in ("train", "test"))
    copy = np.ascontiguousarray(codec.read(folder / "data/resized" / source["path"])[:, ::-1])
    table.loc[table["image_id"] == target["image_id"], "checksum"] = codec.write(
        copy, folder / "data/resized" / target["path"], "jpg"
    )
    manifest.write(table, folder / "data/resized.csv")
    run_stage(folder, "features", *FEATURES)
    return folder


@pytest.fixture
def leaking(with_features: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(with_features, tmp_path / "project"))


def test_a_test_image_that_is_a_train_image_mirrored_is_found(leaking: Path) -> None:
    log = run_stage(leaking, "leaks", *LEAKS).stderr
    found = pd.read_csv(leaking / "features/leaks.csv", dtype={"image_id": "str", "train_image_id": "str"})
    table = manifest.read(leaking / "data/resized.csv")
    source, target = (manifest.rows_of_split(table, split)["image_id"].iloc[0] for split in ("train", "test"))
    assert found.set_index("image_id").loc[target, ["split", "train_image_id", "mirrored"]].tolist() == [
        "test",
        source,
        1,
    ]
    assert found["cosine"].is_monotonic_decreasing
    assert (
        f"most of all '{found.loc[0, 'image_id']}' of {found.loc[0, 'split']} and '{found.loc[0, 'train_image_id']}'"
        in log
    )
    assert "Look at them (features/leaks.csv): where both show the same, results are too good, so give both one" in log
    metrics = json.loads((leaking / "features/leaks.json").read_text())
    assert metrics == {"compared": 53, "held_out": 53, "similar": len(found)}
    assert len(found) < 15


def test_at_most_so_many_images_are_compared(leaking: Path) -> None:
    write_params(leaking / "params.yaml", FROM_FILE | {"leaks.max_images": 5})
    assert "leaks: 5 of 53 val and test images compared with train" in run_stage(leaking, "leaks", *LEAKS).stderr


def test_random_features_find_none_and_it_says_so(searched: Path) -> None:
    assert (searched / "features/leaks.csv").read_text() == "image_id,split,train_image_id,cosine,mirrored\n"
    log = run_stage(searched, "leaks", *LEAKS).stderr
    assert "leaks: weights are random: such features cannot tell what is the same picture, so none is looked for" in log
    assert "leaks: 0 of 32 val and test images compared with train, 0 similar to one" in log


def test_null_looks_for_none(leaking: Path) -> None:
    write_params(leaking / "params.yaml", FROM_FILE | {"leaks.min_cosine": None})
    log = run_stage(leaking, "leaks", *LEAKS).stderr
    assert "leaks: 0 of 53 val and test images compared" in log
    assert "random" not in log


def test_few_train_images_cannot_tell_and_it_says_so(searched: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(searched, folder)
    torch.manual_seed(0)
    save_file(build_model("resnet18").state_dict(), folder / "weights.safetensors")
    write_params(folder / "params.yaml", FROM_FILE)
    log = run_stage(folder, "leaks", *LEAKS).stderr
    assert "leaks: 48 train images are too few to tell what is similar, so nothing is looked for" in log
