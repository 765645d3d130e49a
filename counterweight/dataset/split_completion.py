"""Complete the splits of a sheet: deal images out to test and validation, and let those that were dealt out stay."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from counterweight.base.errors import InputError
from counterweight.dataset.stratified_split import stratified_sample

log = logging.getLogger("ingest")

Indices = NDArray[np.intp]

# Largest group of near duplicates that is kept in one split, as a fraction of the rows to choose.
_MAX_GROUP_SHARE = 0.1
# Part of the new images that one split may get, so that another has images of a new kind, too.
_MAX_NEW_SHARE = 0.5
# More images than any group has: none is divided.
ALL = 2**62
_COLUMNS = ["image_id", "checksum", "split", "dealt"]


@dataclass(frozen=True)
class SplitConfig:
    """How images are dealt out: fractions of all for test and of train for validation, if a sheet lacks them; the seed.

    ``split`` and ``group`` are the sheet's columns of splits and groups.
    """

    test: float
    validation: float
    seed: int
    split: str | None = None
    group: str | None = None

    @classmethod
    def from_params(cls, data: Mapping[str, Any]) -> Self:
        """Read the section ``data`` of params.yaml."""
        columns = data["columns"]
        return cls(data["test"], data["validation"], data["seed"], columns["split"], columns["group"])

    def __str__(self) -> str:
        """Say how images are dealt out, for the table that remembers it."""
        columns = f"split {self.split}, group {self.group}"
        return f"test {self.test}, validation {self.validation}, seed {self.seed}, {columns}"


@dataclass(frozen=True)
class Ties:
    """Which images belong together, each an array of group numbers of shape (n_images,).

    ``duplicates`` are near duplicates; a group of very many is divided. ``groups`` are the user's own, such as
    patients, which never are; None without any.
    """

    duplicates: Indices
    groups: Indices | None

    def take(self, rows: Indices) -> "Ties":
        """Return the ties among some of the images."""
        return Ties(self.duplicates[rows], None if self.groups is None else self.groups[rows])

    def units(self, size: int) -> Indices:
        """Return numbers of groups that stay in one split of about a number of images, from 0."""
        counts = np.bincount(self.duplicates)
        small = (counts <= max(size * _MAX_GROUP_SHARE, 2))[self.duplicates]
        alone = counts.size + np.arange(len(small))
        units = np.where(small, self.duplicates, alone)
        if self.groups is not None:
            # Images are tied if they have a unit or a group in common.
            edges = units, counts.size + len(small) + self.groups
            count = int(edges[1].max()) + 1
            graph = coo_array((np.ones(len(small), np.int8), edges), shape=(count, count))
            units = connected_components(graph, directed=False)[1][units]
        return np.unique(units, return_inverse=True)[1]


def complete_splits(
    splits: Sequence[str] | None,
    targets: NDArray[np.integer],
    config: SplitConfig,
    ties: Ties | None = None,
    kept: Sequence[str] | None = None,
) -> list[str]:
    """Add the splits that a sheet lacks: test if it has no splits, val if it has no val rows.

    Parameters
    ----------
    splits : sequence of str or None
        ``train``, ``val`` or ``test`` for each image; None if the sheet has no splits.
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    config : SplitConfig
        How many images are dealt out.
    ties : Ties, optional
        Which images belong together.
    kept : sequence of str, optional
        The split that an image was dealt earlier; empty for a new one. Only new ones are dealt out, so that the splits
        as a whole come near their fractions.

    Returns
    -------
    list of str
        Split of each image. Test rows stay test, and only train rows become val.

    Raises
    ------
    InputError
        If a split would be empty.
    """
    if len(targets) < (3 if splits is None else 1):
        raise InputError(f"the sheet has {len(targets)} rows; at least 3 are needed: train, val and test. Add rows.")
    parts = np.array(["train"] * len(targets) if splits is None else list(splits), dtype=object)
    earlier = np.array([""] * len(targets) if kept is None else list(kept), dtype=object)
    ties = ties or Ties(np.arange(len(targets)), None)
    if splits is None:
        parts[_deal(np.arange(len(targets)), targets, earlier, ties, "test", config.test, config.seed)] = "test"
    if "val" not in parts:
        train = np.flatnonzero(parts == "train")
        if len(train) < 2:
            raise InputError(
                f"the sheet has {len(train)} train rows; at least 2 are needed. Add rows whose split is train."
            )
        parts[_deal(train, targets, earlier, ties, "val", config.validation, config.seed)] = "val"
    for part in ("train", "test"):
        if part not in parts:
            raise InputError(f"no row is in {part}. Give at least one row the split '{part}'.")
    return [str(part) for part in parts]


def _deal(
    rows: Indices, targets: NDArray[np.integer], earlier: NDArray[np.object_], ties: Ties, part: str, fraction: float,
    seed: int,
) -> Indices:  # fmt: skip
    """Return which of some rows are in a part: those that were dealt to it earlier, and new ones up to a fraction."""
    wanted = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
    units, dealt = ties.take(rows).units(wanted), earlier[rows]
    is_in = dealt == part
    # A new image goes where the first of its group went.
    known, first = np.unique(units[dealt != ""], return_index=True)
    of_unit = dict(zip(known.tolist(), is_in[dealt != ""][first].tolist(), strict=True))
    new = dealt == ""
    joins = np.array([unit in of_unit for unit in units.tolist()]) & new
    is_in[joins] = [of_unit[unit] for unit in units[joins].tolist()]
    free = np.flatnonzero(new & ~joins)
    lacking = wanted - int(is_in.sum())
    if not len(free) and (is_in.all() or not is_in.any()):
        log.warning("no image is left in %s, or none outside of it, so images are dealt out to it anew", part)
        return _deal(rows, targets, np.full_like(earlier, ""), ties, part, fraction, seed)
    if len(free) == len(rows):
        if ties.groups is not None and units.max() == 0:
            raise InputError("all images are in one group, so no split can be made. Check data.columns.group.")
        chosen = _sample(targets[rows], units, fraction, seed, is_divided=ties.groups is not None)
    elif lacking > 0 and len(free):
        share = min(lacking / len(free), _MAX_NEW_SHARE)
        chosen = _sample(targets[rows[free]], units[free], share, seed, is_divided=True)
    else:
        chosen = free[:0]
    is_in[free[chosen]] = True
    return np.asarray(rows[is_in], dtype=np.intp)


def _sample(targets: NDArray[np.integer], units: Indices, fraction: float, seed: int, *, is_divided: bool) -> Indices:
    """Choose about a fraction of the rows, whole units of them.

    ``is_divided`` samples units; otherwise images are sampled, and each unit follows its first.
    """
    if is_divided:
        _, unit = np.unique(units, return_inverse=True)
        has = np.zeros((unit.max() + 1, targets.shape[1]), dtype=np.int8)
        np.maximum.at(has, unit, (targets == 1).astype(np.int8))
        if len(has) < 2:
            return np.arange(len(unit) if fraction >= _MAX_NEW_SHARE else 0)
        return np.flatnonzero(np.isin(unit, stratified_sample(has, fraction, seed)))
    chosen = stratified_sample(targets, fraction, seed)
    first = np.unique(units, return_index=True)[1]
    whole = np.flatnonzero(np.isin(first[units], chosen))
    return whole if 0 < len(whole) < len(targets) else chosen


def read_kept(path: Path, image_ids: Sequence[str], checksums: Sequence[str], config: SplitConfig) -> list[str]:
    """Return the split that each image was dealt earlier, empty for new ones, from a table of `kept_table`.

    An image is known by its checksum, of several with the same first by its id. One that was edited is known by its id
    alone, if others have stayed as they were. All are new if there is no such table, or it was dealt differently.
    """
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
    except FileNotFoundError:
        return [""] * len(image_ids)
    if list(table.columns) != _COLUMNS or not (table["dealt"] == str(config)).all():
        return [""] * len(image_ids)
    known = list(zip(table["image_id"], table["checksum"], strict=True))
    split_of = dict(zip(known, table["split"], strict=True))
    images = list(zip(image_ids, checksums, strict=True))
    kept = {image: split_of.pop(image) for image in images if image in split_of}
    by_checksum: dict[str, list[tuple[str, str]]] = {}
    for old in reversed(split_of):
        by_checksum.setdefault(old[1], []).append(old)
    for image in images:
        if image not in kept and by_checksum.get(image[1]):
            kept[image] = split_of.pop(by_checksum[image[1]].pop())
    by_id = {old[0]: split for old, split in split_of.items()} if kept else {}
    return [kept.get(image) or by_id.get(image[0], "") for image in images]


def kept_table(table: pd.DataFrame, splits: Sequence[str] | None, config: SplitConfig) -> pd.DataFrame:
    """Return what `read_kept` reads: the images of a manifest with their splits; none if the sheet has all splits."""
    is_dealt = splits is None or "val" not in splits
    rows = table if is_dealt else table.head(0)
    return rows[["image_id", "checksum", "split"]].assign(dealt=str(config))
