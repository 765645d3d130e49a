import base64
import contextlib
import hashlib
import html
import json
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.metrics import decisions
from stages.compare import main as compare
from stages.report import main
from tests.browser import CHROMIUM, LOAD_AXE, VIOLATIONS, look_at
from tests.conftest import ARMS, COMPARE, REPORT, SEEDS, TINY, run_stage
from tests.recomputed import recomputed, replace_scores
from tests.workspace import PROJECT, write_params

SECTIONS = [
    "At a glance",
    "What pays, told before any training",
    "What to check in the data",
    "Labels",
    "Clusters",
    "Copies",
    "Results on the test images",
    "Why the networks say so",
    "Browse the images",
    "What was run",
]
QUESTIONS = {
    "pictures": "document.images.length",
    "not drawn": "[...document.images].filter(image => !image.complete || !image.naturalWidth).length",
    "without alt": "[...document.images].filter(image => !image.hasAttribute('alt')).length",
    "empty charts": "[...document.querySelectorAll('figure svg')].filter(svg => svg.clientHeight < 50).length",
    "cut off": "[...document.querySelectorAll('p, pre, .facts-list td')]"
    ".filter(part => part.getBoundingClientRect().right > innerWidth).length",
    "width": "document.documentElement.scrollWidth",
    "background": "getComputedStyle(document.body).backgroundColor",
    "loaded": LOAD_AXE,
    "violations": VIOLATIONS,
}


@pytest.fixture(scope="module")
def page(reportable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "report.html"
    result = run_stage(reportable, "report", *REPORT, "--out", str(out), "--gallery", str(out.with_name("gallery")))
    verdict = json.loads((reportable / "results/verdict.json").read_text(encoding="utf-8"))
    assert f"report: {(verdict['chance'] or verdict['copies']).rstrip('.')}" in result.stderr
    return out


def test_sections_are_in_order(page: Path) -> None:
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page.read_text(encoding="utf-8")) == SECTIONS


