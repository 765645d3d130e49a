"""Show on one page what was done to the data, and whether it helped.

Reads   results/remedies.csv, results/remedies.json, results/label_issues.csv, results/learning_curve.csv,
        results/affinity.csv, results/affinity/, data/ingest.json, features/impute.json, features/clusters.csv,
        features/features.npy, features/plane.csv, features/sweep.csv, augmented/manifest.csv, augmented/copies.csv,
        augmented/augment.json, results/arms/, results/arms.csv, results/verdict.json, the images of data/resized/ and
        augmented/images/
Writes  results/report.html
Params  report, and all others, which the page lists
"""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.outputs import read_label_table, write_text
from counterweight.base.params import load_params
from counterweight.report.cluster_titles import cluster_titles
from counterweight.report.data_sections import clusters_section, copies_section, labels_section
from counterweight.report.gallery import gallery
from counterweight.report.page import render_page, run_section, run_warnings
from counterweight.report.remedies_section import affinity_section, remedies_section
from counterweight.report.results_section import Arm, results_section
from counterweight.report.summary_section import closing_lines, convergence_warnings, summary_section

TEXT = {"image_id": "str", "label": "str", "duplicate": "str"}


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv,
        "remedies", "recommendation", "issues", "curve", "affinity", "pictures", "ingest", "impute", "clusters",
        "features", "plane", "sweep", "augment", "manifest", "draws", "resized", "copies", "arms", "differences",
        "verdict", "out",
    )  # fmt: skip
    params = load_params(args.params)
    shown, seed = params.report.images_per_group, params.report.seed
    ingest, impute, augment, verdict, recommendation = (
        json.loads(path.read_text("utf-8"))
        for path in (args.ingest, args.impute, args.augment, args.verdict, args.recommendation)
    )
    before, after = manifest.read(args.clusters), manifest.read(args.manifest)
    plane, draws = (pd.read_csv(path, dtype=TEXT, keep_default_na=False) for path in (args.plane, args.draws))
    differences = pd.read_csv(args.differences)
    arms = {arm: Arm.read(args.arms / arm) for arm in differences["arm"]}

    issues, curve = pd.read_csv(args.issues, dtype=TEXT, keep_default_na=False), read_label_table(args.curve)
    remedies = remedies_section(
        pd.read_csv(args.remedies), recommendation, issues, curve, before, folder=args.resized, images_per_group=shown
    )
    affinity = affinity_section(read_label_table(args.affinity, ["pipeline", "augmenter"]), args.pictures)
    labels = labels_section(before, after)
    titles = cluster_titles(before, params.report.cluster_names)
    clusters = clusters_section(
        before, plane, pd.read_csv(args.sweep), augment["sizes"], titles, folder=args.resized, images_per_group=shown
    )
    copies = copies_section(after, draws, folder=args.copies, sources=args.resized, images_per_group=shown, seed=seed)
    converged = convergence_warnings(arms, params.train.monitor, params.train.epochs)
    results = results_section(before, arms, differences, converged, folder=args.resized, images_per_group=shown)
    browse = gallery(
        before, after, arms, issues, np.load(args.features, mmap_mode="r"), titles,
        folders=(args.resized, args.copies), max_images=params.report.max_browsed,
    )  # fmt: skip
    images, mean_ir = ([augment[part][name] for part in ("before", "after")] for name in ("images", "mean_ir"))
    sizes = list(clusters["sizes"].values())
    summary = summary_section(verdict, differences, images, mean_ir, sizes, recommendation)
    warnings = run_warnings(before, ingest, impute, augment, params.features.weights)
    run_facts = run_section(args.params.read_text(encoding="utf-8"), ingest, warnings)

    data = {"remedies": remedies, "affinity": affinity, "labels": labels, "clusters": clusters, "copies": copies}
    write_text(
        render_page({"summary": summary, **data, "results": results, "browse": browse, "run": run_facts}), args.out
    )
    return "\n".join(closing_lines(verdict, recommendation, ingest["duplicates"], args.out))


if __name__ == "__main__":
    run(main)
