import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError

from counterweight.base import manifest
from counterweight.report.page import render_page, run_section, run_warnings

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
INGEST = {
    "dropped_rows": 3,
    "unlisted_files": 4,
    "duplicates": {"groups": 5, "leaks": 6, "group_leaks": 8, "other_labels": 7},
}

NONE_IMPUTED = {"filled": 0, "labels": {}}


def sections(name: str) -> dict[str, dict[str, object]]:
    """The least that a page needs, with this name in every place for a name."""
    pair = {"name": name, "source": "data:", "copy": "data:", "change": 2.0, "note": name}
    alike = {"first": "data:", "second": "data:", "names": [name, name], "caption": name}
    explained = {"images": ["data:"] * 3, "name": name, "label": name, "caption": name}
    picture = [("data:", name)]
    cluster = {
        "number": 0,
        "title": name,
        "before": 1,
        "after": 2,
        "text": name,
        "typical": picture,
        "unusual": picture,
    }
    return {
        "summary": {
            "chance": True, "verdict": name, "sentences": [name], "command": name,
            "facts": [{"name": name, "value": name, "note": name}],
        },
        "remedies": {
            "no_signal": name, "sentence": name, "command": name, "chart": "<svg/>", "head": [name], "rows": [[name]],
            "growth": name,
        },
        "doubts": {
            "issues": name, "pictures": picture, "alike": name, "pairs": [alike], "leaks": name, "leaking": [alike],
            "compared": name,
        },
        "affinity": {"sentences": [name], "chart": "<svg/>", "strips": picture, "rows": [[name]]},
        "labels": {
            "warnings": [name], "chart": "<svg/>", "head": [name], "rows": [[name]], "note": name,
            "queries": ["label=0"], "pairs": [[name, 1, "1%"]],
        },
        "clusters": {"chart": "<svg/>", "plane": "<svg/>", "sweep": "", "details": [cluster], "note": name},
        "copies": {
            "text": name, "sample": [pair], "strongest": [pair], "weakest": [pair], "compared": 1, "retried": [pair],
            "guarded": True,
        },
        "results": {
            "warnings": [name], "arms": [[name] * 9], "text": name, "head": [name], "rows": [[name]],
            "queries": ["label=0"], "numbers": {name: 0},
            "confused": [{"arm": name, "head": [name, name], "rows": [[name, (3, "label=0&split=test")]]}],
            "threshold": "<svg/>", "reliability": "<svg/>", "training": ["<svg/>", "<svg/>"],
            "curves": [(name, "<svg/>")], "confusion": [(name, "<svg/>")], "only_correct": [(name, 1, picture)],
        },
        "explanations": {"method": name, "border": name, "has_blue": True, "groups": [(name, [explained])]},
        "browse": {"data": "", "script": "", "hash": "", "hardest": "", "all": False},
        "run": run_section(f"seed: {name}", INGEST, [name]),
    }  # fmt: skip


def test_every_name_is_escaped() -> None:
    written = render_page(sections(HOSTILE))
    assert "onerror=alert(1)>" not in written
    assert written.count("&lt;img src=x onerror=alert(1)&gt;") > 20


def test_charts_are_inserted_as_they_are() -> None:
    assert render_page(sections("a")).count("<svg/>") == 11


def test_chance_and_trainings_that_had_not_converged_are_warnings() -> None:
    content = sections("a")
    content["summary"]["chance"], content["summary"]["verdict"] = True, "No arm is better."
    content["results"]["warnings"] = ["The training of copies had not converged."]
    written = render_page(content)
    assert '<p class="warning">No arm is better.</p>' in written
    assert '<p class="warning">The training of copies had not converged.</p>' in written
    content["summary"]["chance"], content["results"]["warnings"] = False, []
    certain = render_page(content)
    assert certain.count('class="warning"') == written.count('class="warning"') - 2
    assert '<p class="verdict">No arm is better.</p>' in certain


def test_the_row_of_an_arm_has_a_cell_per_column() -> None:
    table = render_page(sections("a")).split('id="results"')[1].split("</table>")[0]
    assert table.count("<th ") - table.count('<th scope="row"') == 9
    assert (table.count("<td>"), table.count('<th scope="row"')) == (8, 1)


