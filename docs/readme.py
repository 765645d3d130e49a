"""Regenerate parts of README.md and docs/: the tables of params, the graph, lists of sections, and two pictures.

    python -m docs.readme

The tables come from the models in counterweight/base/schema.py and the graph from dvc.yaml. The pictures, of
the example and of its report, need its outputs, so run `make repro` first; that of the report also needs Chromium.
"""

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from dvc.repo import Repo
from dvc.stage import PipelineStage as Stage
from matplotlib.figure import Figure
from pydantic import BaseModel

from counterweight.base import manifest
from counterweight.base.params import Params
from counterweight.base.schema import Section
from counterweight.images import codec
from counterweight.metrics.charts import COLORS
from docs.parts import put_between
from tests.browser import CHROMIUM, look_at

PROJECT = Path(__file__).parent.parent
PAIRS_SHOWN = 4
# Sections of the report that have a picture of their own; the pixels that one shows, and those above its title.
SECTIONS = ("remedies", "doubts")
TOP, MARGIN = 760, 24
# Lines of a page above which it begins with a list of its sections, if it has as many.
MAX_LINES, MIN_SECTIONS = 100, 3

# The rooms of the library; each imports only itself and rooms before it.
ROOMS = (
    "base", "runtime", "images", "metrics", "sheets", "dataset", "export", "clustering", "augmentation", "networks",
    "training", "evidence", "explanation", "onboarding", "report",
)  # fmt: skip


# The params that people change first, in README.md; and those that they change next, in docs/params.md before the rest.
FIRST = (
    "data.images", "data.sheet", "data.task", "data.columns.image", "data.columns.split", "data.columns.labels",
    "features.weights", "features.crop", "cluster.n_clusters", "augment.strategy", "augment.target", "augment.pipeline",
    "train.arms", "train.weights",
)  # fmt: skip
NEXT = (
    "data.separator", "data.missing", "data.missing_files", "data.bad_images", "data.duplicates", "data.test",
    "data.validation", "resize.width", "resize.height", "resize.mode", "features.model", "features.layer",
    "features.engine", "cluster.sweep", "augment.resampling", "augment.fill_smallest", "augment.copy_mode",
    "augment.copies_per_image", "augment.composition", "augment.pipelines", "sheet.format", "export.formats",
    "train.repeats",
    "train.model", "train.layer", "train.freeze", "train.crop", "train.input_size", "train.transforms", "train.loss",
    "train.weighting", "train.optimizer", "train.learning_rate", "train.epochs", "train.monitor",
    "train.threshold_metric", "train.batch_size", "evaluate.thresholds",
)  # fmt: skip


def param_groups() -> dict[str, list[str]]:
    """Names of all params by how often people change them: ``first``, ``next`` and ``rarely``."""
    values = Repo(PROJECT).params.show()[""]["data"]["params.yaml"]["data"]
    names = [name for name, _, _ in _fields(Params, values)]
    return {"first": list(FIRST), "next": list(NEXT), "rarely": [name for name in names if name not in FIRST + NEXT]}


def params_table(names: Collection[str]) -> str:
    """Return a Markdown table with a row per param: its value in params.yaml and its description."""
    values = Repo(PROJECT).params.show()[""]["data"]["params.yaml"]["data"]
    lines = ["| param | in params.yaml | what it is |", "|---|---|---|"]
    for name, field, value in _fields(Params, values):
        if name not in names:
            continue
        shown = ", ".join(f"`{key}`" for key in value) if value and isinstance(value, dict) else f"`{_yaml(value)}`"
        lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def rooms() -> str:
    """Return the map of the library: a line per room, in the order in which rooms may import each other."""
    lines = []
    for room in ROOMS:
        source = (PROJECT / "counterweight" / room / "__init__.py").read_text(encoding="utf-8")
        lines.append(f"- `{room}`: {ast.get_docstring(ast.parse(source))}")
    return "\n".join([*lines, ""])


