"""Show on one page what was done to the data, and whether it helped.

Reads   results/remedies.csv, results/remedies.json, results/label_issues.csv, results/learning_curve.csv,
        data/ingest.json, features/clusters.csv, features/plane.csv, features/sweep.csv, augmented/manifest.csv,
        augmented/redrawn.csv, augmented/augment.json, the images of data/resized/ and augmented/images/,
        results/original/, results/balanced/
Writes  results/report.html
Params  report, and all others, which the page lists
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.outputs import read_label_table, write_text
from counterweight.base.params import load_params
from counterweight.metrics import decisions
from counterweight.report.data_sections import clusters_section, copies_section, labels_section
from counterweight.report.page import render_page, run_section, run_warnings
from counterweight.report.remedies_section import remedies_section
from counterweight.report.results_section import Arm, compare_arms, results_section, summary_section

TEXT = {"image_id": "str", "label": "str"}


def read_arm(folder: Path) -> Arm:
    """Read the results that train and evaluate wrote for one arm."""
    return Arm(
        decisions.read(folder / "model"),
        pd.read_csv(folder / "scores.csv", dtype=TEXT, keep_default_na=False),
        read_label_table(folder / "labels.csv"),
        pd.read_csv(folder / "history.csv"),
        pd.read_csv(folder / "precision_recall.csv", dtype=TEXT, keep_default_na=False, na_values={"threshold": [""]}),
        (folder / "confusion.svg").read_text(encoding="utf-8"),
    )


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv,
        "remedies", "recommendation", "issues", "curve", "ingest", "clusters", "plane", "sweep", "augment", "manifest",
        "redrawn", "resized", "copies", "original", "balanced", "out",
    )  # fmt: skip
    params = load_params(args.params)
    shown, seed = params.report.images_per_group, params.report.seed
    ingest, augment = (json.loads(path.read_text(encoding="utf-8")) for path in (args.ingest, args.augment))
    before, after = manifest.read(args.clusters), manifest.read(args.manifest)
    plane, redrawn = (pd.read_csv(path, dtype=TEXT, keep_default_na=False) for path in (args.plane, args.redrawn))
    arms = {"original": read_arm(args.original), "balanced": read_arm(args.balanced)}

    recommendation = json.loads(args.recommendation.read_text(encoding="utf-8"))
    issues, curve = pd.read_csv(args.issues, dtype=TEXT, keep_default_na=False), read_label_table(args.curve)
    remedies = remedies_section(
        pd.read_csv(args.remedies), recommendation, issues, curve, before, folder=args.resized, images_per_group=shown
    )
    labels = labels_section(before, after)
    clusters = clusters_section(
        before, plane, pd.read_csv(args.sweep), augment["sizes"], folder=args.resized, images_per_group=shown
    )
    copies = copies_section(after, redrawn, folder=args.copies, sources=args.resized, images_per_group=shown, seed=seed)
    results = results_section(before, arms, folder=args.resized, images_per_group=shown)
    parts = [augment[part] for part in ("before", "after")]
    summary = summary_section(
        compare_arms(before, arms, n_samples=params.report.bootstrap_samples, seed=seed),
        [part["images"] for part in parts],
        [part["mean_ir"] for part in parts],
        [clusters["sizes"]["before"], clusters["sizes"]["after"]],
    )
    warnings = run_warnings(before, ingest, augment, params.features.weights)
    run_facts = run_section(args.params.read_text(encoding="utf-8"), ingest, warnings)

    data = {"remedies": remedies, "labels": labels, "clusters": clusters, "copies": copies}
    write_text(render_page({"summary": summary, **data, "results": results, "run": run_facts}), args.out)
    return str(summary["verdict"]).rstrip(".")


if __name__ == "__main__":
    run(main)
