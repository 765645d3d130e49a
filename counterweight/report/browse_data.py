"""A sample of the images for the page's script, which filters them and shows them large."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.explanation.thumbnails import thumbnail
from counterweight.images import codec
from counterweight.report.arm_results import Arm, gets_right

# Pixels along the longer side of an image.
_SIDE = 192
# Of the images: originals of each split, and copies.
_SHARES = {"train": 0.4, "val": 0.1, "test": 0.25, "copies": 0.25}
# Labels whose scores are told besides those that the image has or gets, and neighbors that are shown.
_MAX_SCORES, _NEIGHBORS = 3, 6
_SCRIPT = Path(__file__).with_name("browse.js")

Indices = NDArray[np.intp]


def browse_data(
    before: pd.DataFrame,
    after: pd.DataFrame,
    arms: Mapping[str, Arm],
    issues: pd.DataFrame,
    features: NDArray[np.floating],
    titles: Mapping[int, str],
    *,
    folders: tuple[Path, Path],
    max_images: int,
) -> dict[str, Any]:
    """Collect what the page's script needs.

    Parameters
    ----------
    before, after : pandas.DataFrame
        The manifests without and with the copies, of which ``before`` has the clusters of train images.
    arms : mapping of str to Arm
        The arms, whose answers stand beside validation and test images.
    issues : pandas.DataFrame
        The result of `counterweight.evidence.label_issues`.
    features : array of float, shape (n_train, n_features)
        Features of the train images of ``before``, in their order.
    titles : mapping of int to str
        The result of `counterweight.report.cluster_titles`.
    folders : (Path, Path)
        The resized images, and the copies.
    max_images : int
        Most images to choose, at least one of each kind; 0 leaves them all out.

    Returns
    -------
    dict
        ``data``: JSON that may stand inside a page; ``script``, and its ``hash`` for the page's security policy;
        ``hardest``: what to filter by to see images whose rarest label the arm ``copies`` does not find; and
        ``positions``, the number of each image in the data. All are empty without images.
    """
    if not max_images:
        return {**dict.fromkeys(("data", "script", "hash", "hardest"), ""), "positions": {}}
    numbers = {split: max(int(share * max_images), 1) for split, share in _SHARES.items()}
    doubted = issues["image_id"].drop_duplicates().head(numbers["train"] // 2)
    parts = []
    for split in manifest.SPLITS:
        rows = manifest.rows_of_split(before, split)
        first = rows["image_id"].isin(doubted).to_numpy(bool) if split == "train" else _disputed(rows, arms)
        parts.append(rows.iloc[rarest_first(manifest.targets(rows), first, numbers[split])])
    copies = _copies_of(after, parts[0]["image_id"], numbers["copies"])
    chosen = pd.concat([*parts, copies], ignore_index=True)
    positions = {name: i for i, name in enumerate(chosen["image_id"])}
    near = _neighbors(manifest.rows_of_split(before, "train")["image_id"], parts[0]["image_id"], features)
    said = issues.assign(said=issues["issue"] + " " + issues["label"]).groupby("image_id", sort=False)["said"].agg(list)
    answers = _answers(pd.concat(parts[1:]), arms)
    records = []
    for row, targets in zip(chosen.to_dict("records"), manifest.targets(chosen), strict=True):
        name, is_copy = row["image_id"], row["source_id"] != ""
        pixels = codec.read(folders[is_copy] / row["path"], row["checksum"])
        record: dict[str, Any] = {
            "name": name,
            "split": row["split"],
            "cluster": None if pd.isna(row["cluster"]) or row["cluster"] == "" else int(row["cluster"]),
            "labels": np.flatnonzero(targets == 1).tolist(),
            "unknown": np.flatnonzero(targets < 0).tolist(),
            "source": positions[row["source_id"]] if is_copy else None,
            "answers": answers.get(name, []),
            "doubts": said.get(name, []) if row["split"] == "train" and not is_copy else [],
            "near": [positions[other] for other in near.get(name, ())],
            "picture": thumbnail(pixels, _SIDE),
        }
        records.append(record)
    clusters = {str(number): title for number, title in titles.items()}
    data = {"labels": manifest.label_names(before), "clusters": clusters, "arms": list(arms), "images": records}
    tested = [(manifest.targets(manifest.rows_of_split(before, split)) == 1).sum(axis=0) for split in ("train", "test")]
    rarest = int(np.where(tested[1] > 0, tested[0], len(before)).argmin())
    hardest = f"label={rarest}&split=test&answer=wrong:{list(arms).index('copies')}"
    return {**embed(data, hardest), "positions": positions}


def embed(data: Mapping[str, Any], hardest: str) -> dict[str, str]:
    """Return the section ``browse`` of the page, whose script reads ``data``; see `browse_data`."""
    script = _SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    # Inside a page, nothing in the data may look like a tag.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return {"data": text, "script": script, "hash": f"sha256-{digest}", "hardest": hardest}


def rarest_first(targets: NDArray[np.integer], first: NDArray[np.bool_], most: int) -> Indices:
    """Choose images label by label in turn, the rarest label first, so that rare labels have as many as common ones.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1, 0, or -1 where missing.
    first : array of bool, shape (n_images,)
        Images to choose before others, as long as they are at most half.
    most : int
        Number of images.

    Returns
    -------
    array of int, shape (at most ``most``,)
        Positions of the images, ascending.

    Examples
    --------
    >>> rarest_first(np.array([[1, 0], [1, 0], [1, 0], [0, 1]]), np.zeros(4, bool), 2)
    array([0, 3])
    """
    turn, rarity = np.full(len(targets), len(targets)), np.full(len(targets), len(targets))
    for column in targets.T:
        images = np.flatnonzero(column == 1)
        turn[images] = np.minimum(turn[images], np.arange(len(images)))
        rarity[images] = np.minimum(rarity[images], len(images))
    turn[np.flatnonzero(first)[: most // 2]] = -1
    return np.sort(np.lexsort((rarity, turn))[:most])


def _disputed(rows: pd.DataFrame, arms: Mapping[str, Arm]) -> NDArray[np.bool_]:
    """Return the images that some arms get right and some do not."""
    right = [gets_right(arm, rows) for arm in arms.values()]
    return np.asarray(np.any(right, axis=0) & ~np.all(right, axis=0))


def _copies_of(after: pd.DataFrame, sources: "pd.Series[str]", most: int) -> pd.DataFrame:
    """Choose copies of images, a first one of each, then a second one."""
    copies = after[(after["source_id"] != "") & after["source_id"].isin(sources)]
    turn = copies.groupby("source_id").cumcount().to_numpy()
    return copies.iloc[np.argsort(turn, kind="stable")[:most]]


def _neighbors(
    train: "pd.Series[str]", chosen: "pd.Series[str]", features: NDArray[np.floating]
) -> dict[str, list[str]]:
    """Return the chosen train images that are most like each, by the cosine of their features, the likest first."""
    names = list(chosen)
    if not names:
        return {}
    positions = {name: i for i, name in enumerate(train)}
    rows = np.asarray(features[[positions[name] for name in names]], dtype=np.float64)
    rows -= rows.mean(axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(_NEIGHBORS, len(names) - 1)]
    return {name: [names[j] for j in others] for name, others in zip(names, order.tolist(), strict=True)}


def _answers(rows: pd.DataFrame, arms: Mapping[str, Arm]) -> dict[str, list[dict[str, Any]]]:
    """Return for each image and arm the labels that it gets, and scores of these, its own and the highest."""
    targets = manifest.targets(rows)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in rows["image_id"]}
    for arm in arms.values():
        scores, given = arm.scores_of(rows), arm.predictions(rows)
        highest = np.argsort(-scores, axis=1, kind="stable")[:, :_MAX_SCORES]
        for name, cells, gets, each, top in zip(rows["image_id"], targets, given, scores, highest, strict=True):
            told = sorted({*np.flatnonzero((cells == 1) | gets).tolist(), *top.tolist()}, key=lambda j: -each[j])
            found[name].append(
                {"labels": np.flatnonzero(gets).tolist(), "scores": [[j, round(float(each[j]), 3)] for j in told]}
            )
    return found
