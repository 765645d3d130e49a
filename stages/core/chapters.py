"""What the report's page says of the data: its labels, its clusters and its copies."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from stages.core import figures, images, manifest
from stages.core.imbalance import irlbl, rarer
from stages.core.intervals import FEW
from stages.core.thumbnails import change, thumbnail, thumbnails

# Clusters whose images are shown; the sizes of all are.
_CLUSTERS = 12
# Pairs of labels that are listed.
_PAIRS = 8
# Copies among which the strongest and weakest changes are looked for.
_LOOKED_AT = 300
# Of a cluster's images, so many more than of the others have a label that is named.
_MORE = 0.05


def labels_chapter(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Any]:
    """Counts and imbalance of each label, before and after.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Manifests without and with the copies.
    """
    names = manifest.label_names(before)
    parts = {split: manifest.targets(manifest.of_split(before, split)) for split in ("train", "val", "test")}
    filled = manifest.targets(manifest.of_split(after, "train"))
    counts = {split: (targets == 1).sum(axis=0) for split, targets in parts.items()}
    then = (filled == 1).sum(axis=0)
    ratios = [irlbl(parts["train"]), irlbl(filled)]
    order = sorted(range(len(names)), key=lambda i: (-counts["train"][i], names[i]))
    warnings = [f"{said[0].upper()}{said[1:]}." for said in rarer(parts["train"], filled, names)]
    warnings += [
        f"Label '{names[i]}' has {counts['test'][i]} test images: too few to judge it."
        for i in order
        if counts["test"][i] < FEW
    ]
    return {
        "warnings": warnings,
        "chart": figures.bars(
            [names[i] for i in order],
            {"before": counts["train"][order].tolist(), "after": then[order].tolist()},
            unit="train images",
        ),
        "head": ["label", "train", "train after", "validation", "test", "IRLbl", "IRLbl after"],
        "rows": [
            [
                names[i], counts["train"][i], then[i], counts["val"][i], counts["test"][i],
                *(f"{ratio[i]:.2f}" if np.isfinite(ratio[i]) else "none" for ratio in ratios),
            ]
            for i in order
        ],
        "pairs": _pairs(names, parts["train"]),
    }  # fmt: skip


def _pairs(names: Sequence[str], targets: NDArray[np.integer]) -> list[list[Any]]:
    there = csr_array((targets == 1).astype(np.int64))
    both, alone = (there.T @ there).toarray(), there.sum(axis=0)
    found = sorted(combinations(range(len(names)), 2), key=lambda pair: -both[pair])[:_PAIRS]
    return [
        [f"{names[i]}, {names[j]}", both[i, j], f"{both[i, j] / min(alone[i], alone[j]):.0%}"]
        for i, j in found
        if both[i, j]
    ]


def clusters_chapter(
    table: pd.DataFrame,
    plane: pd.DataFrame,
    sweep: pd.DataFrame,
    after: Mapping[str, int],
    *,
    folder: Path,
    shown: int,
) -> dict[str, Any]:
    """What is in each cluster, and how clusters lie.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with clusters.
    plane : pandas.DataFrame
        Of each train image its ``image_id``, ``first`` and ``second`` principal component, and ``distance`` from its
        cluster's centre.
    sweep : pandas.DataFrame
        ``inertia`` and ``silhouette`` of other numbers of ``clusters``.
    after : mapping of str to int
        Images of each cluster with the copies.
    folder : Path
        The resized images.
    shown : int
        Images of each kind to show.
    """
    train = manifest.of_split(table, "train").merge(plane, on="image_id", validate="one_to_one")
    sizes = train["cluster"].value_counts()
    numbers = sorted(int(number) for number in sizes.index)
    counts = {"before": [int(sizes[number]) for number in numbers], "after": [after[str(number)] for number in numbers]}
    return {
        "sizes": counts,
        "chart": figures.bars([str(number) for number in numbers], counts, unit="train images"),
        "plane": figures.plane(train[["first", "second"]].to_numpy(), train["cluster"].astype(int).tolist()),
        "sweep": figures.sweep(
            sweep["clusters"].tolist(), sweep["inertia"].tolist(), sweep["silhouette"].tolist(), len(numbers)
        )
        if len(sweep)
        else "",
        "each": [
            {
                "name": number,
                "before": int(sizes[number]),
                "after": after[str(number)],
                "said": _of_cluster(train, number),
                "typical": _shown(train, number, folder, shown, typical=True),
                "unusual": _shown(train, number, folder, shown, typical=False),
            }
            for number in numbers[:_CLUSTERS]
        ],
        "more": f"The images of {len(numbers) - _CLUSTERS} smaller clusters are not shown."
        if len(numbers) > _CLUSTERS
        else "",
    }


def _of_cluster(train: pd.DataFrame, number: int) -> str:
    """Which labels its images have clearly more often than the others."""
    inside = (train["cluster"] == number).to_numpy(dtype=bool)
    targets = manifest.targets(train)
    labels = manifest.label_names(train)
    if inside.all():
        return "All images are in it."
    share, rest = (
        (targets[rows] == 1).sum(axis=0) / np.maximum((targets[rows] >= 0).sum(axis=0), 1) for rows in (inside, ~inside)
    )
    order = np.argsort(rest - share, kind="stable")[:3]
    said = [f"{labels[i]} {share[i]:.0%} ({rest[i]:.0%})" for i in order if share[i] > rest[i] + _MORE]
    return (
        f"More often than in the rest: {', '.join(said)}."
        if said
        else "No label is clearly more frequent than in the rest."
    )


def _shown(train: pd.DataFrame, number: int, folder: Path, count: int, *, typical: bool) -> list[tuple[str, str]]:
    rows = train[train["cluster"] == number].sort_values(["distance", "image_id"], ascending=typical).head(count)
    pictures = thumbnails([folder / path for path in rows["path"]], rows["checksum"].tolist())
    return list(zip(pictures, rows["image_id"], strict=True))


def copies_chapter(
    table: pd.DataFrame, drawn_again: Mapping[str, int], *, folder: Path, sources: Path, shown: int, seed: int
) -> dict[str, Any]:
    """Copies beside their sources.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with the copies.
    drawn_again : mapping of str to int
        How many draws were refused, by the reason.
    folder, sources : Path
        The copies' images, and those of their sources.
    shown : int
        Pairs of each kind to show.
    seed : int
        Of the copies that are looked at.
    """
    copies = table[table["source_id"] != ""].reset_index(drop=True)
    refused = ", ".join(f"{count} for {reason}" for reason, count in drawn_again.items() if count)
    said = f"{len(copies)} copies; {refused or 'none'} drawn again."
    if not len(copies):
        return {"said": said, "some": [], "strongest": [], "weakest": [], "looked_at": 0}
    random = np.random.default_rng(seed)
    looked_at = copies.iloc[np.sort(random.permutation(len(copies))[:_LOOKED_AT])]
    by_id = table.set_index("image_id")
    pairs = []
    for row in looked_at.to_dict("records"):
        source = by_id.loc[row["source_id"]]
        pixels = images.read(sources / str(source["path"]), str(source["checksum"]))
        copy = images.read(folder / row["path"], row["checksum"])
        pairs.append((change(copy, pixels), str(row["image_id"]), thumbnail(pixels), thumbnail(copy)))
    ordered = sorted(pairs, key=lambda pair: pair[:2])
    return {
        "said": said,
        "some": [_pair(pair, None) for pair in pairs[:: max(len(pairs) // shown, 1)][:shown]],
        "strongest": [_pair(pair, pair[0]) for pair in ordered[::-1][:shown]],
        "weakest": [_pair(pair, pair[0]) for pair in ordered[:shown]],
        "looked_at": len(pairs),
    }


def _pair(pair: tuple[float, str, str, str], change: float | None) -> dict[str, Any]:
    _, name, source, made = pair
    return {"name": name, "source": source, "made": made, "change": change}
