"""What the page calls the clusters."""

from collections.abc import Mapping

import pandas as pd

from counterweight.base import manifest
from counterweight.base.errors import raise_problems


def cluster_titles(table: pd.DataFrame, names: Mapping[str, str]) -> dict[int, str]:
    """Return the title of each cluster: its number, with the names that people gave it.

    A name belongs to an image, and the cluster that holds the image has it. So it stays with its images when other
    params number the clusters anew.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with clusters.
    names : mapping of str to str
        A train image of the cluster by each name.

    Raises
    ------
    InputError
        If one of the images is no train image.
    """
    train = manifest.rows_of_split(table, "train")
    cluster_of = dict(zip(train["image_id"], train["cluster"].astype(int), strict=True))
    raise_problems(
        [
            f"report.cluster_names: '{image}', which stands for '{name}', is no train image. Give one of the cluster's "
            "most typical images, as the report shows them."
            for name, image in names.items()
            if image not in cluster_of
        ],
        "params.yaml",
    )
    titles = {number: str(number) for number in sorted(set(cluster_of.values()))}
    for number in titles:
        if given := [name for name, image in names.items() if cluster_of[image] == number]:
            titles[number] += f" ({', '.join(given)})"
    return titles
