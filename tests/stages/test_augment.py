import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from counterweight.augmentation.allocation import allocate_copies
from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics import imbalance
from counterweight.networks.backbones import Backbone
from counterweight.networks.inference import Compute, extract_features
from counterweight.networks.loader import ImageFiles, Preprocessing
from tests.conftest import AUGMENT, SHEET, TINY
from tests.workspace import PROJECT, run, write_params


def augment(state: Path, folder: Path, changes: dict[str, Any], **environment: str) -> str:
    """Run the stage in an empty folder on the inputs of another one; return its log."""
    write_params(folder / "params.yaml", TINY | changes)
    inputs = {"features/clusters.csv", "features/features.npy", "data/duplicates.csv", "data/resized"}
    options = [str(state / option) if option in inputs else option for option in AUGMENT]
    return run(folder, "python", "-m", "stages.augment", *options, PYTHONPATH=str(PROJECT), **environment).stderr


def test_every_cluster_gets_the_count_of_the_largest(augmented: Path) -> None:
    before = manifest.read(augmented / "features/clusters.csv")["cluster"].value_counts()
    after = manifest.read(augmented / "augmented/manifest.csv")["cluster"].value_counts()
    assert after.to_dict() == dict.fromkeys(before.index, before.max())


def test_rejected_draws_are_as_many_as_the_metrics_say(clustered: Path, tmp_path: Path) -> None:
    augment(clustered, tmp_path, {"augment.quality.min_std": 30.0})
    draws = pd.read_csv(tmp_path / "augmented/copies.csv")
    rejected = json.loads((tmp_path / "augmented/augment.json").read_text())["rejected_draws"]
    assert draws["uniform"].sum() == rejected["uniform"] > 0
    assert draws["contrast"].sum() == rejected["contrast"]
    table = manifest.read(tmp_path / "augmented/manifest.csv")
    assert draws["image_id"].tolist() == table["image_id"][table["source_id"] != ""].tolist()


def test_no_copy_comes_from_a_validation_or_test_image(augmented: Path) -> None:
    table = manifest.read(augmented / "augmented/manifest.csv")
    splits = table.set_index("image_id")["split"]
    copies = table[table["source_id"] != ""]
    assert len(copies) > 0
    assert set(copies["split"]) == {"train"}
    assert set(splits[copies["source_id"]]) == {"train"}


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


def test_the_table_of_each_arm_has_the_copies_if_it_is_named_after_them_and_no_clusters(augmented: Path) -> None:
    balanced = manifest.read(augmented / "augmented/manifest.csv")
    tables = {path.stem: manifest.read(path) for path in (augmented / "augmented/arms").iterdir()}
    assert sorted(tables) == ["copies", "copies+weights", "nothing", "weights"]
    originals = balanced[balanced["source_id"] == ""]
    assert len(originals) < len(balanced)
    for arm, table in tables.items():
        rows = balanced if arm.startswith("copies") else originals
        assert table["cluster"].isna().all()
        expected = rows.drop(columns="cluster").reset_index(drop=True)
        pd.testing.assert_frame_equal(table.drop(columns="cluster"), expected)


def test_other_clusters_that_lead_to_the_same_copies_change_no_table_of_an_arm(
    augmented: Path, clustered: Path, tmp_path: Path
) -> None:
    """Clusters 0 and 1 change their names."""
    (tmp_path / "features").mkdir()
    table = manifest.read(clustered / "features/clusters.csv")
    table["cluster"] = table["cluster"].replace({0: 1, 1: 0})
    manifest.write(table, tmp_path / "features/clusters.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/resized").symlink_to(clustered / "data/resized")
    shutil.copy(clustered / "features/features.npy", tmp_path / "features")
    augment(tmp_path, tmp_path, {})
    assert digests(tmp_path / "augmented/arms") == digests(augmented / "augmented/arms")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_same_bytes_for_any_number_of_workers(workers: str, augmented: Path, tmp_path: Path) -> None:
    augment(augmented, tmp_path, {}, COUNTERWEIGHT_WORKERS=workers)
    assert digests(tmp_path / "augmented") == digests(augmented / "augmented", leave_out="balanced.xlsx")


def test_target_that_is_a_fraction_leaves_larger_clusters_unchanged(clustered: Path, tmp_path: Path) -> None:
    before = manifest.read(clustered / "features/clusters.csv")["cluster"].value_counts()
    augment(clustered, tmp_path, {"augment.target": 0.5})
    after = manifest.read(tmp_path / "augmented/manifest.csv")["cluster"].value_counts()
    assert after.to_dict() == {cluster: max(size, round(before.max() / 2)) for cluster, size in before.items()}


