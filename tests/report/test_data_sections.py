import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.report.data_sections import clusters_section, copies_section, labels_section


def table_of(folder: Path, rows: list[tuple[str, str, str, int | None, list[int]]]) -> pd.DataFrame:
    """A manifest of gray images from their id, split, source, cluster and labels, sea and ice."""
    folder.mkdir(exist_ok=True)
    sums = [
        codec.write(np.full((16, 16, 3), 10 * i, np.uint8), folder / name, "png") for i, (name, *_) in enumerate(rows)
    ]
    table = pd.DataFrame(rows, columns=["image_id", "split", "source_id", "cluster", "labels"])
    labels = np.array(table.pop("labels").tolist())
    table["cluster"] = table["cluster"].astype("Int64")
    table.insert(1, "path", table["image_id"])
    return table.assign(**{"label:sea": labels[:, 0], "label:ice": labels[:, 1], "checksum": sums}).sort_values(
        "image_id", ignore_index=True
    )


BEFORE = [
    ("a.png", "train", "", 0, [1, 0]),
    ("b.png", "train", "", 0, [1, 1]),
    ("c.png", "train", "", 0, [1, 0]),
    ("d.png", "train", "", 1, [1, 0]),
    ("e.png", "test", "", None, [1, 1]),
    ("f.png", "val", "", None, [0, 1]),
]
COPIES = [("d__copy1.png", "train", "d.png", 1, [1, 0]), ("d__copy2.png", "train", "d.png", 1, [1, 0])]


@pytest.fixture
def before(tmp_path: Path) -> pd.DataFrame:
    return table_of(tmp_path / "resized", BEFORE)


@pytest.fixture
def after(tmp_path: Path) -> pd.DataFrame:
    table_of(tmp_path / "copies", COPIES)
    whole = table_of(tmp_path / "resized", BEFORE + COPIES)
    sums = {name: codec.checksum((tmp_path / "copies" / name).read_bytes()) for name, *_ in COPIES}
    return whole.assign(checksum=whole["image_id"].map(sums).fillna(whole["checksum"]))


def test_labels_are_counted_per_split_the_commonest_first(before: pd.DataFrame, after: pd.DataFrame) -> None:
    section = labels_section(before, after)
    assert section["rows"] == [["sea", 4, 6, 0, 1, "1.00", "1.00"], ["ice", 1, 1, 1, 1, "4.00", "6.00"]]


def test_rarer_labels_and_few_test_images_are_warned_of(before: pd.DataFrame, after: pd.DataFrame) -> None:
    rarer, *few = labels_section(before, after)["warnings"]
    assert rarer.startswith("Label 'ice' got relatively rarer: IRLbl 4.00 before, 6.00 after.")
    assert few == ["Labels with fewer than 10 test images can hardly be judged: 'sea' (1), 'ice' (1)."]


def test_only_the_commonest_and_rarest_of_thousands_of_labels_are_listed(tmp_path: Path) -> None:
    names = [f"{i:04}" for i in range(3_000)]
    targets = np.eye(3_000, dtype=np.int8)
    ids = [f"{i:04}.png" for i in range(3_000)]
    table = manifest.build(ids, ids, ["train"] * 3_000, names, targets, [""] * 3_000)
    section = labels_section(table, table)
    assert [row[0] for row in section["rows"]] == [*names[:250], *names[-250:]]
    assert section["note"].startswith("The table lists the 250 commonest and the 250 rarest of 3,000 labels")
    assert section["warnings"][0].endswith("'0008' (0), '0009' (0) and 2,990 more.")
    assert len(section["chart"]) < 200_000
    assert section["pairs"] == []


def test_pairs_of_labels_are_counted_on_train(before: pd.DataFrame, after: pd.DataFrame) -> None:
    assert labels_section(before, after)["pairs"] == [["sea, ice", 1, "100%"]]


@pytest.fixture
def clusters(before: pd.DataFrame, tmp_path: Path) -> dict[str, object]:
    plane = pd.DataFrame({"image_id": ["a.png", "b.png", "c.png", "d.png"], "first": [0.0, 1, 2, 9], "second": 0.0})
    plane["distance"] = [1.0, 0, 2, 0]
    sweep = pd.DataFrame({"clusters": [2, 3], "inertia": [5.0, 1.0], "silhouette": [0.5, 0.2]})
    return clusters_section(
        before,
        plane,
        sweep,
        {"0": 3, "1": 3},
        {0: "0", 1: "1 (night)"},
        {"b.png": 7},
        folder=tmp_path / "resized",
        images_per_group=2,
    )


def test_typical_images_are_near_the_center_and_unusual_ones_far_from_it(clusters: dict[str, object]) -> None:
    first = clusters["details"][0]
    assert [name for _, name in first["typical"]] == ["b.png", "a.png"]
    assert [name for _, name in first["unusual"]] == ["c.png", "a.png"]


