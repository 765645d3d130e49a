"""Make the generated parts of README.md anew: the params table, the graph, and the picture of the example.

    python -m docs.readme

The table comes from the models in counterweight/base/schema.py and the graph from dvc.yaml; the picture needs the
example's outputs, so run `make repro` first.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from dvc.repo import Repo
from matplotlib.figure import Figure
from pydantic import BaseModel

from counterweight.base import manifest
from counterweight.base.params import Params
from counterweight.base.schema import Section
from counterweight.images import codec
from counterweight.metrics.charts import COLOURS
from docs.parts import put_between

PROJECT = Path(__file__).parent.parent
COPIES_SHOWN = 7


def params_table() -> str:
    """The params as a Markdown table, one row a param, with the value in params.yaml."""
    values = Repo(PROJECT).params.show()[""]["data"]["params.yaml"]["data"]
    lines = ["| param | in params.yaml | what it is |", "|---|---|---|"]
    for name, field, value in _fields(Params, values):
        shown = ", ".join(f"`{key}`" for key in value) if isinstance(value, dict) else f"`{_yaml(value)}`"
        lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def graph() -> str:
    """The stages and what feeds them, as Mermaid draws it."""
    edges = {
        (source.addressing.rpartition(":")[2], target.addressing.rpartition(":")[2])
        for target, source in Repo(PROJECT).index.graph.edges
    }
    lines = [f"    {_node(source)} --> {_node(target)}" for source, target in sorted(edges)]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```", ""])


def picture(path: Path) -> None:
    """Clusters before and after, and copies beside their sources, from the example's outputs."""
    table = manifest.read(PROJECT / "augmented/manifest.csv")
    train = manifest.of_split(table, "train")
    after = train["cluster"].value_counts().sort_index()
    before = train["cluster"][train["source_id"] == ""].value_counts().sort_index()
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    bars, pictures = np.asarray(figure.subfigures(1, 2, width_ratios=(1, 2.3)))
    axes = bars.subplots()
    axes.bar(after.index, after, color=COLOURS[1], label="copies")
    axes.bar(before.index, before, color=COLOURS[0], label="originals")
    axes.set_xlabel("cluster")
    axes.set_ylabel("train images")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    filled = [cluster for cluster in after.index if after[cluster] > before[cluster]]
    grid = pictures.subplots(len(filled), 1 + COPIES_SHOWN, squeeze=False)
    for row, cluster in zip(grid, filled, strict=True):
        members = train[train["cluster"] == cluster]
        copies = members[members["source_id"] != ""]
        source_id = copies["source_id"].value_counts(sort=False).idxmax()
        source = members.set_index("image_id").loc[source_id]
        shown = [PROJECT / "data/resized" / source["path"]]
        shown += [PROJECT / "augmented/images" / path for path in copies["path"][copies["source_id"] == source_id]]
        for cell in row:
            cell.set_axis_off()
        for cell, file in zip(row, shown, strict=False):
            cell.imshow(codec.read(file))
        row[0].set_title(f"cluster {cluster}", fontsize=8, loc="left")
        row[1].set_title("copies", fontsize=8, loc="left", color=COLOURS[1])
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _fields(model: type[BaseModel], values: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _fields(kind, values[name], f"{prefix}{name}.")
        else:
            yield prefix + name, field, values[name]


def _yaml(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _node(name: str) -> str:
    return f'{name.replace("@", "_")}["{name}"]'


if __name__ == "__main__":
    put_between(PROJECT / "README.md", {"params": params_table(), "graph": graph()})
    picture(PROJECT / "docs/example.png")
