"""What a user should know of the data though it is no error, as sentences."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from counterweight.dataset.annotations import Annotations

# What becomes of missing label cells, by data.missing.
_TREATMENT = {
    "mask": "they are left out of loss and metrics",
    "negative": "they are read as 0",
    "self_train": "those of train are filled by a classifier, the others left out of metrics",
}
# Images that a sentence names; all are in the list that it points to.
_NAMED = 3


def about_files(unlisted: int, dropped: int, places: Mapping[str, Path]) -> list[str]:
    """What is left out.

    Parameters
    ----------
    unlisted, dropped : int
        Images without a row, and rows that are left out.
    places : mapping of str to Path
        Where ``unlisted`` and ``dropped`` are listed.
    """
    said = []
    if unlisted:
        said.append(f"{unlisted} images without a row are left out, listed in {places['unlisted']}")
    if dropped:
        said.append(f"{dropped} rows are dropped, listed with the reason in {places['dropped']}")
    return said


def about_labels(rows: Annotations, missing: str) -> list[str]:
    """Missing label cells, and images without any label.

    Parameters
    ----------
    rows : Annotations
        What the sheet says.
    missing : str
        ``data.missing``.
    """
    said = []
    if rows.missing.any():
        counts = zip(rows.labels, rows.missing.sum(axis=0), strict=True)
        cells = ", ".join(f"{count} of '{name}'" for name, count in counts if count)
        said.append(f"label cells are missing, {cells}: {_TREATMENT[missing]}")
    unlabelled = int(((rows.targets == 0) & ~rows.missing).all(axis=1).sum())
    if unlabelled:
        said.append(f"{unlabelled} rows have no label; they take part as images that show none")
    return said


def about_duplicates(table: pd.DataFrame, where: Path) -> list[str]:
    """Duplicates, leaks and contradictions.

    Parameters
    ----------
    table : pandas.DataFrame
        What `duplicates.duplicates_table` returned.
    where : Path
        Where it is.
    """
    stay = table[table["dropped"] == 0]
    leaks, contradictions = stay[stay["leak"] != ""], table[table["other_labels"] != ""]
    said = []
    if len(table):
        groups, exact = table["group"].nunique(), int((table["kind"] == "exact").sum())
        said.append(
            f"{len(table)} images are {groups} pictures that stand there more than once ({exact} with the same bytes "
            f"as another), listed in {where}"
        )
    if len(leaks):
        pairs = [f"'{one.image_id}' of {one.split} is '{one.leak}'" for one in leaks.head(_NAMED).itertuples()]
        said.append(
            f"leak: {len(leaks)} images of train or val stand in a part that is judged later too, "
            f"{_listed(pairs, len(leaks))}: results there look better than they are. Set data.duplicates to drop"
        )
    if len(contradictions):
        pairs = [f"'{one.image_id}' and '{one.other_labels}'" for one in contradictions.head(_NAMED).itertuples()]
        said.append(
            f"{len(contradictions)} images have other labels than a duplicate of theirs, "
            f"{_listed(pairs, len(contradictions))}: look at them, and correct the sheet"
        )
    return said


def _listed(named: list[str], count: int) -> str:
    return ", ".join(named) + (", and others" if count > len(named) else "")
