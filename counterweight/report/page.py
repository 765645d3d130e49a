"""The report as one self-contained HTML page."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from counterweight.base import manifest
from counterweight.metrics.imbalance import absent_label_warnings

_TEMPLATE = Path(__file__).with_name("report.html")
# Packages whose versions affect the numbers.
_PACKAGES = ("numpy", "opencv-python-headless", "imaug", "scikit-learn", "torch", "torchvision", "lightning", "dvc")

# Below this AUC, imputed labels are hardly better than chance.
_MIN_IMPUTED_AUC = 0.7


def render_page(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Fill the template.

    All text is escaped, including names of files and labels; only charts of `counterweight.report.figures`, and what
    `counterweight.report.browse_data` returns, are inserted as they are.

    The sections are ``summary``, ``remedies``, ``doubts``, ``affinity``, ``labels``, ``clusters``, ``copies``,
    ``results``, ``explanations``, ``browse`` and ``run``.
    """
    loader = FileSystemLoader(_TEMPLATE.parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["without_links"] = lambda svg: re.sub(r"</?a\b[^>]*>", "", str(svg))
    return environment.get_template(_TEMPLATE.name).render(sections)


def run_section(params: str, ingest: Mapping[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """Show the warnings about the run, the counts of ingest, the versions of packages, and the text of params.yaml."""
    duplicates = ingest["duplicates"]
    facts = [
        ["rows dropped", ingest["dropped_rows"]],
        ["images without a row", ingest["unlisted_files"]],
        ["groups of duplicates", duplicates["groups"]],
        ["images that also appear in a later split (leaks)", duplicates["leaks"]],
        ["images whose group is also in a later split (leaks)", duplicates["group_leaks"]],
        ["duplicates with other labels", duplicates["other_labels"]],
        ["versions", ", ".join(f"{package} {version(package)}" for package in _PACKAGES)],
    ]
    return {"warnings": warnings, "facts": facts, "params": params}


def run_warnings(
    table: pd.DataFrame, ingest: Mapping[str, Any], impute: Mapping[str, Any], augment: Mapping[str, Any], weights: str
) -> list[str]:
    """Return warnings about a run that succeeded, the most serious first.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest.
    ingest, impute, augment : mapping
        The metrics of these stages.
    weights : str
        ``features.weights``.
    """
    duplicates = ingest["duplicates"]
    targets = {split: manifest.targets(manifest.rows_of_split(table, split)) for split in manifest.SPLITS}
    counted = [
        (duplicates["leaks"], "images also appear in a later split (leak): results there look better than they are"),
        (duplicates["group_leaks"], "images share a group with a later split (leak): results there look too good"),
        (duplicates["other_labels"], "images have other labels than a duplicate"),
        (ingest["dropped_rows"], "rows were dropped"),
        (ingest["unlisted_files"], "images have no row and were left out"),
        (augment["unfit_images"], "images gave no usable copy, so others were copied instead"),
    ]
    sentences = [*_imputed(impute), *(f"{count} {text}." for count, text in counted if count)]
    absent = absent_label_warnings(manifest.label_names(table), targets)
    sentences += [f"{warning[0].upper()}{warning[1:]}." for warning in absent]
    if weights == "random":
        sentences.append("The features come from random weights: they capture color and texture, not content.")
    return sentences


def _imputed(impute: Mapping[str, Any]) -> list[str]:
    """Say how many label cells were imputed, and how well the classifiers that did so name labels that are known."""
    if not impute["filled"]:
        return []
    aucs = {label: each["auc"] for label, each in impute["labels"].items() if "auc" in each}
    said = f"{impute['filled']:,} missing label cells of train images were imputed"
    if not aucs:
        return [f"{said}, by classifiers that no known label was left to test."]
    worst = min(aucs, key=lambda label: aucs[label])
    said += (
        f" by classifiers whose AUC on known labels is {min(aucs.values()):.2f} ({worst}) to {max(aucs.values()):.2f}"
    )
    if aucs[worst] >= _MIN_IMPUTED_AUC:
        return [f"{said}."]
    return [f"{said}. Below {_MIN_IMPUTED_AUC}, most of what they impute is chance: set data.missing to mask."]
