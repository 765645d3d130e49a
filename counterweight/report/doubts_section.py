"""The page's section about what to check in the data: labels, images that are alike, and images in two splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.evidence.label_issues import CONTRADICTION
from counterweight.explanation.thumbnails import thumbnails


def doubts_section(
    issues: pd.DataFrame,
    leaks: pd.DataFrame,
    compared: Mapping[str, int],
    table: pd.DataFrame,
    *,
    folder: Path,
    images_per_group: int,
) -> dict[str, Any]:
    """Show labels that may be wrong, and images that may show the same.

    Parameters
    ----------
    issues : pandas.DataFrame
        The table of `counterweight.evidence.probe.ProbeResult`.
    leaks : pandas.DataFrame
        The result of `counterweight.clustering.similar_images.similar_images_table`.
    compared : mapping of str to int
        How many of the ``held_out`` images were ``compared`` with train by their features.
    table : pandas.DataFrame
        The manifest.
    folder : Path
        The resized images.
    images_per_group : int
        Labels, and pairs of images of a kind, to show.
    """
    is_contradiction = issues["issue"] == CONTRADICTION
    likely, contradicting = issues[~is_contradiction], issues[is_contradiction]
    shown, images = likely.head(images_per_group), table.set_index("image_id")
    pairs = {tuple(sorted(pair)): None for pair in contradicting[["image_id", "duplicate"]].itertuples(index=False)}
    return {
        "issues": f"{len(likely):,} {'label' if len(likely) == 1 else 'labels'} to check" if len(likely) else "",
        "pictures": [
            (*thumbnails(images.loc[[row["image_id"]]], folder), _caption(row)) for row in shown.to_dict("records")
        ],
        "alike": f"{contradicting['image_id'].nunique():,} images look like another one, and have other labels"
        if len(contradicting)
        else "",
        "pairs": [_pair(pair, images, folder) for pair in list(pairs)[:images_per_group]],
        "compared": f"By their features, {compared['compared']:,} of {compared['held_out']:,} validation and test "
        "images were compared with the train images.",
        "leaks": f"Validation and test images that look like a train image: {len(leaks):,}" if len(leaks) else "",
        "leaking": [
            _pair((row["image_id"], row["train_image_id"]), images, folder, f"cosine {row['cosine']:.2f}")
            for row in leaks.head(images_per_group).to_dict("records")
        ],
    }


def _caption(issue: Mapping[Any, Any]) -> str:
    return f"{issue['image_id']}: {issue['label']} {issue['issue']}, score {issue['score']:.2f}"


def _pair(names: Sequence[str], images: pd.DataFrame, folder: Path, note: str = "") -> dict[str, Any]:
    """Show two images that look alike, with the labels of each."""
    both = images.loc[list(names)]
    targets, labels = manifest.targets(both), np.array(manifest.label_names(both), dtype=object)
    captions = [
        f"{name}: {', '.join(labels[cells == 1]) or ('unknown' if (cells < 0).any() else 'no label')}"
        for name, cells in zip(names, targets, strict=True)
    ]
    first, second = thumbnails(both, folder)
    caption = "; ".join([*captions, note] if note else captions)
    return {"first": first, "second": second, "names": captions, "caption": caption}
