"""The recipe `scenes` on the photographs of scenes: its arms, on validation and on test.

    python -m benchmarks.scenes_recipe [--data ../shared]

The recipe and its thresholds were chosen without the test images. The table goes into benchmarks/README.md.
"""

import json
import tempfile
import time
from pathlib import Path

from benchmarks.common import WEIGHTS, data_folder, measured_by, scenes, write_section
from recipes.catalog import recipe_values
from tests.workspace import make_workspace, run

ARMS = ("nothing", "weights", "copies", "copies+weights")
HEAD = (
    "| arm | part | mAP | macro F1, 0.5 | macro F1, tuned | macro F1, one a label |\n"
    "|:----|:-----|----:|--------------:|----------------:|----------------------:|\n"
)


def main() -> None:
    """Run the recipe and write its section."""
    data = data_folder(__doc__)
    own = {key: value for key, value in scenes(data).items() if key.startswith("data.")}
    weights = {key: str(data / WEIGHTS) for key in ("features.weights", "train.weights")}
    started = time.perf_counter()
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        project = make_workspace(Path(temporary) / "project", own | recipe_values("scenes") | weights)
        run(project, "dvc", "repro", *(f"evaluate@{arm}" for arm in ARMS))
        for arm in ARMS:
            test = json.loads((project / f"results/arms/{arm}/metrics.json").read_text(encoding="utf-8"))
            for part, found in (("validation", test["validation"]), ("test", test)):
                by = [found[f"threshold_{how}"]["macro_f1"] for how in ("0.5", "tuned", "per_label")]
                lines.append(
                    f"| {arm} | {part} | " + " | ".join(f"{value:.3f}" for value in [found["map"], *by]) + " |"
                )
    section = (
        "## scenes: the recipe\n\n`recipes/scenes.yaml`, each arm.\n\n"
        + measured_by("benchmarks.scenes_recipe", ("torch", "imaug"), time.perf_counter() - started)
        + f"\n\n{HEAD}"
        + "\n".join(lines)
        + "\n"
    )
    write_section("scenes recipe", section)


if __name__ == "__main__":
    main()
