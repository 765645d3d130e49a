"""Rows and images: which image belongs to which row, and which rows have none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from counterweight.base.errors import InputError
from counterweight.images.sources import Images


@dataclass(frozen=True)
class Matches:
    """The outcome of `match_files`.

    Attributes
    ----------
    paths : list of str
        The name of each row's image; empty where there is none.
    unlisted : list of str
        Images that no row names.
    missing : list of int
        Rows whose image is not there, from 0.
    problems : list of str
        A sentence for each row with more than one image, or with that of another row.
    """

    paths: list[str]
    unlisted: list[str]
    missing: list[int]
    problems: list[str]


def match_files(image_ids: Sequence[str], source: Images) -> Matches:
    """Find the image of each row.

    Parameters
    ----------
    image_ids : sequence of str
        Of a folder, paths relative to it, with or without the file's suffix; of an array, numbers; one a row of the
        sheet.
    source : FolderImages or ArrayImages
        The images. Only those in it are found, whatever the ids say.
    """
    paths, missing, problems = [], [], []
    user_of: dict[str, int] = {}
    for i, (image_id, found) in enumerate(zip(image_ids, source.find(image_ids), strict=True)):
        paths.append(found[0] if len(found) == 1 else "")
        if len(found) > 1:
            problems.append(
                f"row {i + 2}: image '{image_id}' may be {' or '.join(found)}. Give its suffix in the sheet."
            )
        elif not found and image_id:
            missing.append(i)
        elif found and user_of.setdefault(found[0], i) != i and image_ids[user_of[found[0]]] != image_id:
            problems.append(
                f"row {i + 2}: image '{image_id}' is {found[0]}, that of row {user_of[found[0]] + 2}. Delete a row."
            )
    named = set(paths)
    return Matches(paths, [name for name in source.names() if name not in named], missing, problems)


def missing_problems(matches: Matches, image_ids: Sequence[str], source: Images) -> list[str]:
    """A sentence for each row whose image is not there."""
    return [
        f"row {i + 2}: image '{image_ids[i]}' is not in {source.place}. {source.remedy}, or set data.missing_files "
        "to drop."
        for i in matches.missing
    ]


def bad_problems(bad: Mapping[int, str]) -> list[str]:
    """A sentence for each row whose image cannot be read."""
    return [
        f"row {i + 2}: {problem}. Replace the file or delete the row, or set data.bad_images to drop."
        for i, problem in bad.items()
    ]


def dropped_table(matches: Matches, others: Mapping[int, str], image_ids: Sequence[str]) -> pd.DataFrame:
    """The rows that are left out: ``row`` (as the sheet counts them), ``image_id`` and ``reason``.

    Parameters
    ----------
    matches : Matches
        Which rows have an image.
    others : mapping of int to str
        Rows, from 0, that are left out for another reason than that there is no such image.
    image_ids : sequence of str
        Of all rows.
    """
    reasons = dict.fromkeys(matches.missing, "there is no such image") | dict(others)
    rows = sorted(reasons)
    return pd.DataFrame(
        {
            "row": pd.Series([i + 2 for i in rows], dtype="int64"),
            "image_id": pd.Series([image_ids[i] for i in rows], dtype="str"),
            "reason": pd.Series([reasons[i] for i in rows], dtype="str"),
        }
    )


def rows_with_image(matches: Matches, bad: Mapping[int, str], source: Images) -> list[int]:
    """Rows whose image is there and can be read, from 0; an error if there is none."""
    rows = [i for i, path in enumerate(matches.paths) if path and i not in bad]
    if not rows:
        raise InputError(
            f"none of the {len(matches.paths)} rows has an image in {source.place} that can be read, so that all would "
            "be dropped. Set data.images and data.columns.image in params.yaml to your images."
        )
    return rows
