"""Rows and images: match them, select the usable ones, and build the dataset from these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.errors import InputError, name_some
from counterweight.dataset.annotations import Annotations, select_rows
from counterweight.dataset.duplicates import drop_images, duplicates_table, redundant_images
from counterweight.dataset.near_duplicates import group_identical_images, near_duplicate_groups
from counterweight.dataset.split_completion import SplitConfig, Ties, complete_splits
from counterweight.images.folder_scan import TABLE_OR_TEXT
from counterweight.images.image_check import ImageCheck
from counterweight.images.sources import ImageSource
from counterweight.sheets.spreadsheet import Place, excel_row, row_name

# Why an image is unlisted.
NO_ROW = "no row names it"


@dataclass(frozen=True)
class ImageMatches:
    """The result of `match_files`."""

    paths: list[str]  # name of each row's image; empty if it has none
    unlisted: dict[str, str]  # images that no row names, and files that are not read, with the reason
    missing: list[int]  # rows without an image, from 0
    problems: list[str]  # one message per row that matches several images, or the image of another row
    place: Place = row_name  # names a row, from 0, for messages


def match_files(
    image_ids: Sequence[str], source: ImageSource, *, near: bool = False, place: Place = row_name
) -> ImageMatches:
    """Find the image of each row.

    Parameters
    ----------
    image_ids : sequence of str
        One per row: for a folder, a path relative to it, with or without suffix; for an array, a number.
    source : FolderImages or ArrayImages
        The images. Nothing outside it is found, whatever the ids say.
    near : bool
        Whether an id that refers to no image takes the one that it most likely means; see
        `counterweight.images.near_names.near_names`.
    place : callable
        Names a row, from 0, for messages.
    """
    paths, missing, problems = [], [], []
    user_of: dict[str, int] = {}
    found = source.find(image_ids)
    if near:
        lost = [i for i, names in enumerate(found) if not names]
        taken = {name for names in found for name in names}
        for i, name in zip(lost, source.near([image_ids[i] for i in lost], taken), strict=True):
            found[i] = [name] if name else []
    for i, (image_id, names) in enumerate(zip(image_ids, found, strict=True)):
        paths.append(names[0] if len(names) == 1 else "")
        if len(names) > 1:
            problems.append(
                f"{place(i)}: image '{image_id}' may be {' or '.join(names)}. Give its suffix in the sheet."
            )
        elif not names and image_id:
            missing.append(i)
        elif names and (user := user_of.setdefault(names[0], i)) != i and image_ids[user] != image_id:
            problems.append(
                f"{place(i)}: image '{image_id}' is {names[0]}, as in {place(user)}. Delete one of the rows."
            )
    named = set(paths)
    unlisted = {name: NO_ROW for name in source.names() if name not in named}
    return ImageMatches(paths, unlisted | dict(source.others), missing, problems, place)


def missing_problems(matches: ImageMatches, image_ids: Sequence[str], source: ImageSource) -> list[str]:
    """Return a message for each row without an image, which names the image that it most likely means."""
    unread = {str(PurePosixPath(name).with_suffix("")): name for name in source.others} | {
        name: name for name in source.others
    }
    problems = []
    ids, taken = [image_ids[i] for i in matches.missing], set(matches.paths)
    near_ones, elsewhere = (source.near(ids, taken, other_folders=others) for others in (False, True))
    for i, near, other in zip(matches.missing, near_ones, elsewhere, strict=True):
        where = f"{matches.place(i)}: image '{image_ids[i]}'"
        if name := unread.get(image_ids[i]):
            reason = source.others[name]
            problems.append(f"{where}: {name} {reason}. Replace the file, or set data.missing_files to drop.")
        elif near:
            problems.append(
                f"{where} is not in {source.location}, but {near} is. Set data.match_names to near, or correct the "
                "cell."
            )
        elif other:
            problems.append(
                f"{where} is not in {source.location}, but {other} is. Correct the cell if that is meant, or set "
                "data.missing_files to drop."
            )
        else:
            problems.append(f"{where} is not in {source.location}. {source.fix}, or set data.missing_files to drop.")
    return problems


def unreadable_problems(bad: Mapping[int, str], place: Place = row_name) -> list[str]:
    """Return a message for each row whose image cannot be read."""
    return [
        f"{place(i)}: {problem}. Replace the file or delete the row, or set data.bad_images to drop."
        for i, problem in bad.items()
    ]


def dropped_table(
    matches: ImageMatches, others: Mapping[int, str], image_ids: Sequence[str],
    number: Callable[[int], int] = excel_row,
) -> pd.DataFrame:  # fmt: skip
    """List the rows that are dropped: ``row`` (its number in the sheet), ``image_id`` and ``reason``.

    Parameters
    ----------
    matches : ImageMatches
        Tells which rows have no image.
    others : mapping of int to str
        Reasons for other rows, counted from 0.
    image_ids : sequence of str
        Ids of all rows.
    number : callable
        Returns the number in the sheet of a row, from 0.
    """
    reasons = dict.fromkeys(matches.missing, "there is no such image") | dict(others)
    rows = [(number(i), image_ids[i], reasons[i]) for i in sorted(reasons)]
    return pd.DataFrame(rows, columns=["row", "image_id", "reason"])


@dataclass(frozen=True)
class UsableImages:
    """Images that have a row and can be read, sorted by id, so that no draw depends on the order of the sheet.

    ``rows`` are the rows of the images in the sheet, from 0, and ``annotations`` their content.
    """

    rows: list[int]
    annotations: Annotations
    paths: list[str]
    checks: list[ImageCheck]


def usable_images(
    annotations: Annotations, matches: ImageMatches, checks: Sequence[ImageCheck], source: ImageSource
) -> UsableImages:
    """Select the images that have a row and can be read, or raise InputError if there are none."""
    rows = [i for i, path in enumerate(matches.paths) if path and not checks[i].problem]
    if not rows:
        raise InputError(
            f"none of the {len(matches.paths)} rows has a readable image in {source.location}, so all would be "
            "dropped. Set data.images and data.columns.image in params.yaml to your images."
        )
    rows.sort(key=annotations.image_ids.__getitem__)
    return UsableImages(
        rows, select_rows(annotations, rows), [matches.paths[i] for i in rows], [checks[i] for i in rows]
    )


def build_dataset(
    images: UsableImages, config: SplitConfig, *, max_hash_distance: int, drop_duplicates: bool,
    kept: Sequence[str] | None = None, number: Callable[[int], int] = excel_row,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[int, str]]:  # fmt: skip
    """Complete the splits, find duplicates, and build the manifest.

    Parameters
    ----------
    images : UsableImages
        The images.
    config : SplitConfig
        How images are dealt out, if the sheet does not have all splits.
    max_hash_distance : int
        Maximum number of bits in which the hashes of near duplicates differ.
    drop_duplicates : bool
        Whether duplicates among train and validation images are dropped.
    kept : sequence of str, optional
        The split that each image was dealt earlier, see `complete_splits`.
    number : callable
        Returns the number in the sheet of a row, from 0.

    Returns
    -------
    table : pandas.DataFrame
        The manifest.
    duplicates : pandas.DataFrame
        What `duplicates_table` returns.
    dropped : dict of int to str
        Rows of dropped duplicates, from 0, and the reason.
    """
    annotations, ids = images.annotations, images.annotations.image_ids
    checksums = [check.checksum for check in images.checks]
    pictures = group_identical_images(
        checksums, [check.hash for check in images.checks], [check.mirrored for check in images.checks]
    )
    ties = Ties(near_duplicate_groups(pictures, max_hash_distance), _group_numbers(annotations.groups))
    splits = complete_splits(annotations.splits, annotations.targets, config, ties, kept)
    table = manifest.build(ids, images.paths, splits, annotations.labels, annotations.targets, checksums)
    redundant = redundant_images(pictures, splits, max_hash_distance) if drop_duplicates else {}
    duplicates = duplicates_table(
        table, pictures, ties, rows=[number(i) for i in images.rows], distance=max_hash_distance, dropped=redundant
    )
    dropped = {images.rows[i]: f"is the same picture as '{ids[j]}'" for i, j in redundant.items()}
    return drop_images(table, [ids[i] for i in redundant]), duplicates, dropped


def _group_numbers(groups: Sequence[str] | None) -> NDArray[np.intp] | None:
    """Number the user's groups; an image without one is alone."""
    if groups is None:
        return None
    names: dict[str | int, int] = {}
    return np.array([names.setdefault(group or i, len(names)) for i, group in enumerate(groups)], dtype=np.intp)


