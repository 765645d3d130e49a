import csv
import math
import re
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from counterweight.images import codec
from counterweight.images.codec import FORMATS
from counterweight.metrics import decisions
from counterweight.metrics.calibration import Calibration
from counterweight.metrics.decisions import DecisionRule
from tests.conftest import run_stage
from tests.untrained import untrained, write_rule


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(cell: str) -> str | float:
    return float(cell) if cell.replace(".", "").isdecimal() else cell


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder with a model of two labels and three photographs, one of them named like a formula."""
    folder = untrained(tmp_path, ["sea", "sun"], "multilabel", [[i % 2, 1] for i in range(12)])
    noise = np.random.default_rng(1).integers(0, 256, (3, 40, 30, 3), dtype=np.uint8)
    for pixels, name in zip(noise, ("=1+1.png", "b.jpg", "more/c.png"), strict=True):
        codec.write(pixels, folder / "photos" / name, name[-3:])
    return folder


PREDICT = "--model results/arms/copies/models/seed-0 --images photos --out labels.xlsx".split()


def test_probabilities_of_the_datasets_images_are_the_calibrated_scores_of_evaluate(
    evaluated: Path, tmp_path: Path
) -> None:
    model = evaluated / "results/arms/copies/models/seed-0"
    run_stage(tmp_path, "predict", "--model", str(model), "--images", str(evaluated / "images"), "--out", "out.csv")
    predicted = {row["image"]: row for row in read_table(tmp_path / "out.csv")}
    scores_of_all = read_table(evaluated / "results/arms/copies/scores.csv")
    evaluated_rows = [row for row in scores_of_all if row["seed"] == "0"]
    assert len(evaluated_rows) > 20
    rule, digits = decisions.read(model), [str(digit) for digit in range(10)]
    assert rule.calibration is not None
    for row in evaluated_rows:
        name = next(name for name in predicted if name.partition(".")[0] == row["image_id"].partition(".")[0])
        scores = np.array([[float(row[digit]) for digit in digits]])
        probabilities = [float(predicted[name][f"probability:{digit}"]) for digit in digits]
        assert probabilities == pytest.approx(rule.probabilities(scores)[0].tolist(), rel=1e-12)
        labels = [predicted[name][f"label:{digit}"] == "1" for digit in digits]
        assert labels == rule.apply(scores, "per_label")[0].tolist()


def test_xlsx_and_csv_contain_the_same_table(scenes: Path) -> None:
    result = run_stage(scenes, "predict", *PREDICT)
    rule = "each label that scores at least its threshold, tuned on validation: sea 0.5, sun 0.5"
    assert f"predict: labels: {rule}\n" in result.stderr
    assert "predict: probabilities: the scores as they are\n" in result.stderr
    assert "predict: 3 images, 0 of them unreadable, see labels.csv and labels.xlsx, on " in result.stderr
    rows = list(openpyxl.load_workbook(scenes / "labels.xlsx").active.iter_rows(values_only=True))
    table = read_table(scenes / "labels.csv")
    assert list(rows[0]) == list(table[0])
    # Excel has one type of number, and openpyxl reads an empty cell as None.
    cells = [[number(cell) for cell in row.values()] for row in table]
    assert [["" if cell is None else cell for cell in row] for row in rows[1:]] == cells


def test_labels_are_those_whose_score_reaches_their_threshold(scenes: Path) -> None:
    model = scenes / "results/arms/copies/models/seed-0"
    run_stage(scenes, "predict", *PREDICT)
    score = float(read_table(scenes / "labels.csv")[0]["probability:sun"])  # This model has no calibration.
    calibration = Calibration("sigmoid", [1.0, 1.0], [0.0, -math.log(4)])
    write_rule(DecisionRule("multilabel", ["sea", "sun"], None, 0.5, {"sea": 1.0, "sun": score}, calibration), model)
    result = run_stage(scenes, "predict", *PREDICT)
    first = read_table(scenes / "labels.csv")[0]
    assert [first[name] for name in ("image", "labels", "label:sea", "label:sun")] == ["=1+1.png", "sun", "0", "1"]
    probability = score / (score + 4 * (1 - score))
    assert float(first["probability:sun"]) == pytest.approx(probability)
    thresholds = f"sea 1, sun {probability:.3g}"
    assert f"predict: probabilities: calibrated on validation, where the thresholds are {thresholds}\n" in result.stderr


def test_unreadable_image_is_listed_with_its_problem(scenes: Path) -> None:
    (scenes / "photos/b.jpg").write_bytes(b"no image")
    result = run_stage(scenes, "predict", *PREDICT)
    assert "predict: 3 images, 1 of them unreadable" in result.stderr
    row = read_table(scenes / "labels.csv")[1]
    assert row == dict.fromkeys(row, "") | {
        "image": "b.jpg",
        "problem": f"photos/b.jpg is not an image ({', '.join(FORMATS)})",
    }


def test_images_of_an_array_are_named_by_their_numbers(scenes: Path) -> None:
    np.save(scenes / "photos.npy", np.random.default_rng(1).integers(0, 256, (2, 20, 20), dtype=np.uint8))
    run_stage(
        scenes, "predict", *"--model results/arms/copies/models/seed-0 --images photos.npy --out out/labels.csv".split()
    )
    assert [row["image"] for row in read_table(scenes / "out/labels.csv")] == ["0", "1"]
    assert [path.name for path in (scenes / "out").iterdir()] == ["labels.csv"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"--images": "augmented"},
            "predict: augmented: it contains no image (.avif, .bmp, .gif, ",
        ),
        pytest.param({"--images": "nowhere"}, "predict: nowhere: there is no such folder.", marks=pytest.mark.slow),
        pytest.param({"--model": "photos"}, "predict: photos: holds no model: ", marks=pytest.mark.slow),
        ({"--out": "labels.ods"}, "predict: --out labels.ods: a table is an .xlsx or a .csv."),
    ],
)
def test_wrong_option_is_an_error_without_a_traceback(scenes: Path, changed: dict[str, str], message: str) -> None:
    options = dict(zip(PREDICT[::2], PREDICT[1::2], strict=True)) | changed
    result = run_stage(scenes, "predict", *[word for option in options.items() for word in option], check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr
    assert not (scenes / "labels.xlsx").exists()


def test_links_are_followed_wherever_they_lead_and_other_files_are_counted(scenes: Path, tmp_path: Path) -> None:
    linked = tmp_path / "else/where/linked"
    linked.mkdir(parents=True)
    (linked / "a.jpg").symlink_to(scenes / "photos/b.jpg")
    (linked / "notes.bin").write_bytes(b"no image")
    options = f"--model results/arms/copies/models/seed-0 --images {linked} --out labels.csv".split()
    result = run_stage(scenes, "predict", *options)
    assert [row["image"] for row in read_table(scenes / "labels.csv")] == ["a.jpg"]
    assert "predict: 1 files are not read: notes.bin" in result.stderr


def test_a_page_shows_the_images_with_their_labels_and_what_speaks_for_the_likeliest(scenes: Path) -> None:
    (scenes / "photos/broken.png").write_bytes(b"no image")
    log = run_stage(scenes, "predict", *PREDICT, "--explain", "labels.html").stderr
    assert "predict: pictured: labels.html" in log
    page = (scenes / "labels.html").read_text(encoding="utf-8")
    rows = {row["image"]: row for row in read_table(scenes / "labels.csv")}
    captions = re.findall(r"<figcaption>(.*?): <strong>(.*?)</strong><br>(.*?)<br>explained: (.*?)</figcaption>", page)
    assert [name for name, *_ in captions] == ["=1+1.png", "b.jpg", "more/c.png"]
    for name, labels, probabilities, explained in captions:
        row = rows[name]
        assert labels.replace(", ", ",") == (row["labels"] or "no label")
        of_label = {label: float(row[f"probability:{label}"]) for label in ("sea", "sun")}
        assert probabilities.split(", ")[0] == "{} {:.0%}".format(*max(of_label.items(), key=lambda item: item[1]))
        allowed = [label for label in of_label if row[f"label:{label}"] == "1"] or list(of_label)
        assert explained == max(allowed, key=of_label.__getitem__)
    assert page.count("data:image/jpeg;base64,") == 6
    assert "http" not in page.replace("http-equiv", "")


def test_a_page_of_no_readable_image_is_empty(scenes: Path) -> None:
    for file in list((scenes / "photos").rglob("*.*")):
        file.write_bytes(b"no image")
    run_stage(scenes, "predict", *PREDICT, "--explain", "labels.html")
    assert "<figure>" not in (scenes / "labels.html").read_text(encoding="utf-8")


def test_a_page_needs_a_name_that_says_so(scenes: Path) -> None:
    result = run_stage(scenes, "predict", *PREDICT, "--explain", "pages", check=False)
    assert result.stderr.endswith("--explain pages: the page is an .html. Give a name that ends in .html.\n")
    assert not (scenes / "labels.csv").exists()
