import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from counterweight.images import codec
from counterweight.report.arm_results import Arm
from counterweight.report.browse_data import browse_data, embed, rarest_first

LABELS = ("cat", "dog")


@dataclass
class Answers:
    """An arm that gives each image the labels of this table."""

    given: dict[str, list[int]]

    def scores_of(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        scores = [[0.9 if label in self.given[name] else 0.2 for label in (0, 1)] for name in rows["image_id"]]
        return np.array(scores).reshape(-1, 2)

    def predictions(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        return self.scores_of(rows) > 0.5


def manifest_of(folder: Path, rows: list[tuple[str, str, str, str, tuple[int, int]]]) -> pd.DataFrame:
    """A manifest of image ids, splits, sources, clusters and targets, whose images lie in a folder."""
    folder.mkdir(exist_ok=True)
    table = []
    for name, split, source, cluster, (cat, dog) in rows:
        pixels = np.full((24, 32, 3), 50 + len(table), dtype=np.uint8)
        checksum = codec.write(pixels, folder / f"{name}.png", "png")
        table.append([name, f"{name}.png", split, source, cluster, cat, dog, checksum])
    columns = ["image_id", "path", "split", "source_id", "cluster", "label:cat", "label:dog", "checksum"]
    return pd.DataFrame(table, columns=columns)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """What the page gets of three train images, one of them copied twice, and two test images."""
    originals = [
        ("a", "train", "", "0", (1, 0)), ("b", "train", "", "0", (1, -1)), ("c", "train", "", "1", (0, 1)),
        ("x", "test", "", "", (1, 0)), ("y", "test", "", "", (0, 1)),
    ]  # fmt: skip
    copies = [("c+1", "train", "c", "1", (0, 1)), ("c+2", "train", "c", "1", (0, 1))]
    before = manifest_of(tmp_path / "images", originals)  # type: ignore[arg-type]
    after = manifest_of(tmp_path / "copies", [*originals, *copies])  # type: ignore[arg-type]
    arms = {"nothing": Answers({"x": [0], "y": [0]}), "copies": Answers({"x": [0, 1], "y": [0]})}
    issues = pd.DataFrame({"image_id": ["b", "b"], "issue": ["missing", "surplus"], "label": ["dog", "cat"]})
    features = np.array([[1.0, 0.0], [0.8, 0.3], [0.0, 1.0]])
    section = browse_data(
        before, after, cast("dict[str, Arm]", arms), issues, features, {0: "0", 1: "1 (night)"},
        folders=(tmp_path / "images", tmp_path / "copies"), max_images=20,
    )  # fmt: skip
    assert section["hardest"] == "label=1&split=test&answer=wrong:1"
    assert list(section["positions"]) == ["a", "b", "c", "x", "y", "c+1", "c+2"]
    return dict(json.loads(section["data"]))


def test_labels_arms_and_images_have_their_names(data: dict[str, Any]) -> None:
    assert (data["labels"], data["arms"]) == (["cat", "dog"], ["nothing", "copies"])
    assert data["clusters"] == {"0": "0", "1": "1 (night)"}
    assert [image["name"] for image in data["images"]] == ["a", "b", "c", "x", "y", "c+1", "c+2"]


def test_an_image_has_its_labels_cluster_and_doubts(data: dict[str, Any]) -> None:
    image = data["images"][1]
    assert (image["labels"], image["unknown"], image["cluster"]) == ([0], [1], 0)
    assert image["doubts"] == ["missing dog", "surplus cat"]
    assert image["picture"].startswith("data:image/jpeg;base64,")
    assert (image["answers"], image["source"]) == ([], None)


def test_a_copy_names_its_source(data: dict[str, Any]) -> None:
    assert [data["images"][i]["source"] for i in (5, 6)] == [2, 2]
    assert data["images"][5]["doubts"] == []


def test_a_test_image_has_what_each_arm_answers(data: dict[str, Any]) -> None:
    image = data["images"][3]
    assert image["answers"] == [
        {"labels": [0], "scores": [[0, 0.9], [1, 0.2]]},
        {"labels": [0, 1], "scores": [[0, 0.9], [1, 0.9]]},
    ]
    assert image["cluster"] is None


def test_neighbors_are_the_likest_train_images_first(data: dict[str, Any]) -> None:
    assert [data["images"][i]["near"] for i in (0, 1, 2)] == [[1, 2], [0, 2], [1, 0]]


def test_rare_labels_come_as_early_as_common_ones() -> None:
    targets = np.array([[1, 0, 0]] * 6 + [[0, 1, 0]] * 2 + [[1, 0, 1]])
    nobody = np.zeros(9, dtype=np.bool_)
    assert rarest_first(targets, nobody, 3).tolist() == [0, 6, 8]
    assert rarest_first(targets, nobody, 5).tolist() == [0, 1, 6, 7, 8]
    assert rarest_first(targets, nobody, 20).tolist() == list(range(9))
    many = np.concatenate([np.repeat(np.eye(20, dtype=int)[:19], 2, axis=0), np.eye(20, dtype=int)[19:]])
    assert rarest_first(many, np.zeros(39, dtype=np.bool_), 2).tolist() == [0, 38]


def test_images_to_choose_first_are_at_most_half() -> None:
    targets = np.array([[1]] * 8)
    first = np.array([False] * 4 + [True] * 4)
    assert rarest_first(targets, first, 4).tolist() == [0, 1, 4, 5]


def test_nothing_in_the_data_looks_like_a_tag() -> None:
    section = embed({"labels": ["</script><b>"]}, "")
    assert "<" not in section["data"]
    assert json.loads(section["data"]) == {"labels": ["</script><b>"]}


def test_no_image_is_wanted() -> None:
    none = pd.DataFrame()
    section = browse_data(none, none, {}, none, np.empty((0, 0)), {}, folders=(Path(), Path()), max_images=0)
    assert list(section.values()) == ["", "", "", "", {}]