def test_a_dot_of_the_plane_leads_to_its_image_if_the_page_holds_it(clusters: dict[str, object]) -> None:
    assert re.findall(r'href="#browse:([^"]+)"', clusters["plane"]) == ["image=7"]


def test_cluster_names_its_frequent_labels(clusters: dict[str, object]) -> None:
    assert [each["text"] for each in clusters["details"]] == [
        "More frequent than elsewhere: ice 33% (0%).",
        "No label is clearly more frequent than elsewhere.",
    ]


def test_sizes_of_clusters_are_before_and_after(clusters: dict[str, object]) -> None:
    assert clusters["sizes"] == [[3, 1], [3, 3]]


def draws_of(
    uniform: list[int], contrast: list[int], labels: int = 0, *, by_fallback: bool = False, shown: object = None
) -> pd.DataFrame:
    """How the two copies came about, as the stage augment writes it."""
    names = ["d__copy1.png", "d__copy2.png"]
    return pd.DataFrame(
        {"image_id": names, "uniform": uniform, "contrast": contrast, "labels": labels, "by_fallback": by_fallback,
         "shown": shown}
    )  # fmt: skip


def section_of(after: pd.DataFrame, draws: pd.DataFrame, folder: Path) -> dict[str, Any]:
    return copies_section(
        after, draws, folder=folder / "copies", sources=folder / "resized", images_per_group=2, seed=0
    )


def test_copies_by_the_fallback_and_copies_that_hide_labels_are_counted(after: pd.DataFrame, tmp_path: Path) -> None:
    draws = draws_of([0, 0], [1, 1], labels=3, by_fallback=True, shown=[1.0, 1.5])
    start = "2 copies; 2 of them were drawn again, since 2 draws lost the contrast and 6 draws hid a label."
    fallback = " For 2 of them no draw showed the labels, so the fallback made them."
    assert section_of(after, draws, tmp_path)["text"] == start + fallback
    assert section_of(after, draws.assign(shown=[1.0, 0.5]), tmp_path)["text"] == (
        f"{start}{fallback} For 1 of them every draw hid a label, so the best draw was kept."
    )


def test_images_that_were_left_out_are_counted(after: pd.DataFrame, tmp_path: Path) -> None:
    unused = after.assign(split=after["split"].mask(after["image_id"] == "a.png", "unused"))
    text = section_of(unused, draws_of([0, 0], [0, 0]), tmp_path)["text"]
    assert text.endswith(" 1 redundant images were left out of the arms with copies.")


def test_copies_are_ordered_by_their_change(after: pd.DataFrame, tmp_path: Path) -> None:
    section = section_of(after, draws_of([0, 2], [0, 1]), tmp_path)
    assert section["text"] == (
        "2 copies; 1 of them were drawn again, since 2 draws came out nearly uniform and 1 draw lost the contrast."
    )
    # The source's gray level is 30, the copies' are 0 and 10.
    strongest = [(pair["name"], pair["note"]) for pair in section["strongest"]]
    assert strongest == [("d__copy1.png", "changed by 30"), ("d__copy2.png", "changed by 20")]
    assert [pair["name"] for pair in section["weakest"]] == ["d__copy2.png", "d__copy1.png"]


def test_guarded_copies_are_ordered_by_the_label_that_they_show_least(after: pd.DataFrame, tmp_path: Path) -> None:
    section = section_of(after, draws_of([0, 0], [0, 0], shown=[1.07, 0.55]), tmp_path)
    assert section["guarded"]
    strongest = [(pair["name"], pair["note"]) for pair in section["strongest"]]
    assert strongest == [("d__copy2.png", "shows 55%"), ("d__copy1.png", "shows 107%")]
    assert [pair["name"] for pair in section["weakest"]] == ["d__copy1.png", "d__copy2.png"]


def test_a_guarded_copy_without_labels_is_no_change_of_labels(after: pd.DataFrame, tmp_path: Path) -> None:
    section = section_of(after, draws_of([0, 0], [0, 0], shown=[np.inf, 2.0]), tmp_path)
    for group in ("strongest", "weakest"):
        assert [(pair["name"], pair["note"]) for pair in section[group]] == [("d__copy2.png", "shows 200%")]


def test_retried_copy_has_its_rejected_draws(after: pd.DataFrame, tmp_path: Path) -> None:
    section = section_of(after, draws_of([1, 0], [0, 3]), tmp_path)
    assert [(pair["name"], pair["note"]) for pair in section["retried"]] == [
        ("d__copy2.png", "3 draws lost the contrast"),
        ("d__copy1.png", "1 draw came out nearly uniform"),
    ]


def test_data_without_copies_has_an_empty_section(before: pd.DataFrame, tmp_path: Path) -> None:
    section = copies_section(
        before,
        draws_of([0, 0], [0, 0]).head(0),
        folder=tmp_path,
        sources=tmp_path,
        images_per_group=2,
        seed=0,
    )
    assert section["text"] == "0 copies; 0 of them were drawn again."
    assert manifest.label_names(before) == ["sea", "ice"]
