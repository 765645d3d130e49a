"""Duplicate images of a dataset: which leak between splits, which have conflicting labels, and which can be dropped.

For each image only the nearest duplicate of a kind is kept, since all pictures of a camera that does not move are near
each other.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.errors import name_some, raise_problems
from counterweight.base.manifest import MISSING, SPLITS
from counterweight.dataset.near_duplicates import ImageGroups, Indices, mirror_pairs, near_pairs
from counterweight.dataset.split_completion import ALL, Ties
from counterweight.images.perceptual_hash import BITS

# Results on a split are worthless if it has images of an earlier one.
_JUDGED_ORDER = {"train": 0, "val": 1, "test": 2}


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
    group, hashes, hashed = pictures.group, pictures.hashes, np.flatnonzero(pictures.hashed)
    representative = np.full(len(hashes), -1, dtype=np.intp)  # The first image of a picture or one near it.
    near = np.zeros(len(hashes), dtype=np.bool_)
    for first, second, _ in near_pairs(hashes[hashed], distance):
        near[hashed[first]] = near[hashed[second]] = True
    candidates = np.flatnonzero(near)
    replacement: dict[int, int] = {}
    for i in sorted(range(len(splits)), key=lambda i: -_JUDGED_ORDER[splits[i]]):
        if representative[group[i]] >= 0 and splits[i] != "test":
            replacement[i] = int(representative[group[i]])
            continue
        alike = [group[i]]
        if near[group[i]]:
            alike += candidates[np.bitwise_count(hashes[candidates] ^ hashes[group[i]]) <= distance].tolist()
        representative[alike] = np.where(representative[alike] < 0, i, representative[alike])
    return replacement


def duplicates_table(
    table: pd.DataFrame, pictures: ImageGroups, ties: Ties, *, rows: Sequence[int], distance: int,
    dropped: Collection[int],
) -> pd.DataFrame:  # fmt: skip
    """List every image that has a duplicate, or others in its group.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest of the images.
    pictures, ties : ImageGroups, Ties
        The picture of each image, and which images belong together.
    rows : sequence of int
        Row of each image in the sheet, as Excel counts.
    distance : int
        Maximum number of bits in which the hashes of near duplicates differ.
    dropped : collection of int
        Images that are dropped from the dataset.

    Returns
    -------
    pandas.DataFrame
        ``tied``, the group of images that stay in one split, and ``group``, that of duplicates (both from 0); ``row``,
        ``image_id``, ``split``; ``kind``: ``exact`` if another image has the same bytes, ``near``, ``mirror`` if one is
        nearly the mirror image of the other, or ``group`` if they only belong to one group of the user's;
        ``duplicate_of``: the nearest such image; ``bits``: how many bits of their hashes differ, if ``exact`` or
        ``near``; ``leak``: one in a later split (val or test for train, test for val); ``leak_kind``: ``duplicate``,
        ``mirror`` or ``group``; ``other_labels``: a duplicate with conflicting labels; ``dropped``: 0 or 1. If several
        images qualify, the nearest is named, and the first among equally near ones; cells without any are empty.
    """
    group, images, image_ids = pictures.group, np.arange(len(table)), table["image_id"].to_numpy()
    judged = np.array([_JUDGED_ORDER[split] for split in table["split"]], dtype=np.intp)
    targets = manifest.targets(table)
    first = np.unique(group, return_index=True)[1]
    ranked = np.lexsort((-judged, group))
    last_judged = ranked[np.unique(group[ranked], return_index=True)[1]]  # first image of the latest split
    contrary = first.copy()  # first image with other labels than the first one
    contradicting = np.flatnonzero(_contradict(targets, targets[first[group]]))[::-1]
    contrary[group[contradicting]] = contradicting  # The last one written is the first image.
    nearest = _nearest_pictures(pictures, judged[last_judged], targets[first], distance)
    later, other, near = nearest[judged, group], nearest[3][group], nearest[4][group]
    later_mirror, mirror = nearest[judged + 5, group], nearest[8][group]
    exact, tied = _first_other(table["checksum"].to_numpy()), images
    last_tied = images
    if ties.groups is not None:
        left = np.where(np.isin(images, list(dropped)), -1, judged)  # What is dropped leaks nowhere.
        tied, ranked = _first_other(ties.groups), np.lexsort((-left, ties.groups))
        last_tied = ranked[np.unique(ties.groups[ranked], return_index=True)[1]][ties.groups]

    # Candidates in order of preference. One that is the image itself meets no condition.
    candidates = [exact, _first_other(group), first[near], first[mirror], tied]
    duplicate_of = np.select([j != images for j in candidates], candidates, -1)
    kind = np.select([j != images for j in candidates], ["exact", "near", "near", "mirror", "group"], "")
    candidates = [last_judged[group], last_judged[later], last_judged[later_mirror], last_tied]
    is_later = [judged[j] > judged for j in candidates]
    leaks = np.select(is_later, candidates, -1)
    leak_kind = np.select(is_later, ["duplicate", "duplicate", "mirror", "group"], "")
    candidates = [first[group], contrary[group], first[other]]
    conflicts = np.select([_contradict(targets, targets[j]) for j in candidates], candidates, -1)

    listed = np.flatnonzero(duplicate_of >= 0)
    bits = np.bitwise_count(pictures.hashes[group] ^ pictures.hashes[group[duplicate_of]])[listed]
    columns = {
        "tied": pd.factorize(ties.units(ALL)[listed])[0],
        "group": pd.factorize(ties.duplicates[listed])[0],
        "row": np.array(rows)[listed],
        "image_id": image_ids[listed],
        "split": table["split"].to_numpy()[listed],
        "kind": kind[listed],
        "duplicate_of": image_ids[duplicate_of[listed]],
        "bits": pd.array(bits, dtype="Int64"),
        "leak": np.where(leaks >= 0, image_ids[leaks], "")[listed],
        "leak_kind": leak_kind[listed],
        "other_labels": np.where(conflicts >= 0, image_ids[conflicts], "")[listed],
        "dropped": np.isin(images, list(dropped)).astype(int)[listed],
    }
    result = pd.DataFrame(columns).sort_values(["tied", "group", "row"], ignore_index=True)
    return result.assign(bits=result["bits"].mask(result["kind"].isin(["mirror", "group"])))


def _nearest_pictures(pictures: ImageGroups, judged: Indices, targets: NDArray[np.integer], distance: int) -> Indices:
    """Return, for each picture, the nearest other one that meets a condition, or itself if none does.

    ``judged`` and ``targets`` are those of each picture. The conditions, one per row of the result: judged later than
    train, than val, and than test; has other labels; any. Then, of mirror images, the first three and the last again.
    """
    count, hashed = len(judged), np.flatnonzero(pictures.hashed)
    keys = np.tile(np.arange(count) + (BITS + 1) * count, (9, 1))

    def keep(rows: NDArray[np.int64], a: Indices, numbers: Indices, conditions: Sequence[NDArray[np.bool_]]) -> None:
        for key, chosen in zip(rows, conditions, strict=True):
            np.minimum.at(key, a[chosen], numbers[chosen])

    for one, two, bits in near_pairs(pictures.hashes[hashed], distance):
        for a, b in ((hashed[one], hashed[two]), (hashed[two], hashed[one])):
            later = [judged[b] > split for split in _JUDGED_ORDER.values()]
            keep(keys[:5], a, bits * count + b, [*later, _contradict(targets[a], targets[b]), bits >= 0])
    for a, b, bits in mirror_pairs(pictures, distance):
        later = [judged[b] > split for split in _JUDGED_ORDER.values()]
        keep(keys[5:], a, bits * count + b, [*later, bits >= 0])
    return keys % count


def _first_other(group: NDArray[Any]) -> Indices:
    """Return, for each image, the first other one of its group, or itself if there is none."""
    images = pd.Series(np.arange(len(group)))
    first = images.groupby(group).transform("min")
    second = images.where(images != first).groupby(group).transform("min").fillna(images)
    return first.where(images != first, second).to_numpy(dtype=np.intp)


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
    """Count the groups of `duplicates_table` and its images by kind; leaks leave out dropped images."""
    is_leak = (table["leak"] != "") & (table["dropped"] == 0)
    return {
        "groups": int(table["group"][table["kind"] != "group"].nunique()),
        "exact": int((table["kind"] == "exact").sum()),
        "near": int((table["kind"] == "near").sum()),
        "mirror": int((table["kind"] == "mirror").sum()),
        "leaks": int((is_leak & (table["leak_kind"] == "duplicate")).sum()),
        "mirror_leaks": int((is_leak & (table["leak_kind"] == "mirror")).sum()),
        "group_leaks": int((is_leak & (table["leak_kind"] == "group")).sum()),
        "other_labels": int((table["other_labels"] != "").sum()),
        "dropped": int(table["dropped"].sum()),
    }


def duplicate_warnings(table: pd.DataFrame, where: Path) -> list[str]:
    """Warn of the duplicates, leaks and label conflicts in `duplicates_table`, which is at ``where``."""
    left, duplicates = table[table["dropped"] == 0], table[table["kind"] != "group"]
    leaks, mirrored, tied = (left[left["leak_kind"] == kind] for kind in ("duplicate", "mirror", "group"))
    conflicts = table[table["other_labels"] != ""]
    warnings = []
    if len(duplicates):
        exact = (table["kind"] == "exact").sum()
        warnings.append(
            f"{len(duplicates)} images are duplicates, in {duplicates['group'].nunique()} groups ({exact} byte for "
            f"byte), listed in {where}"
        )
    if len(leaks):
        pairs = [f"'{row.image_id}' of {row.split} is '{row.leak}'" for row in leaks.itertuples()]
        warnings.append(
            f"leak: {len(leaks)} images of train or val also appear in a later split, {name_some(pairs)}: "
            "results there look better than they are. Set data.duplicates to drop"
        )
    if len(mirrored):
        pairs = [f"'{row.image_id}' of {row.split} is that of '{row.leak}'" for row in mirrored.itertuples()]
        warnings.append(
            f"leak: {len(mirrored)} images of train or val are the mirror image of one in a later split, "
            f"{name_some(pairs)}: results there look better than they are. Correct the splits, or set "
            "data.columns.split to null"
        )
    if len(tied):
        pairs = [f"'{row.image_id}' of {row.split} is with '{row.leak}'" for row in tied.itertuples()]
        warnings.append(
            f"leak: {len(tied)} images of train or val share a group with a later split, {name_some(pairs)}: results "
            "there look better than they are. Correct the splits, or set data.columns.split to null"
        )
    if len(conflicts):
        pairs = [f"'{row.image_id}' and '{row.other_labels}'" for row in conflicts.itertuples()]
        warnings.append(
            f"{len(conflicts)} images have other labels than one that is the same or nearly the same picture, "
            f"{name_some(pairs)}: look at both, and correct the sheet if they show the same"
        )
    return warnings
