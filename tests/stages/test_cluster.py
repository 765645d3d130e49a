import json
from pathlib import Path

from counterweight.base import manifest
from tests.conftest import CLUSTER, TINY, run_stage
from tests.workspace import write_params


def test_train_rows_alone_have_a_cluster(clustered: Path) -> None:
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


def test_more_clusters_than_images_are_an_error(filled: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"cluster.clusters": 500})
    result = run_stage(filled, "cluster", *CLUSTER, "--params", str(tmp_path / "params.yaml"), check=False)
    assert result.returncode == 1
    assert "cluster: cluster.clusters is 500, and there are 48 train images. Lower it." in result.stderr