def test_undersampling_leaves_redundant_images_out_of_the_arms_with_copies(clustered: Path, tmp_path: Path) -> None:
    before = manifest.read(clustered / "features/clusters.csv")
    smallest = before["cluster"].value_counts().min()
    log = augment(clustered, tmp_path, {"augment.resampling": "under", "augment.target": "minority"})
    table = manifest.read(tmp_path / "augmented/manifest.csv")
    train = manifest.rows_of_split(table, "train")
    assert train["cluster"].value_counts().to_dict() == dict.fromkeys(range(3), smallest)
    n_left_out = int((table["split"] == "unused").sum())
    assert n_left_out == len(before[before["split"] == "train"]) - 3 * smallest
    assert f"augment: 0 copies by clusters, 0 redrawn, {n_left_out} images left out" in log
    assert json.loads((tmp_path / "augmented/augment.json").read_text())["left_out"] == n_left_out
    rows = {arm: manifest.read(tmp_path / f"augmented/arms/{arm}.csv") for arm in ("nothing", "copies")}
    assert rows["nothing"]["image_id"].tolist() == before["image_id"].tolist()
    assert rows["copies"]["image_id"].tolist() == table["image_id"][table["split"] != "unused"].tolist()
    # The sheet has them all, and says which are unused.
    write_params(tmp_path / "params.yaml", TINY)
    sheet = ["--sheet", str(clustered / "labels.xlsx"), *SHEET[2:]]
    run(tmp_path, "python", "-m", "stages.sheet", *sheet, PYTHONPATH=str(PROJECT))
    written = pd.read_excel(tmp_path / "augmented/balanced.xlsx", engine="openpyxl")
    assert (written["split"] == "unused").sum() == n_left_out


def test_both_fills_and_reduces_to_one_size(clustered: Path, tmp_path: Path) -> None:
    sizes = manifest.read(clustered / "features/clusters.csv")["cluster"].value_counts()
    target = int(sizes.max() + sizes.min()) // 2
    augment(clustered, tmp_path, {"augment.resampling": "both", "augment.target": target})
    table = manifest.read(tmp_path / "augmented/manifest.csv")
    balanced = manifest.rows_of_split(table, "train")["cluster"].value_counts()
    assert balanced.to_dict() == dict.fromkeys(range(3), target)
    unused = set(table["image_id"][table["split"] == "unused"])
    assert len(unused) == (sizes - target).clip(lower=0).sum() > 0
    assert not unused & set(table["source_id"])


def test_params_of_the_allocation_reach_the_copies(clustered: Path, tmp_path: Path) -> None:
    changes = {"augment.fill_smallest": 1, "augment.copies_per_image": 2, "augment.seed": 5}
    log = augment(clustered, tmp_path, changes)
    before = manifest.read(clustered / "features/clusters.csv")
    sizes = before["cluster"].value_counts()
    smallest = before["image_id"][before["cluster"] == 2].tolist()
    expected = allocate_copies(smallest, sizes[0] - sizes[2], seed=5, max_per_image=2)
    table = manifest.read(tmp_path / "augmented/manifest.csv")
    copies = table[table["source_id"] != ""]
    assert Counter(copies["source_id"]) == Counter(copy.source_id for copy in expected)
    assert f"augment: {len(expected)} copies by clusters" in log


def test_metrics_and_label_table_describe_the_train_images_before_and_after(augmented: Path) -> None:
    before, after = (
        manifest.rows_of_split(manifest.read(augmented / path), "train")
        for path in ("features/clusters.csv", "augmented/manifest.csv")
    )
    metrics = json.loads((augmented / "augmented/augment.json").read_text())
    assert metrics["sizes"] == {str(cluster): int((after["cluster"] == cluster).sum()) for cluster in range(3)}
    assert metrics["unfit_images"] == 0
    assert metrics["before"] == imbalance.summary(manifest.targets(before))
    assert metrics["after"] == imbalance.summary(manifest.targets(after))
    labels = pd.read_csv(augmented / "augmented/labels.csv")
    assert labels["before_count"].tolist() == manifest.targets(before).sum(axis=0).tolist()
    assert labels["after_count"].tolist() == manifest.targets(after).sum(axis=0).tolist()


