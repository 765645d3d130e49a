import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.networks.backbones import build_model
from tests.conftest import FEATURES, LEAKS, TINY, run_stage
from tests.workspace import write_params


@pytest.fixture
def leaking(resized: Path, tmp_path: Path) -> Path:
    """The tiny folder with weights from a file, in which a test image is a train image, mirrored and cropped."""
    folder = tmp_path / "project"
    shutil.copytree(resized, folder)
    torch.manual_seed(0)
    save_file(build_model("resnet18").state_dict(), folder / "weights.safetensors")
    write_params(folder / "params.yaml", TINY | {"features.weights": "weights.safetensors"})
    table = manifest.read(folder / "data/resized.csv")
    source, target = (manifest.rows_of_split(table, split).iloc[0] for split in ("train", "test"))
    pixels = codec.read(folder / "data/resized" / source["path"])[1:-1, -2:0:-1]
    copy = np.ascontiguousarray(cv2.resize(pixels, (32, 32)))
    table.loc[table["image_id"] == target["image_id"], "checksum"] = codec.write(
        copy, folder / "data/resized" / target["path"], "jpg"
    )
    manifest.write(table, folder / "data/resized.csv")
    run_stage(folder, "features", *FEATURES)
    return folder


def test_a_test_image_that_shows_a_train_image_cropped_and_mirrored_is_found(leaking: Path) -> None:
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
    assert "if they show the same, results are too good; see features/leaks.csv" in log
    metrics = json.loads((leaking / "features/leaks.json").read_text())
    assert metrics == {"compared": 32, "held_out": 32, "similar": len(found)}


def test_at_most_so_many_images_are_compared(leaking: Path) -> None:
    write_params(leaking / "params.yaml", TINY | {"features.weights": "weights.safetensors", "leaks.max_images": 5})
    assert "leaks: 5 of 32 val and test images compared with train" in run_stage(leaking, "leaks", *LEAKS).stderr


def test_random_features_find_none_and_it_says_so(searched: Path) -> None:
    assert (searched / "features/leaks.csv").read_text() == "image_id,split,train_image_id,cosine,mirrored\n"
    log = run_stage(searched, "leaks", *LEAKS).stderr
    assert "leaks: weights are random: such features cannot tell what is the same picture, so none is looked for" in log
    assert "leaks: 0 of 32 val and test images compared with train, 0 similar to one" in log


def test_null_looks_for_none(leaking: Path) -> None:
    changes = {"features.weights": "weights.safetensors", "leaks.min_cosine": None}
    write_params(leaking / "params.yaml", TINY | changes)
    log = run_stage(leaking, "leaks", *LEAKS).stderr
    assert "leaks: 0 of 32 val and test images compared" in log
    assert "random" not in log
