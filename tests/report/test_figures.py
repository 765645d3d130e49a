import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from counterweight.report import figures

SWEEP = pd.DataFrame({"clusters": [3, 4], "inertia": [9.0, 5.0], "silhouette": [0.4, 0.3]})
CHARTS = {
    "bars": lambda: figures.bars(["sea & sky", "<ice>"], {"before": [3, 1], "after": [3, 3]}, unit="images"),
    "lines": lambda: figures.lines({"a": ([0, 1], [0, 1]), "b": ([0, 1], [1, 0])}, x="x", y="y", marked=[0.5]),
    "plane": lambda: figures.scatter(
        np.arange(20.0).reshape(10, 2), np.repeat(np.arange(5), 2), {i: f"{i}" for i in range(5)}
    ),
    "sweep": lambda: figures.sweep_chart(SWEEP, 4),
}


@pytest.fixture(params=CHARTS)
def chart(request: pytest.FixtureRequest) -> str:
    return CHARTS[request.param]()


def test_chart_is_svg_in_the_text_color_of_the_page(chart: str) -> None:
    assert ElementTree.fromstring(chart).tag.endswith("svg")
    assert "currentColor" in chart
    assert "#010203" not in chart
    assert "#000000" not in chart


def test_ids_are_unique_and_referenced(chart: str) -> None:
    ids = re.findall(r' id="([^"]+)"', chart)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', chart)) == set(ids)


def test_no_two_charts_of_a_page_share_an_id() -> None:
    ids = [name for build in CHARTS.values() for name in re.findall(r' id="([^"]+)"', build())]
    assert len(ids) > len(CHARTS)
    assert len(ids) == len(set(ids))


def test_chart_shrinks_with_the_page(chart: str) -> None:
    assert not re.search(r'<svg[^>]* (?:width|height)="', chart)


def test_same_values_give_the_same_chart() -> None:
    for build in CHARTS.values():
        assert build() == build()


def test_names_are_text_and_not_markup() -> None:
    texts = [
        element.text for element in ElementTree.fromstring(CHARTS["bars"]()).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {"sea & sky", "<ice>", "before", "after"} <= set(texts)


def test_a_name_leads_to_its_images() -> None:
    chart = figures.bars(["sea", "ice"], {"before": [1, 2]}, unit="images", queries=["label=0&split=train", "label=1"])
    links = re.findall(r'<a xlink:href="([^"]+)">\s*<text[^>]*>(\w+)</text>', chart)
    assert links == [("#browse:label=0&amp;split=train", "sea"), ("#browse:label=1", "ice")]


def test_a_dot_leads_to_its_image_by_the_mouse_alone_and_is_in_any_sample() -> None:
    positions = np.random.default_rng(0).random((20_000, 2))
    chart = figures.scatter(positions, np.zeros(20_000, int), {0: "0"}, {13_337: "image=5"})
    assert re.findall(r"<a [^>]*>", chart) == ['<a tabindex="-1" aria-hidden="true" xlink:href="#browse:image=5">']


def test_many_images_are_sampled() -> None:
    many = figures.scatter(np.random.default_rng(0).random((20_000, 2)), np.zeros(20_000, int), {0: "0"})
    assert many.count("<use") < 1_700