def graph() -> str:
    """The stages and what feeds them, as Mermaid draws it. The arms share their nodes."""
    edges = {(_node(source), _node(target)) for target, source in Repo(PROJECT).index.graph.edges}
    lines = [f"    {source} --> {target}" for source, target in sorted(edges)]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```", ""])


def long_pages() -> list[Path]:
    """Pages of docs/ that are longer than two screens and have sections to choose from."""
    texts = {page: page.read_text(encoding="utf-8") for page in sorted((PROJECT / "docs").glob("*.md"))}
    return [
        page
        for page, text in texts.items()
        if len(text.splitlines()) > MAX_LINES and len(_sections(text)) >= MIN_SECTIONS
    ]


def contents(page: str) -> str:
    """Return the list of a page's sections, as links by GitHub's rule for anchors."""
    links = [f"[{title}](#{re.sub(r'[^a-z0-9_ -]', '', title.lower()).replace(' ', '-')})" for title in _sections(page)]
    return f"On this page: {' · '.join(links)}\n"


def _sections(page: str) -> list[str]:
    """Titles of a page's sections, outside of blocks of code."""
    return re.findall(r"^## (.+)$", re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)


def pictures_of_the_report(folder: Path) -> None:
    """Picture the beginning of the example's report, and of some of its sections, where there is a Chromium."""
    if CHROMIUM:
        begins = {name: f"document.getElementById('{name}').getBoundingClientRect().top" for name in SECTIONS}
        view = look_at(PROJECT / "results/report.html", width=1080, scheme="light", questions=begins)
        pixels = cv2.imdecode(np.frombuffer(view.screenshot, np.uint8), cv2.IMREAD_COLOR)
        for name, begin in {"report": 0, **view.answers}.items():
            cut = pixels[max(int(begin) - MARGIN, 0) :][:TOP]
            cv2.imwrite(str(folder / f"{name}.png"), cut, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def picture(path: Path) -> None:
    """Clusters before and after, and copies beside their sources, from the example's outputs."""
    table = manifest.read(PROJECT / "augmented/manifest.csv")
    train = manifest.rows_of_split(table, "train")
    after = train["cluster"].value_counts().sort_index()
    before = train["cluster"][train["source_id"] == ""].value_counts().sort_index()
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    bars, pictures = np.asarray(figure.subfigures(1, 2, width_ratios=(1, 2.3)))
    axes = bars.subplots()
    axes.bar(after.index, after, color=COLORS[1], label="copies")
    axes.bar(before.index, before, color=COLORS[0], label="originals")
    axes.set_xlabel("cluster")
    axes.set_ylabel("train images")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    filled = [cluster for cluster in after.index if after[cluster] > before[cluster]]
    grid = pictures.subplots(len(filled), 2 * PAIRS_SHOWN, squeeze=False)
    paths = train.set_index("image_id")["path"]
    for row, cluster in zip(grid, filled, strict=True):
        copies = train[(train["cluster"] == cluster) & (train["source_id"] != "")]
        pairs = copies.drop_duplicates("source_id").head(PAIRS_SHOWN)
        for cell in row:
            cell.set_axis_off()
        for i, (source, path_of_copy) in enumerate(zip(pairs["source_id"], pairs["path"], strict=True)):
            row[2 * i].imshow(codec.read(PROJECT / "data/resized" / paths[source]))
            row[2 * i + 1].imshow(codec.read(PROJECT / "augmented/images" / path_of_copy))
            row[2 * i + 1].set_title("copy", fontsize=8, loc="left", color=COLORS[1])
        row[0].set_title(f"cluster {cluster}", fontsize=8, loc="left")
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


def _node(stage: Stage) -> str:
    name, _, arm = stage.addressing.rpartition(":")[2].partition("@")
    return f'{name}["{name}, once per arm"]' if arm else name


if __name__ == "__main__":
    tables = {group: params_table(names) for group, names in param_groups().items()}
    put_between(PROJECT / "README.md", {"params": tables["first"], "graph": graph(), "rooms": rooms()})
    put_between(PROJECT / "CONTRIBUTING.md", {"rooms": rooms()})
    put_between(PROJECT / "docs/params.md", tables)
    for long_page in long_pages():
        put_between(long_page, {"contents": contents(long_page.read_text(encoding="utf-8"))})
    picture(PROJECT / "docs/example.png")
    pictures_of_the_report(PROJECT / "docs")
