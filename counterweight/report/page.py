"""The report as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATE = Path(__file__).with_name("report.html")
# Packages whose versions affect the numbers.
_PACKAGES = ("numpy", "opencv-python-headless", "imaug", "scikit-learn", "torch", "torchvision", "lightning", "dvc")


def render_page(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Fill the template.

    All text is escaped, including names of files and labels; only charts of `counterweight.report.figures` are inserted
    as they are.

    Parameters
    ----------
    sections : mapping of str to mapping
        ``summary``, ``labels``, ``clusters``, ``copies``, ``results`` and ``run``.
    """
    loader = FileSystemLoader(_TEMPLATE.parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(_TEMPLATE.name).render(sections)


def run_section(params: str, ingest: Mapping[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """Describe the run.

    Parameters
    ----------
    params : str
        The text of params.yaml.
    ingest : mapping
        The metrics of ingest: dropped rows, bad images, duplicates and leaks.
    warnings : sequence of str
        The result of `counterweight.report.run_warnings.run_warnings`.
    """
    duplicates = ingest["duplicates"]
    facts = [
        ["rows dropped", ingest["dropped_rows"]],
        ["images without a row", ingest["unlisted_files"]],
        ["groups of duplicates", duplicates["groups"]],
        ["images that also appear in a later split (leaks)", duplicates["leaks"]],
        ["duplicates with other labels", duplicates["other_labels"]],
        ["versions", ", ".join(f"{package} {version(package)}" for package in _PACKAGES)],
    ]
    return {"warnings": warnings, "facts": facts, "params": params}
