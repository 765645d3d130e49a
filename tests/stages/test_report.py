import re
import struct
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, look_at
from tests.conftest import REPORT, run_stage

SECTIONS = ["In one look", "Labels", "Clusters", "Copies", "Results on the test images", "What was run"]
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
def page(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, on which both arms are the balanced one."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    result = run_stage(evaluated, "report", *REPORT, "--out", str(out))
    assert "It cannot be told from 20 test images whether the copies helped" in result.stderr
    return out


def test_sections_stand_in_their_order(page: Path) -> None:
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page.read_text(encoding="utf-8")) == SECTIONS


def test_page_names_nothing_elsewhere_and_runs_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "<script" not in text


def test_page_is_small(page: Path) -> None:
    assert page.stat().st_size < 2_000_000


def test_same_input_gives_the_same_page(page: Path, evaluated: Path, tmp_path: Path) -> None:
    run_stage(evaluated, "report", *REPORT, "--out", str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 24, 30)")])
@pytest.mark.parametrize("width", [390, 1440])
def test_browser_draws_all_of_it_and_asks_for_nothing(page: Path, width: int, scheme: str, background: str) -> None:
    seen = look_at(page, width=width, scheme=scheme, questions=QUESTIONS)
    assert seen.requests == []
    assert seen.complaints == []
    assert seen.answers.pop("pictures") > 40
    assert seen.answers.pop("width") <= width
    assert seen.answers == {"not drawn": 0, "without alt": 0, "empty charts": 0, "cut off": 0, "background": background}
    assert struct.unpack(">II", seen.screenshot[16:24]) > (width - 20, 3_000)
