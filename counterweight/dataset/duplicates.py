"""Duplicate images of a dataset: which leak between splits, which have conflicting labels, and which can be dropped.

For each image only the nearest duplicate of a kind is kept, since all pictures of a camera that does not move are near
each other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.errors import raise_problems
from counterweight.base.manifest import MISSING, SPLITS
from counterweight.dataset.near_duplicates import ImageGroups, Indices, near_pairs
from counterweight.images.perceptual_hash import BITS

COLUMNS = ("group", "row", "image_id", "split", "kind", "duplicate_of", "bits", "leak", "other_labels", "dropped")

# Results on a split are worthless if it has images of an earlier one.
_JUDGED_ORDER = {"train": 0, "val": 1, "test": 2}
# Number of images that a warning names.
_MAX_NAMED = 3


def redundant_images(pictures: ImageGroups, splits: Sequence[str], distance: int) -> dict[int, int]:
    """Choose train and validation images to drop, until no remaining one duplicates another remaining image.

    Test images stay, because results are compared on them. Validation and then train images stay unless they are near
    one that already stays.

    Parameters
    ----------
    pictures : ImageGroups
        The picture of each image.
    splits : sequence of str
        Split of each image.
    distance : int
        Maximum number of bits in which the hashes of near duplicates differ.

    Returns
    -------
    dict of int to int
        Each image to drop, and the duplicate that stays.
    """
    representative = np.full(len(pictures.hashes), -1, dtype=np.intp)  # The first image of a picture or one near it.
    near = np.zeros(len(pictures.hashes), dtype=np.bool_)
    for first, second, _ in near_pairs(pictures.hashes[pictures.hashed], distance):
        near[np.flatnonzero(pictures.hashed)[np.concatenate([first, second])]] = True
    candidates = np.flatnonzero(near)
    replacement: dict[int, int] = {}
    for i in sorted(range(len(splits)), key=lambda i: (-_JUDGED_ORDER[splits[i]], i)):
        picture = pictures.group[i]
        if representative[picture] >= 0 and splits[i] != "test":
            replacement[i] = int(representative[picture])
            continue
        alike = [picture]
        if near[picture]:
            close = np.bitwise_count(pictures.hashes[candidates] ^ pictures.hashes[picture]) <= distance
            alike = [picture, *candidates[close]]
        representative[alike] = np.where(representative[alike] < 0, i, representative[alike])
    return replacement


def duplicates_table(
    table: pd.DataFrame, pictures: ImageGroups, groups: Indices, *, rows: Sequence[int], distance: int,
    dropped: Collection[int],
) -> pd.DataFrame:  # fmt: skip
    """List every image that has a duplicate.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest of the images.
    pictures : ImageGroups
        The picture of each image.
    groups : array of int, shape (n_images,)
        Near-duplicate group of each image.
    rows : sequence of int
        Row of each image in the sheet, as Excel counts.
    distance : int
        Maximum number of bits in which the hashes of near duplicates differ.
    dropped : collection of int
        Images that are dropped from the dataset.

    Returns
    -------
    pandas.DataFrame
        ``group`` (from 0), ``row``, ``image_id``, ``split``; ``kind``: ``exact`` if another image has the same bytes,
        else ``near``; ``duplicate_of``: the nearest duplicate; ``bits``: how many bits of their hashes differ;
        ``leak``: a duplicate in a later split (val or test for train, test for val); ``other_labels``: a duplicate with
        conflicting labels; ``dropped``: 0 or 1. If several images qualify, the nearest is named, and the first among
        equally near ones; cells without any are empty.
    """
    group, image_ids, splits = pictures.group, table["image_id"].tolist(), table["split"].tolist()
    checksums, targets = table["checksum"].tolist(), manifest.targets(table)
    judged = np.array([_JUDGED_ORDER[split] for split in splits], dtype=np.intp)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(pictures.hashes)))
    first, sizes = order[starts], np.bincount(group)
    second = order[np.minimum(starts + 1, len(order) - 1)]  # if the picture has a second image
    last_judged = order[np.lexsort((order, -judged[order], group[order]))][starts]  # first image of the latest split
    contrary = _first_contradiction(group, targets, first)
    near = _near(pictures, first, judged[last_judged], targets, distance)
    by_bytes: dict[str, list[int]] = {}
    for i, checksum in enumerate(checksums):
        if len(same := by_bytes.setdefault(checksum, [])) < 2:
            same.append(i)

    numbers: dict[int, int] = {}
    lines = []
    for i in np.flatnonzero((sizes[group] > 1) | (near.any >= 0)[group]).tolist():
        p = int(group[i])
        exact = [j for j in by_bytes[checksums[i]] if j != i]
        sibling = [int(first[p] if first[p] != i else second[p])] if sizes[p] > 1 else []
        beyond = [int(first[near.any[p]])] if near.any[p] >= 0 else []
        nearest = [*exact, *sibling, *beyond][0]
        leaks = [int(last_judged[q]) for q in (p, *near.leaks(p, int(judged[i]))) if judged[last_judged[q]] > judged[i]]
        suspects = [int(first[p]), *([int(contrary[p])] if contrary[p] >= 0 else [])]
        suspects += [int(first[near.other[p]])] if near.other[p] >= 0 else []
        conflicts = [j for j in suspects if _contradict(targets[i], targets[j])]
        bits = 0 if exact or sibling else int(np.bitwise_count(pictures.hashes[p] ^ pictures.hashes[near.any[p]]))
        lines.append(
            (
                numbers.setdefault(int(groups[i]), len(numbers)), rows[i], image_ids[i], splits[i],
                "exact" if exact else "near", image_ids[nearest], bits,
                *(image_ids[images[0]] if images else "" for images in (leaks, conflicts)), int(i in dropped),
            )
        )  # fmt: skip
    return pd.DataFrame(lines, columns=list(COLUMNS)).sort_values(["group", "row"], ignore_index=True)


@dataclass(frozen=True)
class _Near:
    """Nearest other picture of each picture: any, judged after train, in test, with other labels; -1 if none."""

    any: Indices
    judged: Indices
    tested: Indices
    other: Indices

    def leaks(self, picture: int, judged: int) -> list[int]:
        """Return the nearest picture in a split that is judged later, if there is one."""
        later = int((self.judged, self.tested)[judged][picture]) if judged < 2 else -1
        return [later] if later >= 0 else []


def _near(pictures: ImageGroups, first: Indices, judged: Indices, targets: NDArray[np.integer], distance: int) -> _Near:
    """Find them in one pass over all near pairs; ``judged`` is the latest split of each picture."""
    count, hashed = len(first), np.flatnonzero(pictures.hashed)
    far = (BITS + 1) * count
    keys = {name: np.full(count, far, dtype=np.intp) for name in ("any", "judged", "tested", "other")}
    for one, two, bits in near_pairs(pictures.hashes[hashed], distance):
        for a, b in ((hashed[one], hashed[two]), (hashed[two], hashed[one])):
            key = bits * count + b
            for name, chosen in (
                ("any", slice(None)),
                ("judged", judged[b] >= _JUDGED_ORDER["val"]),
                ("tested", judged[b] >= _JUDGED_ORDER["test"]),
                ("other", _contradict(targets[first[a]], targets[first[b]])),
            ):
                np.minimum.at(keys[name], a[chosen], key[chosen])
    return _Near(**{name: np.where(key < far, key % count, -1) for name, key in keys.items()})


def _first_contradiction(group: Indices, targets: NDArray[np.integer], first: Indices) -> Indices:
    """Return, for each picture, the first image whose labels contradict its first image; -1 if there is none."""
    contrary = np.full(len(first), -1, dtype=np.intp)
    images = np.flatnonzero(_contradict(targets, targets[first[group]]))[::-1]
    contrary[group[images]] = images  # The last one written is the first image.
    return contrary


def _contradict(one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return whether rows of labels contradict each other; a missing label contradicts none."""
    return np.asarray(((one != other) & (one != MISSING) & (other != MISSING)).any(axis=-1))


