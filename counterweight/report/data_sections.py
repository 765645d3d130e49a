"""What the report's page says of the data: its labels, its clusters and its copies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, triu

from counterweight.base import manifest
from counterweight.evidence.bootstrap import FEW
from counterweight.images import codec
from counterweight.metrics.imbalance import irlbl, rarer
from counterweight.report import figures
from counterweight.report.figures import BARS, ROWS, ends
from counterweight.report.thumbnails import change, thumbnail, thumbnails

# Clusters whose images are shown; the sizes of all are.
_CLUSTERS = 12
# Labels that a warning names.
_NAMED = 10
# Pairs of labels that are listed.
_PAIRS = 8
# Copies among which the strongest and weakest changes are looked for.
_LOOKED_AT = 300
# What was wrong with draws that were refused.
_FAULTS = {"uniform": "came out nearly uniform", "contrast": "lost the contrast"}
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
    drawn, listed = ends(order, BARS), ends(order, ROWS)
    return {
        "warnings": [*_rarer(parts["train"], filled, names), *_few(names, counts["test"], order)],
        "chart": figures.bars(
            [names[i] for i in drawn],
            {"before": counts["train"][drawn].tolist(), "after": then[drawn].tolist()},
            unit="train images",
        ),
        "more": f"Of {len(order):,} labels, the {ROWS // 2} commonest and the {ROWS // 2} rarest are listed, and the "
        f"{BARS // 2} at either end are drawn; all are in augmented/labels.csv."
        if len(order) > ROWS
        else f"The {BARS // 2} commonest and the {BARS // 2} rarest labels are drawn."
        if len(order) > BARS
        else "",
        "head": ["label", "train", "train after", "validation", "test", "IRLbl", "IRLbl after"],
        "rows": [
            [
                names[i], counts["train"][i], then[i], counts["val"][i], counts["test"][i],
                *(f"{ratio[i]:.2f}" if np.isfinite(ratio[i]) else "none" for ratio in ratios),
            ]
            for i in listed
        ],
        "pairs": _pairs(names, parts["train"]),
    }  # fmt: skip


def _rarer(before: NDArray[np.integer], after: NDArray[np.integer], names: Sequence[str]) -> list[str]:
    found = [f"{said[0].upper()}{said[1:]}." for said in rarer(before, after, names)]
    more = len(found) - _NAMED
    return found[:_NAMED] + ([f"So did {more:,} more labels, see augmented/labels.csv."] if more > 0 else [])


def _few(names: Sequence[str], test: NDArray[np.integer], order: Sequence[int]) -> list[str]:
    few = [f"'{names[i]}' ({test[i]})" for i in order if test[i] < FEW]
    named = ", ".join(few[:_NAMED]) + (f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else "")
    return [f"With fewer than {FEW} test images a label can hardly be judged: {named}."] if few else []


def _pairs(names: Sequence[str], targets: NDArray[np.integer]) -> list[list[Any]]:
    there = csr_array((targets == 1).astype(np.int64))
    alone, both = there.sum(axis=0), triu(there.T @ there, k=1).tocoo()
    found = sorted(zip((-both.data).tolist(), both.row.tolist(), both.col.tolist(), strict=True))[:_PAIRS]
    return [[f"{names[i]}, {names[j]}", -less, f"{-less / min(alone[i], alone[j]):.0%}"] for less, i, j in found]


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
    drawn = ends(range(len(numbers)), BARS)
    return {
        "sizes": counts,
        "chart": figures.bars(
            [str(numbers[i]) for i in drawn],
            {name: [count[i] for i in drawn] for name, count in counts.items()},
            unit="train images",
        ),
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
    table: pd.DataFrame, redrawn: pd.DataFrame, *, folder: Path, sources: Path, shown: int, seed: int
) -> dict[str, Any]:
    """Copies beside their sources.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with the copies.
    redrawn : pandas.DataFrame
        What `counterweight.augmentation.provenance.redrawn` returned.
    folder, sources : Path
        The copies' images, and those of their sources.
    shown : int
        Pairs of each kind to show.
    seed : int
        Of the copies that are looked at.
    """
    copies = table[table["source_id"] != ""].reset_index(drop=True)
    refused = redrawn.drop(columns="image_id")
    said = f"{len(copies):,} copies; {len(redrawn):,} of them were drawn again" + (
        f", since {_refused(refused.sum())}." if len(redrawn) else "."
    )
    if not len(copies):
        return {"said": said, "some": [], "strongest": [], "weakest": [], "looked_at": 0, "redrawn": []}
    by_id = table.set_index("image_id")
    random = np.random.default_rng(seed)
    looked_at = copies["image_id"].iloc[np.sort(random.permutation(len(copies))[:_LOOKED_AT])]
    pairs = [_pair(name, by_id, folder, sources) for name in looked_at]
    ordered = sorted(pairs, key=lambda pair: (pair["change"], pair["name"]))
    most = refused.sum(axis=1).sort_values(ascending=False, kind="stable").index[:shown]
    again = [_pair(redrawn["image_id"][i], by_id, folder, sources) for i in most]
    return {
        "said": said,
        "some": [pair | {"said": ""} for pair in pairs[:: max(len(pairs) // shown, 1)][:shown]],
        "strongest": ordered[::-1][:shown],
        "weakest": ordered[:shown],
        "looked_at": len(pairs),
        "redrawn": [pair | {"said": _refused(refused.loc[i])} for pair, i in zip(again, most, strict=True)],
    }


def _pair(name: str, by_id: pd.DataFrame, folder: Path, sources: Path) -> dict[str, Any]:
    """A copy and its source, and how much they differ."""
    copy = by_id.loc[name]
    source = by_id.loc[copy["source_id"]]
    pixels = codec.read(sources / str(source["path"]), str(source["checksum"]))
    made = codec.read(folder / str(copy["path"]), str(copy["checksum"]))
    changed = change(made, pixels)
    pair = {"name": name, "source": thumbnail(pixels), "made": thumbnail(made)}
    return pair | {"change": changed, "said": f"changed by {changed:.0f}"}


def _refused(counts: "pd.Series[int]") -> str:
    """Which draws were refused, and why."""
    said = [
        f"{count} draw{'s' if count > 1 else ''} {_FAULTS[str(reason)]}" for reason, count in counts.items() if count
    ]
    return " and ".join(said)