def file_counts(unlisted: Mapping[str, str], dropped: pd.DataFrame, bad: Mapping[int, str]) -> dict[str, int]:
    """Count images without a row, dropped rows, and rows whose image cannot be read."""
    n_without_row = sum(reason == NO_ROW for reason in unlisted.values())
    return {"unlisted_files": n_without_row, "dropped_rows": len(dropped), "bad_images": len(bad)}


def file_warnings(
    unlisted: Mapping[str, str], dropped: int, lists: tuple[Path, Path], linked_folders: Sequence[str] = ()
) -> list[str]:
    """Warn of images without a row, files that are not read, dropped rows, and links that hide changes from DVC.

    ``lists`` are the tables of files and of rows that are left out.
    """
    warnings = []
    if linked_folders:
        warnings.append(
            f"DVC sees no change behind a link to a folder ({name_some(linked_folders)}). After one, run dvc repro "
            "--force ingest"
        )
    n_without_row = sum(reason == NO_ROW for reason in unlisted.values())
    if n_without_row:
        warnings.append(f"{n_without_row} images without a row are left out, listed in {lists[0]}")
    if n_unread := sum(reason not in (NO_ROW, TABLE_OR_TEXT) for reason in unlisted.values()):
        warnings.append(f"{n_unread} files are not read, listed with the reason in {lists[0]}")
    if dropped:
        warnings.append(f"{dropped} rows are dropped, listed with the reason in {lists[1]}")
    return warnings
