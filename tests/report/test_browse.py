"""The page's script in a real browser."""

from pathlib import Path
from typing import Any

import pytest

from counterweight.report.browse_data import embed
from counterweight.report.page import render_page
from tests.browser import CHROMIUM, LOAD_AXE, VIOLATIONS, look_at
from tests.report.test_page import sections

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
WAIT = "new Promise(done => setTimeout(done, 200))"
HELPERS = """
window.part = name => document.querySelector(`[data-part="${name}"]`);
window.tiles = () => [...part("grid").children].map(tile => tile.title);
window.filter = (name, value) => {
  const field = part("filters").elements[name];
  if (field.type === "checkbox") field.checked = value; else field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  return tiles();
};
window.facts = () =>
  [...part("large").querySelectorAll("dt")].map(term => `${term.textContent}: ${term.nextSibling.textContent}`);
"""


def image(name: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "name": name, "split": "train", "cluster": 0, "labels": [0], "unknown": [], "source": None, "answers": [],
        "doubts": [], "near": [], "picture": DOT,
    }  # fmt: skip
    return plain | changes


def answers(*labels: list[int]) -> list[dict[str, Any]]:
    return [{"labels": given, "scores": [[0, 0.9], [1, 0.1]]} for given in labels]


DATA = {
    "labels": ["cat", "dog & co"],
    "clusters": {"0": "0", "2": "2 (night)"},
    "arms": ["nothing", "copies"],
    "images": [
        image("a", near=[1]),
        image("b", cluster=2, labels=[1], doubts=["missing cat"]),
        image("b+1", cluster=2, labels=[1], source=1),
        image("x", split="test", cluster=None, answers=answers([0], [1])),
        image("y", split="test", cluster=None, labels=[], unknown=[1], answers=answers([0], [1])),
    ],
}
SCREENS = [(390, "light"), (1440, "light"), (390, "dark"), (1440, "dark")]


