"""The page's sections about the data: labels, clusters and copies."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.errors import name_some
from counterweight.explanation.thumbnails import mean_difference, thumbnail, thumbnails
from counterweight.images import codec
from counterweight.metrics.bootstrap import MIN_TEST_IMAGES
from counterweight.metrics.charts import head_and_tail
from counterweight.metrics.imbalance import frequent_pairs, irlbl, rarer_label_warnings
from counterweight.report import figures
from counterweight.report.figures import MAX_BARS, MAX_ROWS

# Clusters whose images are shown, labels that a warning names, and pairs of labels that are listed.
_MAX_SHOWN_CLUSTERS, _MAX_NAMED_LABELS, _MAX_PAIRS = 12, 10, 8
# Copies that are searched for the strongest and weakest changes.
_MAX_COMPARED_COPIES = 300
# Why a draw was rejected.
_REJECTIONS = {"uniform": "came out nearly uniform", "contrast": "lost the contrast", "labels": "hid a label"}
_MIN_EXCESS = 0.05  # of a label's share over its share elsewhere, to characterize a cluster


def labels_section(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Any]:
    """Show the counts and the imbalance of each label, from the manifests without and with the copies."""
    names = manifest.label_names(before)
    targets = {split: manifest.targets(manifest.rows_of_split(before, split)) for split in ("train", "val", "test")}
    targets_after = manifest.targets(manifest.rows_of_split(after, "train"))
    counts = {split: (cells == 1).sum(axis=0) for split, cells in targets.items()}
    counts_after = (targets_after == 1).sum(axis=0)
    ratios = [irlbl(targets["train"]), irlbl(targets_after)]
    order = sorted(range(len(names)), key=lambda i: (-counts["train"][i], names[i]))
    drawn, listed = head_and_tail(order, MAX_BARS), head_and_tail(order, MAX_ROWS)
    note = f"The {MAX_BARS // 2} commonest and the {MAX_BARS // 2} rarest labels are drawn."
    if len(order) > MAX_ROWS:
        note = (
            f"The table lists the {MAX_ROWS // 2} commonest and the {MAX_ROWS // 2} rarest of {len(order):,} labels, "
            f"the chart {MAX_BARS // 2} of either; all are in augmented/labels.csv."
        )
    return {
        "warnings": [
            *_rarer_label_warnings(targets["train"], targets_after, names),
            *_few_test_images_warning(names, counts["test"], order),
        ],
        "chart": figures.bars(
            [names[i] for i in drawn],
            {"before": counts["train"][drawn].tolist(), "after": counts_after[drawn].tolist()},
            unit="train images",
            queries=[f"label={i}&split=train" for i in drawn],
        ),
        "note": note if len(order) > MAX_BARS else "",
        "head": ["label", "train", "train after", "validation", "test", "IRLbl", "IRLbl after"],
        "queries": [f"label={i}" for i in listed],
        "rows": [
            [
                names[i], counts["train"][i], counts_after[i], counts["val"][i], counts["test"][i],
                *(f"{ratio[i]:.2f}" if np.isfinite(ratio[i]) else "none" for ratio in ratios),
            ]
            for i in listed
        ],
        "pairs": [
            [f"{names[i]}, {names[j]}", count, f"{share:.0%}"]
            for i, j, count, share in frequent_pairs(targets["train"], _MAX_PAIRS)
        ],
    }  # fmt: skip


def _rarer_label_warnings(before: NDArray[np.integer], after: NDArray[np.integer], names: Sequence[str]) -> list[str]:
    warnings = [f"{text[0].upper()}{text[1:]}." for text in rarer_label_warnings(before, after, names)]
    more = len(warnings) - _MAX_NAMED_LABELS
    rest = [f"{more:,} more labels got rarer, see augmented/labels.csv."] if more > 0 else []
    return warnings[:_MAX_NAMED_LABELS] + rest


def _few_test_images_warning(names: Sequence[str], test: NDArray[np.integer], order: Sequence[int]) -> list[str]:
    few = [f"'{names[i]}' ({test[i]})" for i in order if test[i] < MIN_TEST_IMAGES]
    listed = name_some(few, _MAX_NAMED_LABELS)
    return [f"Labels with fewer than {MIN_TEST_IMAGES} test images can hardly be judged: {listed}."] if few else []


def clusters_section(
    table: pd.DataFrame,
    plane: pd.DataFrame,
    sweep: pd.DataFrame,
    after: Mapping[str, int],
    titles: Mapping[int, str],
    browsed: Mapping[str, int],
    *,
    folder: Path,
    images_per_group: int,
) -> dict[str, Any]:
    """Show the sizes, the positions and the images of the clusters.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with clusters.
    plane : pandas.DataFrame
        ``image_id``, ``first`` and ``second`` principal component, and ``distance`` from the cluster's center, one row
        per train image.
    sweep : pandas.DataFrame
        ``inertia`` and ``silhouette`` of other numbers of ``clusters``.
    after : mapping of str to int
        Size of each cluster with the copies.
    titles : mapping of int to str
        The result of `counterweight.report.cluster_titles`.
    browsed : mapping of str to int
        ``positions`` of `counterweight.report.browse_data.browse_data`.
    folder : Path
        The resized images.
    images_per_group : int
        Number of typical and of unusual images to show.
    """
    train = manifest.rows_of_split(table, "train").merge(plane, on="image_id", validate="one_to_one")
    sizes = train["cluster"].value_counts().sort_index()
    names = [titles[number] for number in sizes.index]
    counts = {"before": sizes.tolist(), "after": [after[str(number)] for number in sizes.index]}
    hidden = len(names) - _MAX_SHOWN_CLUSTERS
    nearest_first = train.sort_values(["distance", "image_id"]).groupby("cluster")
    return {
        "sizes": list(counts.values()),
        "chart": figures.bars(
            head_and_tail(names, MAX_BARS),
            {part: head_and_tail(numbers, MAX_BARS) for part, numbers in counts.items()},
            unit="train images",
            queries=[f"cluster={number}" for number in head_and_tail(list(sizes.index), MAX_BARS)],
        ),
        "plane": figures.scatter(
            train[["first", "second"]].to_numpy(),
            train["cluster"].to_numpy(dtype=int),
            titles,
            {row: f"image={browsed[name]}" for row, name in enumerate(train["image_id"]) if name in browsed},
        ),
        "sweep": figures.sweep_chart(sweep, len(names)) if len(sweep) else "",
        "details": [
            {
                "number": number,
                "title": title,
                "before": len(rows),
                "after": after[str(number)],
                "text": _describe_cluster(train, (train["cluster"] == number).to_numpy(dtype=bool)),
                "typical": _captioned(rows.head(images_per_group), folder),
                "unusual": _captioned(rows[::-1].head(images_per_group), folder),
            }
            for title, (number, rows) in zip(names, islice(nearest_first, _MAX_SHOWN_CLUSTERS), strict=False)
        ],
        "note": f"The images of {hidden} smaller clusters are not shown." if hidden > 0 else "",
    }


def _captioned(rows: pd.DataFrame, folder: Path) -> list[tuple[str, str]]:
    return list(zip(thumbnails(rows, folder), rows["image_id"], strict=True))


def _describe_cluster(train: pd.DataFrame, inside: NDArray[np.bool_]) -> str:
    """Name up to three labels that are clearly more frequent in the cluster than elsewhere."""
    targets = manifest.targets(train)
    labels = manifest.label_names(train)
    if inside.all():
        return "It contains all images."
    share, rest = (
        (targets[rows] == 1).sum(axis=0) / np.maximum((targets[rows] >= 0).sum(axis=0), 1) for rows in (inside, ~inside)
    )
    order = np.argsort(rest - share, kind="stable")[:3]
    listed = [f"{labels[i]} {share[i]:.0%} ({rest[i]:.0%})" for i in order if share[i] > rest[i] + _MIN_EXCESS]
    if not listed:
        return "No label is clearly more frequent than elsewhere."
    return f"More frequent than elsewhere: {', '.join(listed)}."


def copies_section(
    table: pd.DataFrame, draws: pd.DataFrame, *, folder: Path, sources: Path, images_per_group: int, seed: int
) -> dict[str, Any]:
    """Show copies beside their sources.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with the copies.
    draws : pandas.DataFrame
        The result of `counterweight.augmentation.provenance.copies_table`.
    folder, sources : Path
        The images of the copies, and of their sources.
    images_per_group : int
        Pairs per group to show.
    seed : int
        Seed for the sample of copies that are compared with their sources.
    """
    draws = draws.set_index("image_id").assign(shown=pd.to_numeric(draws["shown"].to_numpy()))
    by_id = table.set_index("image_id")[["path", "checksum", "source_id"]].join(draws["shown"])
    random = np.random.default_rng(seed)
    compared = draws.index[np.sort(random.permutation(len(draws))[:_MAX_COMPARED_COPIES])]
    pairs = [_pair(name, by_id, folder, sources) for name in compared]
    labeled = [pair for pair in pairs if np.isfinite(pair["rank"])]  # Without labels, none is shown or hidden.
    ordered = sorted(labeled, key=lambda pair: (-pair["rank"], pair["name"]))
    rejections = draws[list(_REJECTIONS)].sum(axis=1).sort_values(ascending=False, kind="stable")
    return {
        "text": _describe_copies(draws, int((table["split"] == manifest.UNUSED).sum())),
        "guarded": bool(draws["shown"].notna().any()),
        "sample": [pair | {"note": ""} for pair in pairs[:: max(len(pairs) // images_per_group, 1)][:images_per_group]],
        "strongest": ordered[:images_per_group],
        "weakest": ordered[::-1][:images_per_group],
        "compared": len(pairs),
        "retried": [
            _pair(str(name), by_id, folder, sources) | {"note": _describe_rejections(draws.loc[name])}
            for name in rejections[rejections > 0].index[:images_per_group]
        ],
    }


def _describe_copies(draws: pd.DataFrame, n_left_out: int) -> str:
    rejected = draws[list(_REJECTIONS)]
    n_redrawn = int((rejected.sum(axis=1) > 0).sum())
    reasons = f", since {_describe_rejections(rejected.sum())}" if n_redrawn else ""
    text = f"{len(draws):,} copies; {n_redrawn:,} of them were drawn again{reasons}."
    if n_fallback := int(draws["by_fallback"].sum()):
        text += f" For {n_fallback:,} of them no draw showed the labels, so the fallback made them."
    if n_hiding := int((draws["shown"] < 1).sum()):
        text += f" For {n_hiding:,} of them every draw hid a label, so the best draw was kept."
    if n_left_out:
        text += f" {n_left_out:,} redundant images were left out of the arms with copies."
    return text


def _pair(name: str, by_id: pd.DataFrame, folder: Path, sources: Path) -> dict[str, Any]:
    """Return the thumbnails of a copy and its source, and how strongly it was changed."""
    row = by_id.loc[name]
    source_row = by_id.loc[row["source_id"]]
    source = codec.read(sources / str(source_row["path"]), str(source_row["checksum"]))
    copy = codec.read(folder / str(row["path"]), str(row["checksum"]))
    thumbs = {"source": thumbnail(source), "copy": thumbnail(copy)}
    if np.isnan(row["shown"]):
        change = mean_difference(copy, source)
        return {"name": name, **thumbs, "rank": change, "note": f"changed by {change:.0f}"}
    return {"name": name, **thumbs, "rank": -row["shown"], "note": f"shows {row['shown']:.0%}"}


def _describe_rejections(counts: "pd.Series[Any]") -> str:
    return " and ".join(
        f"{counts[reason]} draw{'s' if counts[reason] > 1 else ''} {text}"
        for reason, text in _REJECTIONS.items()
        if counts[reason]
    )
