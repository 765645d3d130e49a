"""Questions of users, answered by the page of real photographs that lie beside the project, by two clicks at most."""

from pathlib import Path

import pytest

from tests.browser import CHROMIUM, look_at
from tests.workspace import PROJECT, make_workspace, run

SHARED = PROJECT.parent / "shared"
SCENES = SHARED / "datasets/miml_scenes"
WEIGHTS = str(SHARED / "weights/resnet18-imagenet-through-layer3.safetensors")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCENES.is_dir(), reason="the photographs of scenes are not beside the project"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]

FOLLOW = "document.querySelector('nav a[href={}]').click()"
WAIT = "new Promise(done => setTimeout(done, 300))"
SEEN = (
    "[...document.querySelectorAll('p, h2, h3')].filter(part => {"
    " const box = part.getBoundingClientRect(); return box.top >= -1 && box.top < innerHeight && box.height; })"
    ".map(part => part.textContent)"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of scenes with few deserts and sunsets, seen at 96 pixels."""
    changes = {
        "data.images": str(SCENES / "images"), "data.sheet": str(SCENES / "labels_imbalanced.xlsx"),
        "features.weights": WEIGHTS, "features.layer": "layer3", "features.input_size": 96, "probe.folds": 3,
        "probe.repeats": 2, "probe.max_copied": 20, "probe.images_per_augmenter": 2, "augment.copy_mode": "plain",
        "train.weights": WEIGHTS, "train.layer": "layer3", "train.input_size": 96, "train.arms": ["nothing", "copies"],
    }  # fmt: skip
    folder = make_workspace(tmp_path_factory.mktemp("scenes") / "project", changes)
    run(folder, "dvc", "repro")
    return folder / "results/report.html"


def answers(page: Path, **questions: str) -> dict[str, object]:
    """Answers of the page in a window as wide as a laptop's."""
    view = look_at(page, width=1280, scheme="light", questions=questions)
    assert (view.requests, view.complaints) == ([], [])
    return view.answers


def test_the_page_is_small_and_ready_within_a_second_and_a_half(page: Path) -> None:
    assert page.stat().st_size < 10_000_000
    ready = answers(page, ready="performance.getEntriesByType('navigation')[0].domInteractive")["ready"]
    assert isinstance(ready, int | float)  # A page that is ready after whole milliseconds says an integer.
    assert ready < 1_500


def test_which_images_hold_the_rare_label_back(page: Path) -> None:
    found = answers(
        page,
        link="[...document.querySelectorAll('nav a')].find(a => a.textContent.startsWith('Which images')).click()",
        wait=WAIT,
        label="document.querySelector('.filters').elements.label.selectedOptions[0].textContent",
        tiles="[...document.querySelectorAll('[data-part=grid] span')].map(tile => tile.textContent)",
        open="document.querySelector('[data-part=grid] .tile').click()",
        told="document.querySelector('[data-part=large] dl').textContent",
    )
    assert found["label"] in {"desert", "sunset"}
    assert isinstance(found["tiles"], list)
    assert found["tiles"]
    assert all(str(found["label"]) in tile for tile in found["tiles"])
    assert "copies, wrong" in str(found["told"])


def test_are_these_copies_any_good(page: Path) -> None:
    found = answers(page, follow=FOLLOW.format('"#copies"'), wait=WAIT, seen=SEEN)
    assert any("still show" in text and "of the labels that they inherit" in text for text in found["seen"])


def test_can_i_trust_the_verdict(page: Path) -> None:
    found = answers(page, follow=FOLLOW.format('"#trust"'), wait=WAIT, seen=SEEN)
    told = " ".join(found["seen"])
    assert "can be told apart here" in told or "would tell" in told
    assert "95 % CI" in told