def browse(
    folder: Path, questions: dict[str, str], *, data: dict[str, Any] = DATA, width: int = 1440, scheme: str = "light"
) -> dict[str, Any]:
    """Answers of a page with this data."""
    page = folder / "page.html"
    text = render_page(sections("a name") | {"browse": embed(data, "label=1") | {"all": False}})
    page.write_text(text.replace('src="data:"', f'src="{DOT}"'), encoding="utf-8")
    view = look_at(page, width=width, scheme=scheme, questions={"helpers": HELPERS} | questions)
    assert (view.requests, view.complaints) == ([], [])
    return view.answers


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_each_filter_leaves_what_it_says(width: int, scheme: str, tmp_path: Path) -> None:
    filters = {
        ("label", "1"): ["b", "b+1"],
        ("cluster", "2"): ["b", "b+1"],
        ("split", "test"): ["x", "y"],
        ("kind", "originals"): ["a", "b", "x", "y"],
        ("kind", "copies"): ["b+1"],
        ("answer", "right:0"): ["x"],
        ("answer", "wrong:0"): ["y"],
        ("answer", "right:1"): ["y"],
        ("answer", "only:1"): ["y"],
    }
    questions = {"all": "tiles()"}
    for i, (name, value) in enumerate(filters):
        questions[f"{i}"] = f"filter('{name}', '{value}')"
        questions[f"{i} off"] = f"filter('{name}', '')"
    questions |= {
        "doubt": "filter('doubt', true)",
        "both": "filter('label', '0')",
        "found": "part('found').textContent",
    }
    found = browse(tmp_path, questions, width=width, scheme=scheme)
    everything = ["a", "b", "b+1", "x", "y"]
    assert found["all"] == everything
    for i, (chosen, expected) in enumerate(filters.items()):
        assert (chosen, found[f"{i}"], found[f"{i} off"]) == (chosen, expected, everything)
    assert (found["doubt"], found["both"]) == (["b"], [])
    assert found["found"] == "0 of the 5 images that this page holds"


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_click_shows_an_image_with_all_that_is_known(width: int, scheme: str, tmp_path: Path) -> None:
    questions = {
        "open": "part('grid').children[1].click(), part('dialog').open",
        "name": "part('name').textContent",
        "facts": "facts()",
        "related": "[...part('related').querySelectorAll('.tile')].map(tile => tile.title)",
        "copy": "part('related').querySelector('.tile').click(), part('name').textContent",
        "next": "part('next').click(), facts()",
        "previous": "part('previous').click(), part('name').textContent",
        "inside": "document.documentElement.scrollWidth <= innerWidth && part('dialog').clientWidth <= innerWidth",
        "closed": "part('close').click(), part('dialog').open",
    }
    found = browse(tmp_path, questions, width=width, scheme=scheme)
    assert (found["open"], found["name"], found["copy"], found["previous"]) == (True, "b", "b+1", "b+1")
    assert found["facts"] == ["labels: dog & co", "split: train", "cluster: 2 (night)", "perhaps wrong: missing cat"]
    assert found["related"] == ["b+1"]
    assert found["next"] == [
        "labels: cat",
        "split: test",
        "nothing, right: cat (scores: cat 0.90, dog & co 0.10)",
        "copies, wrong: dog & co (scores: cat 0.90, dog & co 0.10)",
    ]
    assert (found["inside"], found["closed"]) == (True, False)


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_count_of_predictions_leads_to_its_images_until_all_are_shown_again(
    width: int, scheme: str, tmp_path: Path
) -> None:
    questions = {
        "says": "location.hash = '#browse:split=test&predicted=1:1'",
        "says wait": WAIT,
        "said": "[tiles(), part('found').textContent]",
        "lacks": "location.hash = '#browse:lacks=0&split=test&predicted=0:0'",
        "lacks wait": WAIT,
        "lacked": "[tiles(), part('found').textContent]",
        "reset": "part('filters').reset()",
        "reset wait": WAIT,
        "all": "tiles().length",
    }
    found = browse(tmp_path, questions, width=width, scheme=scheme)
    assert found["said"] == [
        ["x", "y"],
        "2 of the 5 images that this page holds, for which the arm copies predicts dog & co",
    ]
    assert found["lacked"] == [
        ["y"], "1 of the 5 images that this page holds, without cat, for which the arm nothing predicts cat",
    ]  # fmt: skip
    assert found["all"] == 5


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_link_of_an_image_opens_it(width: int, scheme: str, tmp_path: Path) -> None:
    questions = {
        "follow": "location.hash = '#browse:image=3'",
        "wait": WAIT,
        "open": "[part('dialog').open, part('name').textContent]",
        "close": "part('close').click()",
        "wrong": "location.hash = '#browse:image=99'",
        "wait again": WAIT,
        "closed": "part('dialog').open",
    }
    found = browse(tmp_path, questions, width=width, scheme=scheme)
    assert (found["open"], found["closed"]) == ([True, "x"], False)


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_link_in_the_page_filters_and_leads_there(width: int, scheme: str, tmp_path: Path) -> None:
    questions = {
        "links": "[...document.querySelectorAll('.browse-link')].filter(link => link.hidden).length",
        "follow": "document.querySelector('[href=\"#browse:label=1\"]').click()",
        "wait": WAIT,
        "label": "part('filters').elements.label.value",
        "tiles": "tiles()",
        "seen": "(top => top >= 0 && top < innerHeight)(document.getElementById('browse').getBoundingClientRect().top)",
        "focus": "document.activeElement === part('filters').elements.label",
    }
    found = browse(tmp_path, questions, width=width, scheme=scheme)
    assert (found["links"], found["label"], found["tiles"], found["seen"], found["focus"]) == (
        0, "1", ["b", "b+1"], True, True
    )  # fmt: skip


def test_an_answer_is_judged_by_the_label_that_is_chosen(tmp_path: Path) -> None:
    pictures = [
        image("x", split="test", labels=[0, 1], answers=answers([1], [0, 1])),
        image("y", split="test", labels=[0, 1], answers=answers([0], [0])),
    ]
    questions = {
        "any": "filter('answer', 'wrong:0')",
        "dog": "filter('label', '1')",
        "only": "filter('answer', 'only:1')",
        "cat": "filter('label', '0')",
    }
    found = browse(tmp_path, questions, data=DATA | {"images": pictures})
    assert (found["any"], found["dog"], found["only"], found["cat"]) == (["x", "y"], ["y"], [], ["x"])