def drop_images(table: pd.DataFrame, image_ids: Collection[str]) -> pd.DataFrame:
    """Return a manifest without some of its images, or raise InputError if that empties a split."""
    left = table[~table["image_id"].isin(image_ids)].reset_index(drop=True)
    emptied = set(table["split"]) - set(left["split"])
    raise_problems(
        [
            f"all images of {split} are duplicates of others, and none is left. Set data.duplicates to report, or give "
            f"{split} other images."
            for split in SPLITS
            if split in emptied
        ],
        "duplicates",
    )
    return left


def summary(table: pd.DataFrame) -> dict[str, int]:
    """Count the groups of `duplicates_table` and its images by kind; ``leaks`` leaves out dropped images."""
    return {
        "groups": int(table["group"].nunique()),
        "exact": int((table["kind"] == "exact").sum()),
        "near": int((table["kind"] == "near").sum()),
        "leaks": int(((table["leak"] != "") & (table["dropped"] == 0)).sum()),
        "other_labels": int((table["other_labels"] != "").sum()),
        "dropped": int(table["dropped"].sum()),
    }


def duplicate_warnings(table: pd.DataFrame, where: Path) -> list[str]:
    """Warn of the duplicates, leaks and label conflicts in `duplicates_table`, which is at ``where``."""
    leaks, conflicts = table[(table["leak"] != "") & (table["dropped"] == 0)], table[table["other_labels"] != ""]
    warnings = []
    if len(table):
        groups, exact = table["group"].nunique(), int((table["kind"] == "exact").sum())
        warnings.append(
            f"{len(table)} images are duplicates, in {groups} groups ({exact} byte for byte), listed in {where}"
        )
    if len(leaks):
        pairs = [f"'{row.image_id}' of {row.split} is '{row.leak}'" for row in leaks.head(_MAX_NAMED).itertuples()]
        warnings.append(
            f"leak: {len(leaks)} images of train or val also appear in a later split, {_listed(pairs, len(leaks))}: "
            "results there look better than they are. Set data.duplicates to drop"
        )
    if len(conflicts):
        pairs = [f"'{row.image_id}' and '{row.other_labels}'" for row in conflicts.head(_MAX_NAMED).itertuples()]
        warnings.append(
            f"{len(conflicts)} images have other labels than a duplicate, {_listed(pairs, len(conflicts))}: look at "
            "them, and correct the sheet"
        )
    return warnings


def _listed(named: list[str], count: int) -> str:
    return ", ".join(named) + (", and others" if count > len(named) else "")
