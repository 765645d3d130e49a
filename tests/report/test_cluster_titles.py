import pandas as pd
import pytest

from counterweight.base.errors import InputError
from counterweight.report.cluster_titles import cluster_titles

TABLE = pd.DataFrame(
    {
        "image_id": ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        "split": ["train", "train", "train", "test"],
        "source_id": "",
        "cluster": pd.array([1, 0, 1, None], dtype="Int64"),
    }
)


def test_a_cluster_has_the_names_of_its_images() -> None:
    assert cluster_titles(TABLE, {"night": "c.jpg"}) == {0: "0", 1: "1 (night)"}
    assert cluster_titles(TABLE, {"night": "c.jpg", "dusk": "a.jpg"}) == {0: "0", 1: "1 (night, dusk)"}


def test_a_name_stays_with_its_image_when_clusters_are_numbered_anew() -> None:
    again = TABLE.assign(cluster=pd.array([0, 1, 0, None], dtype="Int64"))
    assert cluster_titles(again, {"night": "c.jpg"}) == {0: "0 (night)", 1: "1"}


def test_without_names_a_cluster_is_its_number() -> None:
    assert cluster_titles(TABLE, {}) == {0: "0", 1: "1"}


def test_an_image_that_is_in_no_cluster_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        cluster_titles(TABLE, {"night": "d.jpg", "dusk": "e.jpg"})
    assert str(error.value).splitlines()[:2] == [
        "params.yaml: 2 problems",
        "  report.cluster_names: 'd.jpg', which stands for 'night', is no train image. Give one of the cluster's most "
        "typical images, as the report shows them.",
    ]
