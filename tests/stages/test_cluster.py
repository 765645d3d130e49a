import json
from pathlib import Path

import pandas as pd

from counterweight.base import manifest
from tests.conftest import CLUSTER, TINY, run_stage
from tests.workspace import write_params


def test_only_train_rows_have_a_cluster(clustered: Path) -> None:
    table = manifest.read(clustered / "features/clusters.csv")
    assert table["cluster"].notna().equals(table["split"] == "train")


def test_clusters_are_numbered_by_size(clustered: Path) -> None:
    table = manifest.read(clustered / "features/clusters.csv")
    metrics = json.loads((clustered / "features/cluster.json").read_text())
    sizes = [int((table["cluster"] == cluster).sum()) for cluster in range(3)]
    assert sizes == sorted(sizes, reverse=True)
    assert metrics["sizes"] == {str(cluster): size for cluster, size in enumerate(sizes)}
    assert 0 < metrics["explained_variance"] <= 1
    assert -1 <= metrics["silhouette"] <= 1


def test_plane_has_two_components_and_a_distance_for_each_train_image(clustered: Path) -> None:
    table = manifest.read(clustered / "features/clusters.csv")
    text = (clustered / "features/plane.csv").read_text()
    plane = pd.read_csv(clustered / "features/plane.csv")
    assert plane.columns.tolist() == ["image_id", "first", "second", "distance"]
    assert plane["image_id"].tolist() == manifest.rows_of_split(table, "train")["image_id"].tolist()
    assert (plane["distance"] >= 0).all()
    assert "-0.0," not in text


def test_more_clusters_than_images_are_an_error(filled: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"cluster.n_clusters": 500})
    result = run_stage(filled, "cluster", *CLUSTER, "--params", str(tmp_path / "params.yaml"), check=False)
    assert result.returncode == 1
    assert "cluster: cluster.n_clusters is 500, and there are 48 train images. Lower it." in result.stderr