def test_page_refers_to_nothing_elsewhere_and_runs_only_its_own_script(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    script = (PROJECT / "counterweight/report/browse.js").read_text(encoding="utf-8")
    assert re.findall(r"<script>(.*?)</script>", text, re.DOTALL) == [script]
    assert text.count("<script") == 2  # The other one holds data.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    assert f"script-src 'sha256-{digest}'" in text


def test_page_is_small(page: Path) -> None:
    assert page.stat().st_size < 2_000_000


def fact(text: str, name: str) -> str:
    """The value of a fact at the top of the page."""
    match = re.search(rf"<dt>{name}</dt><dd>(.*?)(?:<small>|</dd>)", text)
    assert match, name
    return match[1]


def cells(text: str, first: str) -> list[str]:
    """The cells of the last table row that begins with this one, but for those of predictions."""
    text = re.sub(r"<h3>Predictions of each arm.*?<h3>", "", text, flags=re.DOTALL)
    rows = re.findall(rf'<tr><th scope="row">{first}(?: <a[^>]*>images</a>)?</th>(.*?)</tr>', text)
    return re.findall("<td>(.*?)</td>", rows[-1])


def test_each_arm_has_its_own_metrics(page: Path, reportable: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tables = {
        arm: pd.read_csv(reportable / f"results/arms/{arm}/labels.csv", dtype={"label": "str"}).set_index("label")
        for arm in ARMS
    }
    assert len({tuple(table["average_precision"].dropna()) for table in tables.values()}) == len(ARMS)
    metrics = ("f1_tuned", "recall_tuned", "average_precision")
    for label in tables["nothing"].index:
        expected = [tables[arm].loc[label, metric] for metric in metrics for arm in ARMS]
        assert cells(text, label)[1:] == ["unknown" if value != value else f"{value:.3f}" for value in expected]


def test_each_figure_of_the_table_of_arms_can_be_computed_again(page: Path, reportable: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for arm in ARMS:
        row = recomputed(reportable, arm)
        compared = [
            f"{row[name]:+.3f} ({row[f'{name}_low']:+.3f} to {row[f'{name}_high']:+.3f})" if arm != "nothing" else ""
            for name in ("difference", "rare_difference")
        ]
        numbers = [row[name] for name in ("map", "macro_auc", "brier", "calibration_error", "calibrated_error")]
        assert cells(text, re.escape(arm)) == [
            f"{row['macro_f1']:.3f}",
            *compared,
            *(f"{each:.3f}" for each in numbers),
        ]
        assert fact(text, re.escape(f"Test macro F1, {arm}")) == f"{row['macro_f1']:.3f}"
        assert f"95 % CI {row['macro_f1_low']:.3f} to {row['macro_f1_high']:.3f}, all labels" in text


def test_each_arm_has_its_own_threshold_and_confusion_matrices(page: Path, reportable: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tuned = {arm: decisions.read(reportable / f"results/arms/{arm}/models/seed-0").tuned for arm in ARMS}
    assert len(set(tuned.values())) > 1
    rules = [f"{arm}: each label that scores at least {value:g}, tuned on validation" for arm, value in tuned.items()]
    assert f"An image gets these labels: {'; '.join(rules)}." in text
    counts = {
        arm: re.findall(r">(\d+)</text>", (reportable / f"results/arms/{arm}/confusion.svg").read_text())
        for arm in ARMS
    }
    assert len({tuple(each) for each in counts.values()}) == len(ARMS)
    for arm, expected in counts.items():
        matrices = text.split(f"Confusion matrices of the {arm} arm</h3>")[1].split("</svg>")[0]
        assert re.findall(r">(\d+)</text>", matrices) == expected


@pytest.fixture
def copied(reportable: Path, tmp_path: Path) -> Path:
    """A folder of its own with all that report reads, without finished work."""
    return Path(shutil.copytree(reportable, tmp_path / "project", ignore=shutil.ignore_patterns(".counterweight")))


def report(folder: Path) -> tuple[str, str]:
    """Run the stage in a folder, in this process; return the summary and the page."""
    with contextlib.chdir(folder):
        summary = main([*REPORT, "--out", "results/report.html", "--gallery", "results/gallery"]).splitlines()[-1]
    return summary, (folder / "results/report.html").read_text(encoding="utf-8")


def with_chance(folder: Path, chance: str | None) -> dict[str, Any]:
    """Change what the verdict says about chance, and return the verdict."""
    path = folder / "results/verdict.json"
    verdict: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) | {"chance": chance}
    path.write_text(json.dumps(verdict), encoding="utf-8")
    return verdict


def test_the_page_says_what_the_verdict_says_and_how_to_use_the_model(copied: Path) -> None:
    verdict = with_chance(copied, None)
    summary, text = report(copied)
    assert summary == verdict["copies"].rstrip(".")
    text = html.unescape(text)
    assert f'<p class="verdict">{verdict["copies"]}</p>' in text
    sentences = [*verdict["others"], verdict["rare"], verdict["deploy_sentence"]]
    sentences.append(f"{verdict['power']} {verdict['caveat']}")
    for sentence in sentences:
        assert f"<p>{sentence}</p>" in text
    assert (copied / verdict["model"] / "model.safetensors").is_file()
    assert f"python -m stages.predict --model {verdict['model']} --images FOLDER --out labels.xlsx" in text


def test_where_no_arm_is_better_than_chance_the_page_says_just_this(copied: Path) -> None:
    verdict = with_chance(copied, "No arm is clearly better than chance.")
    summary, text = report(copied)
    assert summary == "No arm is clearly better than chance"
    assert '<p class="warning">No arm is clearly better than chance.</p>' in text
    assert all(html.escape(verdict[part]) not in text for part in ("copies", "rare", "deploy_sentence", "model"))


def test_copies_that_do_harm_are_shown_to_do_harm(copied: Path) -> None:
    """The scores of nothing are replaced by the right answers, and those of copies by the wrong ones."""
    table = manifest.read(copied / "augmented/arms/nothing.csv")
    right = {split: manifest.targets(manifest.rows_of_split(table, split)).astype(float) for split in ("val", "test")}
    replace_scores(copied, "nothing", right)
    replace_scores(copied, "copies", {split: 1 - scores for split, scores in right.items()})
    with contextlib.chdir(copied):
        compare(COMPARE)
    summary, text = report(copied)
    assert summary.startswith("The copies did harm on these 20 test images and 2 seeds: macro F1 -0.900 ")
    # One of the ten labels has no test image, which counts as 0.
    assert fact(text, "Test macro F1, nothing") == "0.900"
    assert fact(text, "Test macro F1, copies") == "0.000"
    assert "<h3>20 test images that the network without copies gets right and the one with them does not</h3>" in text
    assert "<h3>0 test images that the network with copies gets right and the one without them does not</h3>" in text


def test_ids_that_look_like_numbers_are_text_if_no_label_but_a_contradiction_is_listed(copied: Path) -> None:
    """The first two train images become 0017 and 0018, which look alike and differ in the first label."""
    path = copied / "features/clusters.csv"
    table = manifest.read(path)
    first, second = table.index[table["split"] == "train"][:2]
    old = table.loc[[first, second], "image_id"].tolist()
    table.loc[[first, second], "image_id"] = ["0017", "0018"]
    manifest.write(table.sort_values("image_id", ignore_index=True), path)
    for name in ("features/plane.csv", "results/label_issues.csv"):
        text = (copied / name).read_text(encoding="utf-8")
        (copied / name).write_text(text.replace(old[0], "0017").replace(old[1], "0018"), encoding="utf-8")
    label = manifest.label_names(table)[0]
    (copied / "results/label_issues.csv").write_text(
        f"image_id,issue,label,score,margin,duplicate\n0017,contradiction,{label},0.9,,0018\n", encoding="utf-8"
    )
    assert "<figcaption>0017: " in report(copied)[1]


def test_a_training_that_had_not_converged_is_named_and_others_are_not(copied: Path) -> None:
    for arm in ARMS:
        for seed in SEEDS:
            rising = (arm, seed) == ("copies", 1)
            path = copied / f"results/arms/{arm}/models/seed-{seed}/history.csv"
            history = pd.read_csv(path).assign(validation_average_precision=[0.25, 0.5] if rising else [0.5, 0.25])
            history.to_csv(path, index=False)
    warning = '<p class="warning">The training of {} with seed {} had not converged: '
    text = report(copied)[1]
    assert warning.format("copies", 1) + "its best epoch is its last, 2 of 2. Raise train.epochs.</p>" in text
    assert text.count("had not converged") == 1


def test_a_head_that_had_not_converged_is_said_on_the_page(copied: Path) -> None:
    for arm in ARMS:
        for seed in SEEDS:
            path = copied / f"results/arms/{arm}/models/seed-{seed}/history.csv"
            best_last = arm == "nothing"
            history = pd.read_csv(path).assign(validation_average_precision=[0.25, 0.5] if best_last else [0.5, 0.25])
            history.assign(penalty=[1.0, 0.0001]).to_csv(path, index=False)
    text = report(copied)[1]
    for seed in SEEDS:
        assert (
            f'<p class="warning">The training of nothing with seed {seed} is best with the weakest penalty tried, '
            "0.0001: more train images would help.</p>"
        ) in text
    assert text.count("is best with the weakest penalty") == 2


def test_same_input_gives_the_same_page(page: Path, reportable: Path, tmp_path: Path) -> None:
    with contextlib.chdir(reportable):
        main([*REPORT, "--out", str(tmp_path / "again.html"), "--gallery", str(tmp_path / "gallery")])
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize(
    ("width", "scheme", "background"),
    [
        (390, "light", "rgb(255, 255, 255)"),
        (1440, "dark", "rgb(20, 24, 30)"),
        pytest.param(390, "dark", "rgb(20, 24, 30)", marks=pytest.mark.slow),
        pytest.param(1440, "light", "rgb(255, 255, 255)", marks=pytest.mark.slow),
    ],
)
def test_browser_draws_all_of_it_and_requests_nothing(page: Path, width: int, scheme: str, background: str) -> None:
    view = look_at(page, width=width, scheme=scheme, questions=QUESTIONS)
    assert view.requests == []
    assert view.complaints == []
    assert view.answers.pop("pictures") > 40
    assert view.answers.pop("width") <= width
    assert (view.answers.pop("loaded"), view.answers.pop("violations")) == (True, [])
    assert view.answers == {"not drawn": 0, "without alt": 0, "empty charts": 0, "cut off": 0, "background": background}
    assert struct.unpack(">II", view.screenshot[16:24]) > (width - 20, 3_000)


def test_the_gallery_is_empty_unless_it_is_asked_for(page: Path, reportable: Path, tmp_path: Path) -> None:
    assert list(page.with_name("gallery").iterdir()) == []
    folder = tmp_path / "project"
    shutil.copytree(reportable, folder)
    write_params(folder / "params.yaml", TINY | {"report.gallery": True})
    run_stage(folder, "report", *REPORT, "--out", "results/report.html", "--gallery", "results/gallery")
    table = manifest.read(folder / "augmented/manifest.csv")
    assert len(list((folder / "results/gallery/images").iterdir())) == len(table)
    text = (folder / "results/report.html").read_text(encoding="utf-8")
    assert '<a href="gallery/index.html">All images, label by label</a>' in text
    index = (folder / "results/gallery/index.html").read_text(encoding="utf-8")
    zeros = int((manifest.targets(table)[:, 0] == 1).sum())
    assert f'<a href="0-1.html">0</a>: {zeros} images' in index