def test_counts_of_ingest_are_listed() -> None:
    written = render_page(sections("a"))
    for name, count in (("rows dropped", 3), ("images without a row", 4), ("groups of duplicates", 5)):
        assert f'<th scope="row">{name}</th><td>{count}</td>' in written


def test_confusion_matrices_that_are_not_drawn_are_said_to_lie_in_the_folder_of_the_arm() -> None:
    content = sections("a")
    content["results"]["confusion"] = [("copies", "")]
    assert "confusion.csv and confusion.svg in results/arms/copies/." in render_page(content)


def test_missing_value_is_an_error() -> None:
    incomplete = sections("a")
    del incomplete["results"]["threshold"]
    with pytest.raises(UndefinedError):
        render_page(incomplete)


NOTHING = {
    "dropped_rows": 0,
    "unlisted_files": 0,
    "duplicates": {"groups": 0, "leaks": 0, "group_leaks": 0, "other_labels": 0},
}


@pytest.fixture
def table() -> pd.DataFrame:
    """One image per split, all with the same label."""
    ids = ["a.png", "b.png", "c.png"]
    return manifest.build(ids, ids, ["train", "val", "test"], ["sea"], np.ones((3, 1), dtype=np.int8), [""] * 3)


def test_normal_run_has_no_warnings(table: pd.DataFrame) -> None:
    assert run_warnings(table, NOTHING, NONE_IMPUTED, {"unfit_images": 0}, "IMAGENET1K_V1") == []


def test_most_serious_warning_comes_first(table: pd.DataFrame) -> None:
    odd = {
        "dropped_rows": 3,
        "unlisted_files": 4,
        "duplicates": {"groups": 9, "leaks": 1, "group_leaks": 7, "other_labels": 2},
    }
    assert run_warnings(table, odd, NONE_IMPUTED, {"unfit_images": 5}, "random") == [
        "1 images also appear in a later split (leak): results there look better than they are.",
        "7 images share a group with a later split (leak): results there look too good.",
        "2 images have other labels than a duplicate.",
        "3 rows were dropped.",
        "4 images have no row and were left out.",
        "5 images gave no usable copy, so others were copied instead.",
        "The features come from random weights: they capture color and texture, not content.",
    ]


def test_label_without_an_image_in_a_split_is_named(table: pd.DataFrame) -> None:
    less = table.assign(**{"label:sea": [1, 1, 0]})
    assert run_warnings(less, NOTHING, NONE_IMPUTED, {"unfit_images": 0}, "weights.pth") == [
        "No test image has 'sea': recall cannot be measured."
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"sea": {"filled": 240, "auc": 0.92}}, "0.92 (sea) to 0.92."),
        (
            {"sea": {"filled": 200, "auc": 0.53}, "ice": {"filled": 40, "auc": 0.91}},
            "0.53 (sea) to 0.91. Below 0.7, most of what they impute is chance: set data.missing to mask.",
        ),
    ],
)
def test_imputed_labels_are_said_with_how_well_their_classifiers_do(
    labels: dict[str, dict[str, float]], expected: str, table: pd.DataFrame
) -> None:
    imputed = {"filled": 240, "labels": labels}
    assert run_warnings(table, NOTHING, imputed, {"unfit_images": 0}, "weights.pth") == [
        f"240 missing label cells of train images were imputed by classifiers whose AUC on known labels is {expected}"
    ]


def test_imputed_labels_of_classifiers_that_nothing_tests_are_said(table: pd.DataFrame) -> None:
    imputed = {"filled": 2, "labels": {"sea": {"filled": 2}}}
    assert run_warnings(table, NOTHING, imputed, {"unfit_images": 0}, "weights.pth") == [
        "2 missing label cells of train images were imputed, by classifiers that no known label was left to test."
    ]


def test_without_images_to_browse_no_name_is_a_link() -> None:
    linked = '<svg><a xlink:href="#browse:label=0"><text>sea</text></a></svg>'
    parts = sections("a")
    parts["labels"]["chart"] = linked
    assert "<svg><text>sea</text></svg>" in render_page(parts)
    assert "#browse:" not in render_page(parts)
    parts["browse"] = {"data": "{}", "script": "", "hash": "", "hardest": "label=0", "all": False}
    assert linked in render_page(parts)
