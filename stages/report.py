"""Show on one page what was done to the data, and whether it helped.

Reads   results/remedies.csv and .json, results/label_issues.csv, learning_curve.csv, affinity.csv and affinity/,
        data/ingest.json, features/impute.json, clusters.csv, features.npy, leaks.csv and .json, plane.csv, sweep.csv,
        augmented/manifest.csv, copies.csv and augment.json, results/arms/, arms.csv, verdict.json, explanations.csv and
        .json and explanations/, data/resized/, augmented/images/
Writes  results/report.html, results/gallery/ (pages of all images, if the params say so)
Params  report, and all others, which the page lists
Obeys   COUNTERWEIGHT_WORKERS
"""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import parse_options, run, worker_count
from counterweight.base.outputs import atomic_folder, read_label_table, write_text
from counterweight.base.params import load_params
from counterweight.report.arm_results import Arm
from counterweight.report.browse_data import browse_data
from counterweight.report.cluster_titles import cluster_titles
from counterweight.report.data_sections import clusters_section, copies_section, labels_section
from counterweight.report.doubts_section import doubts_section
from counterweight.report.explanations_section import explanations_section
from counterweight.report.gallery_folder import write_gallery
from counterweight.report.page import render_page, run_section, run_warnings
from counterweight.report.remedies_section import affinity_section, remedies_section
from counterweight.report.results_section import results_section
from counterweight.report.summary_section import closing_lines, convergence_warnings, summary_section

TEXT = dict.fromkeys(["image_id", "label", "duplicate", "train_image_id"], "str")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv,
        "remedies", "recommendation", "issues", "curve", "affinity", "pictures", "ingest", "impute", "clusters",
        "features", "leaks", "compared", "plane", "sweep", "augment", "manifest", "draws", "resized", "copies",
        "arms", "differences", "verdict", "explanations", "explained", "overlays", "out", "gallery",
    )  # fmt: skip
    params = load_params(args.params)
    resized, shown, seed = args.resized, params.report.images_per_group, params.report.seed
    ingest, compared, impute, augment, verdict, recommendation, explained = (
        json.loads(vars(args)[name].read_text("utf-8"))
        for name in ("ingest", "compared", "impute", "augment", "verdict", "recommendation", "explained")
    )
    before, after = manifest.read(args.clusters), manifest.read(args.manifest)
    plane, draws, issues, leaks, explanations = (
        pd.read_csv(path, dtype=TEXT, keep_default_na=False)
        for path in (args.plane, args.draws, args.issues, args.leaks, args.explanations)
    )
    differences, titles = pd.read_csv(args.differences), cluster_titles(before, params.report.cluster_names)
    arms = {arm: Arm.read(args.arms / arm) for arm in differences["arm"]}
    browse = browse_data(
        before, after, arms, issues, np.load(args.features, mmap_mode="r"), titles,
        folders=(resized, args.copies), max_images=params.report.max_browsed,
    )  # fmt: skip
    clusters = clusters_section(
        before, plane, pd.read_csv(args.sweep), augment["sizes"], titles, browse["positions"],
        folder=resized, images_per_group=shown,
    )  # fmt: skip
    images, mean_ir = ([augment[part][name] for part in ("before", "after")] for name in ("images", "mean_ir"))
    converged = convergence_warnings(arms, params.train.monitor, params.train.epochs)
    warnings = run_warnings(before, ingest, impute, augment, params.features.weights)
    sections = {
        "summary": summary_section(verdict, differences, images, mean_ir, clusters["sizes"], recommendation),
        "remedies": remedies_section(pd.read_csv(args.remedies), recommendation, read_label_table(args.curve), before),
        "doubts": doubts_section(issues, leaks, compared, before, folder=resized, images_per_group=shown),
        "labels": labels_section(before, after),
        "clusters": clusters,
        "affinity": affinity_section(read_label_table(args.affinity, ["pipeline", "augmenter"]), args.pictures),
        "copies": copies_section(after, draws, folder=args.copies, sources=resized, images_per_group=shown, seed=seed),
        "results": results_section(before, arms, differences, converged, folder=resized, images_per_group=shown),
        "explanations": explanations_section(explanations, explained, args.overlays),
        "browse": browse | {"all": params.report.gallery},
        "run": run_section(args.params.read_text(encoding="utf-8"), ingest, warnings),
    }  # fmt: skip
    with atomic_folder(args.gallery) as folder:
        if params.report.gallery:
            write_gallery(after, titles, (resized, args.copies), folder, worker_count())
    write_text(render_page(sections), args.out)
    return "\n".join(closing_lines(verdict, recommendation, ingest["duplicates"], args.out))


if __name__ == "__main__":
    run(main)
