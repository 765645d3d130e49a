"""Show on one page what was done to the data, and whether it helped.

Reads   data/ingest.json, features/clusters.csv, features/plane.csv, features/sweep.csv, augmented/manifest.csv,
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
from counterweight.base.command import arguments, run
from counterweight.base.describing import described
from counterweight.base.outputs import read_label_measures, write_text
from counterweight.base.params import load_params
from counterweight.metrics import decisions
from counterweight.report.data_sections import clusters_chapter, copies_chapter, labels_chapter
from counterweight.report.page import page, run_chapter
from counterweight.report.results_section import Arm, compared, look_chapter, results_chapter
from counterweight.report.run_warnings import cautions

TEXT = {"image_id": "str", "label": "str"}


def read_arm(folder: Path) -> Arm:
    """What train and evaluate wrote of one arm."""
    return Arm(
        decisions.read(folder / "model"),
        pd.read_csv(folder / "scores.csv", dtype=TEXT, keep_default_na=False),
        read_label_measures(folder / "labels.csv"),
        pd.read_csv(folder / "history.csv"),
        pd.read_csv(folder / "precision_recall.csv", dtype=TEXT, keep_default_na=False, na_values={"threshold": [""]}),
        (folder / "confusion.svg").read_text(encoding="utf-8"),
    )


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(
        described(__doc__), argv,
        "ingest", "clusters", "plane", "sweep", "augment", "manifest", "redrawn", "resized", "copies", "original",
        "balanced", "out",
    )  # fmt: skip
    params = load_params(args.params)
    shown, seed = params.report.images, params.report.seed
    ingest, augment = (json.loads(path.read_text(encoding="utf-8")) for path in (args.ingest, args.augment))
    before, after = manifest.read(args.clusters), manifest.read(args.manifest)
    arms = {"original": read_arm(args.original), "balanced": read_arm(args.balanced)}

    clusters = clusters_chapter(
        before, pd.read_csv(args.plane, dtype=TEXT, keep_default_na=False), pd.read_csv(args.sweep),
        augment["sizes"], folder=args.resized, shown=shown,
    )  # fmt: skip
    found = compared(before, arms, repeats=params.report.repeats, seed=seed)
    parts = [augment[part] for part in ("before", "after")]
    look = look_chapter(
        found,
        [part["images"] for part in parts],
        [part["mean_ir"] for part in parts],
        [clusters["sizes"]["before"], clusters["sizes"]["after"]],
    )
    written = page(
        {
            "look": look,
            "labels": labels_chapter(before, after),
            "clusters": clusters,
            "copies": copies_chapter(
                after,
                pd.read_csv(args.redrawn, dtype=TEXT, keep_default_na=False),
                folder=args.copies,
                sources=args.resized,
                shown=shown,
                seed=seed,
            ),
            "results": results_chapter(before, arms, folder=args.resized, shown=shown),
            "run": run_chapter(
                args.params.read_text(encoding="utf-8"),
                ingest,
                cautions(before, ingest, augment, params.features.weights),
            ),
        }
    )
    write_text(written, args.out)
    return str(look["verdict"]).rstrip(".")


if __name__ == "__main__":
    run(main)