BLUR = {
    "augment.pipeline": "blur",
    "augment.pipelines": {"blur": [{"Sometimes": {"p": 0.7, "then_list": [{"GaussianBlur": {"sigma": 20.0}}]}}]},
    "augment.quality": {"min_std": 0.0, "min_contrast": 0.0, "max_draws": 1},
    "augment.strategy": "classes",
    "resize.format": "png",
    "data.task": "binary",
    "features.weights": "weights.safetensors",
}


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty smooth and twelve striped images, and random weights, which see stripes; heavy blur removes them."""
    folder = tmp_path_factory.mktemp("striped")
    rng = np.random.default_rng(0)
    names = [f"{i:02}.png" for i in range(72)]
    striped = [i >= 60 for i in range(72)]
    checksums = []
    for name, has_stripes in zip(names, striped, strict=True):
        stripes = 100 * (np.arange(32) // 4 % 2)[None, :, None] if has_stripes else 50
        pixels = np.clip(rng.normal(80, 4, (32, 32, 3)) + rng.integers(0, 60) + stripes, 0, 255).astype(np.uint8)
        checksums.append(codec.write(pixels, folder / "data/resized" / name, "png"))
    targets = np.array([[has_stripes, not has_stripes] for has_stripes in striped], dtype=np.int8)
    splits, labels, clusters = ["train"] * 72, ["striped", "smooth"], [0] * 72
    table = manifest.build(names, names, splits, labels, targets, checksums, clusters=clusters)
    manifest.write(table, folder / "features/clusters.csv")
    pd.DataFrame({"image_id": [], "tied": [], "group": []}).to_csv(folder / "data/duplicates.csv", index=False)
    torch.manual_seed(0)
    body = Backbone("resnet18", "layer1", (224, 224))
    save_file(body.trunk.state_dict(), folder / "weights.safetensors")
    files = ImageFiles.of_rows(table, folder / "data/resized")
    rows = extract_features(body, files, Preprocessing("none", (224, 224)), Compute(torch.device("cpu"), 0))
    np.save(folder / "features/features.npy", rows)
    return folder


def blurred_copies(folder: Path) -> int:
    """Count copies whose columns hardly differ any more."""
    return sum(np.ptp(codec.read(path).mean(axis=(0, 2))) < 50 for path in (folder / "augmented/images").glob("*.png"))


def augment_striped(striped: Path, folder: Path, guard: dict[str, Any] | None, **environment: str) -> str:
    changes = BLUR | {"augment.guard": guard, "features.weights": str(striped / "weights.safetensors")}
    return augment(striped, folder, changes, **environment)


GUARD = {"min_score": 0.9, "min_similarity": 0.5, "max_draws": 2, "fallback": "plain"}


@pytest.fixture(scope="module")
def guarded(striped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copies of the striped images with the guard, by two workers and without a cache."""
    folder = tmp_path_factory.mktemp("guarded")
    augment_striped(striped, folder, GUARD, COUNTERWEIGHT_WORKERS="2", COUNTERWEIGHT_CACHE_GB="0")
    return folder


def test_copies_that_hide_their_label_are_drawn_again_by_the_guard(
    striped: Path, guarded: Path, tmp_path: Path
) -> None:
    augment_striped(striped, tmp_path, None)
    assert blurred_copies(tmp_path) > 20
    assert blurred_copies(guarded) == 0


def test_draws_that_the_guard_rejects_are_counted(guarded: Path) -> None:
    metrics = json.loads((guarded / "augmented/augment.json").read_text())
    draws = pd.read_csv(guarded / "augmented/copies.csv")
    assert metrics["copies"] == len(draws) == 48
    assert metrics["redrawn"] == (draws["labels"] > 0).sum()
    assert metrics["rejected_draws"]["labels"] == draws["labels"].sum() > 20
    assert metrics["by_fallback"] == draws["by_fallback"].sum() > 5
    assert metrics["hide_labels"] == 0
    assert draws["shown"].min() >= 1
    assert pd.read_csv(guarded / "augmented/hidden_labels.csv").empty


@pytest.mark.slow
def test_without_a_fallback_the_copies_that_hide_their_labels_are_counted(striped: Path, tmp_path: Path) -> None:
    log = augment_striped(striped, tmp_path, GUARD | {"fallback": None})
    metrics = json.loads((tmp_path / "augmented/augment.json").read_text())
    assert metrics["hide_labels"] == blurred_copies(tmp_path) > 0
    assert f"{metrics['hide_labels']} of 48 copies hide a label in every draw; the best draw of each is kept" in log


@pytest.mark.parametrize("runs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_guard_comes_to_the_same_bytes_by_one_worker_and_from_the_cache(
    runs: int, striped: Path, guarded: Path, tmp_path: Path
) -> None:
    for number in range(runs):
        folder = tmp_path / str(number)
        folder.mkdir()
        cache = {"COUNTERWEIGHT_CACHE": str(tmp_path / "cache"), "COUNTERWEIGHT_CACHE_GB": "1"}
        augment_striped(striped, folder, GUARD, COUNTERWEIGHT_WORKERS="1", **cache)
        assert digests(folder / "augmented") == digests(guarded / "augmented")


def test_random_weights_switch_the_guard_off_and_say_so(clustered: Path, augmented: Path, tmp_path: Path) -> None:
    log = augment(clustered, tmp_path, {"augment.guard": GUARD})
    assert (
        "augment.guard is off: features of random weights show color and texture, but no labels. Set features.weights"
        in log
    )
    assert digests(tmp_path / "augmented") == digests(augmented / "augmented", leave_out="balanced.xlsx")


def digests(folder: Path, leave_out: str = "") -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != leave_out
    }
