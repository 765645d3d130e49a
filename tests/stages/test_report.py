import json
import re
import struct
from pathlib import Path

import pandas as pd
import pytest

from counterweight.base import manifest
from tests.browser import CHROMIUM, look_at
from tests.conftest import REPORT, run_stage

SECTIONS = [
    "At a glance",
    "What pays, told before any training",
    "Labels",
    "Clusters",
    "Copies",
    "Results on the test images",
    "What was run",
]
QUESTIONS = {
    "pictures": "document.images.length",
    "not drawn": "[...document.images].filter(image => !image.complete || !image.naturalWidth).length",
    "without alt": "[...document.images].filter(image => !image.alt).length",
    "empty charts": "[...document.querySelectorAll('figure svg')].filter(svg => svg.clientHeight < 50).length",
    "cut off": "[...document.querySelectorAll('p, pre, .facts-list td')]"
    ".filter(part => part.getBoundingClientRect().right > innerWidth).length",
    "width": "document.documentElement.scrollWidth",
    "background": "getComputedStyle(document.body).backgroundColor",
}


@pytest.fixture(scope="module")
def page(reportable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "report.html"
    result = run_stage(reportable, "report", *REPORT, "--out", str(out))
    assert re.search("on (these )?20 test images: macro F1 ", result.stderr)
    return out


def test_sections_are_in_order(page: Path) -> None:
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page.read_text(encoding="utf-8")) == SECTIONS


def test_page_refers_to_nothing_elsewhere_and_has_no_script(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "<script" not in text


def test_page_is_small(page: Path) -> None:
    assert page.stat().st_size < 2_000_000


def fact(text: str, name: str) -> str:
    """The value of a fact at the top of the page."""
    match = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", text)
    assert match, name
    return match[1]


def cells(text: str, first: str) -> list[str]:
    """The cells of the last table row that begins with this one."""
    rows = re.findall(rf'<tr><th scope="row">{first}</th>(.*?)</tr>', text)
    return re.findall("<td>(.*?)</td>", rows[-1])


def test_each_arm_has_its_own_metrics(page: Path, reportable: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tables = {
        arm: pd.read_csv(reportable / f"results/{arm}/labels.csv", dtype={"label": "str"}).set_index("label")
        for arm in ("original", "balanced")
    }
    assert not tables["original"]["average_precision"].equals(tables["balanced"]["average_precision"])
    metrics = ("precision_tuned", "recall_tuned", "f1_tuned", "average_precision")
    for label in tables["original"].index:
        expected = [tables[arm].loc[label, metric] for metric in metrics for arm in ("original", "balanced")]
        assert cells(text, label)[1:] == ["unknown" if value != value else f"{value:.3f}" for value in expected]


def test_each_arm_has_its_own_threshold_and_confusion_matrices(page: Path, reportable: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rules = {
        arm: json.loads((reportable / f"results/{arm}/model/decisions.json").read_text())
        for arm in ("original", "balanced")
    }
    first, second = (rules[arm]["tuned"] for arm in ("original", "balanced"))
    assert first != second
    assert re.search(
        f"original: each label that scores at least {first:g}, tuned .*; balanced: each label .* {second:g}, ", text
    )
    counts = {
        arm: re.findall(r">(\d+)</text>", (reportable / f"results/{arm}/confusion.svg").read_text()) for arm in rules
    }
    assert counts["original"] != counts["balanced"]
    for arm, expected in counts.items():
        matrices = text.split(f"Confusion matrices of the {arm} arm</h3>")[1].split("</svg>")[0]
        assert re.findall(r">(\d+)</text>", matrices) == expected


def test_verdict_is_of_the_balanced_arm_against_the_original(page: Path, reportable: Path, tmp_path: Path) -> None:
    """The original arm's scores are replaced by the right answers, so that the balanced arm must do harm."""
    table = manifest.read(reportable / "features/labeled.csv").set_index("image_id")
    results = reportable / "results"
    for arm, wrong in (("original", False), ("balanced", True)):
        (tmp_path / arm / "model").mkdir(parents=True)
        for name in ("labels.csv", "history.csv", "precision_recall.csv", "confusion.svg", "model/decisions.json"):
            (tmp_path / arm / name).write_bytes((results / arm / name).read_bytes())
        scores = pd.read_csv(results / arm / "scores.csv", dtype={"image_id": "str"}, keep_default_na=False)
        targets = manifest.targets(table.loc[scores["image_id"]].reset_index()) == 1
        scores.iloc[:, 2:] = (targets != wrong).astype(float)
        scores.to_csv(tmp_path / arm / "scores.csv", index=False)
    options = [*REPORT[:-4], "--original", str(tmp_path / "original"), "--balanced", str(tmp_path / "balanced")]
    result = run_stage(reportable, "report", *options, "--out", str(tmp_path / "report.html"))
    assert "report: The copies did harm on these 20 test images: macro F1 -0.900" in result.stderr
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    # One of the ten labels has no test image, which counts as 0.
    assert fact(text, "Test macro F1, original") == "0.900"
    assert fact(text, "Test macro F1, balanced") == "0.000"
    assert "20 test images that only the original arm gets right" in text
    assert "0 test images that only the balanced arm gets right" in text


def test_same_input_gives_the_same_page(page: Path, reportable: Path, tmp_path: Path) -> None:
    run_stage(reportable, "report", *REPORT, "--out", str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 24, 30)")])
@pytest.mark.parametrize("width", [390, 1440])
def test_browser_draws_all_of_it_and_requests_nothing(page: Path, width: int, scheme: str, background: str) -> None:
    view = look_at(page, width=width, scheme=scheme, questions=QUESTIONS)
    assert view.requests == []
    assert view.complaints == []
    assert view.answers.pop("pictures") > 40
    assert view.answers.pop("width") <= width
    assert view.answers == {"not drawn": 0, "without alt": 0, "empty charts": 0, "cut off": 0, "background": background}
    assert struct.unpack(">II", view.screenshot[16:24]) > (width - 20, 3_000)