def test_a_cluster_without_an_image_on_the_page_has_none(tmp_path: Path) -> None:
    data = DATA | {"clusters": {"0": "0", "2": "2", "7": "7"}}
    questions = {"go": "location.hash = '#browse:cluster=7'", "wait": WAIT, "tiles": "tiles()"}
    assert browse(tmp_path, questions, data=data)["tiles"] == []


def test_a_link_works_again_after_a_filter_was_changed(tmp_path: Path) -> None:
    link = "document.querySelector('.browse-link[href=\"#browse:label=0\"]').click()"
    questions = {
        "first": link, "wait": WAIT, "cats": "tiles()", "all": "filter('label', '')", "second": link, "again": "tiles()"
    }  # fmt: skip
    found = browse(tmp_path, questions)
    assert (found["cats"], found["again"]) == (["a", "x"], ["a", "x"])


def test_focus_stays_in_the_dialog_when_its_images_change(tmp_path: Path) -> None:
    questions = {
        "open": "part('grid').children[3].click()",
        "last": "part('next').focus(), part('next').click(), part('next').getAttribute('aria-disabled')",
        "at": "document.activeElement === part('next')",
        "copy": "part('close').click(), part('grid').children[1].click()",
        "family": "(tile => (tile.focus(), tile.click()))(part('related').querySelector('.tile'))",
        "inside": "part('dialog').contains(document.activeElement)",
    }
    found = browse(tmp_path, questions)
    assert (found["last"], found["at"], found["inside"]) == ("true", True, True)


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_the_keyboard_alone_filters_opens_and_closes(width: int, scheme: str, tmp_path: Path) -> None:
    questions = {
        "start": "part('filters').elements.split.focus()",
        "train": "key:ArrowDown",
        "chosen": "[part('filters').elements.split.value, tiles()]",
        **{f"tab {i}": "key:Tab" for i in range(5)},
        "at": "document.activeElement.title",
        "enter": "key:Enter",
        "open": "[part('dialog').open, part('name').textContent]",
        "escape": "key:Escape",
        "closed": "[part('dialog').open, document.activeElement.title]",
    }
    found = browse(tmp_path, questions, width=width, scheme=scheme)
    assert found["chosen"] == ["train", ["a", "b", "b+1"]]
    assert (found["at"], found["open"], found["closed"]) == ("a", [True, "a"], [False, "a"])


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_more_images_are_shown_when_they_are_asked_for(width: int, scheme: str, tmp_path: Path) -> None:
    many = DATA | {"images": [image(f"{i}") for i in range(60)]}
    questions = {
        "first": "[tiles().length, part('more').hidden]",
        "then": "part('more').click(), [tiles().length, part('more').hidden]",
        "focus": "document.activeElement.title",
    }
    found = browse(tmp_path, questions, data=many, width=width, scheme=scheme)
    assert (found["first"], found["then"], found["focus"]) == ([48, False], [60, True], "48")


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_no_rule_of_accessibility_is_broken(width: int, scheme: str, tmp_path: Path) -> None:
    opened = "part('grid').children[1].click()"
    questions = {"axe": LOAD_AXE, "page": VIOLATIONS, "open": opened, "dialog": VIOLATIONS}
    found = browse(tmp_path, questions, width=width, scheme=scheme)
    assert (found["page"], found["dialog"]) == ([], [])


def test_2_000_images_of_200_labels_are_ready_within_a_second_and_a_half(tmp_path: Path) -> None:
    labels = [f"label {i}" for i in range(200)]
    images = [image(f"{i}.jpg", labels=[i % 200], answers=answers([0], [i % 200]), picture=DOT) for i in range(2000)]
    started = "performance.getEntriesByType('navigation')[0].domInteractive"
    found = browse(tmp_path, {"ready": started, "filter": "filter('answer', 'wrong:0').length"}, data={
        "labels": labels, "clusters": {"0": "0"}, "arms": ["nothing", "copies"], "images": images
    })  # fmt: skip
    assert found["ready"] < 1_500
    assert found["filter"] == 48
