"""The report as one HTML page, which needs nothing from elsewhere."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATE = Path(__file__).with_name("report.html")
# What the numbers depend on.
PACKAGES = ("numpy", "opencv-python-headless", "imaug", "scikit-learn", "torch", "torchvision", "lightning", "dvc")


def page(chapters: Mapping[str, Mapping[str, Any]]) -> str:
    """Fill the template.

    All text is escaped, names of files and labels too; only charts of `counterweight.report.figures` are taken as they
    are.

    Parameters
    ----------
    chapters : mapping of str to mapping
        ``look``, ``labels``, ``clusters``, ``copies``, ``results`` and ``run``.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(TEMPLATE.name).render(chapters)


def run_chapter(params: str, ingest: Mapping[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """What was run.

    Parameters
    ----------
    params : str
        The text of params.yaml, with all seeds.
    ingest : mapping
        The metrics of ingest: rows dropped, bad images, duplicates and leaks.
    warnings : sequence of str
        What `counterweight.report.run_warnings.cautions` returned.
    """
    duplicates = ingest["duplicates"]
    facts = [
        ["rows dropped", ingest["dropped_rows"]],
        ["images without a row", ingest["unlisted_files"]],
        ["groups of duplicates", duplicates["groups"]],
        ["images that stand in a part that is judged later too", duplicates["leaks"]],
        ["duplicates with other labels", duplicates["other_labels"]],
        ["versions", ", ".join(f"{package} {version(package)}" for package in PACKAGES)],
    ]
    return {"warnings": warnings, "facts": facts, "params": params}
