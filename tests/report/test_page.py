import pytest
from jinja2 import UndefinedError

from counterweight.report.page import render_page, run_section

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
INGEST = {
    "dropped_rows": 3,
    "unlisted_files": 4,
    "duplicates": {"groups": 5, "leaks": 6, "other_labels": 7},
}


def sections(name: str) -> dict[str, dict[str, object]]:
    """The least that a page needs, with this name in every place for a name."""
    pair = {"name": name, "source": "data:", "copy": "data:", "change": 2.0, "note": name}
    picture = [("data:", name)]
    cluster = {"name": name, "before": 1, "after": 2, "text": name, "typical": picture, "unusual": picture}
    return {
        "summary": {"verdict": name, "caveat": name, "facts": [{"name": name, "value": name, "note": name}]},
        "labels": {
            "warnings": [name], "chart": "<svg/>", "head": [name], "rows": [[name]], "note": name,
            "pairs": [[name, 1, "1%"]],
        },
        "clusters": {"chart": "<svg/>", "plane": "<svg/>", "sweep": "", "details": [cluster], "note": name},
        "copies": {
            "text": name, "sample": [pair], "strongest": [pair], "weakest": [pair], "compared": 1, "retried": [pair],
        },
        "results": {
            "text": name, "head": [name], "rows": [[name]], "threshold": "<svg/>", "training": ["<svg/>", "<svg/>"],
            "curves": [(name, "<svg/>")], "confusion": [(name, "<svg/>")], "only_correct": [(name, 1, picture)],
        },
        "run": run_section(f"seed: {name}", INGEST, [name]),
    }  # fmt: skip


def test_every_name_is_escaped() -> None:
    written = render_page(sections(HOSTILE))
    assert "onerror=alert(1)>" not in written
    assert written.count("&lt;img src=x onerror=alert(1)&gt;") > 20


def test_charts_are_inserted_as_they_are() -> None:
    assert render_page(sections("a")).count("<svg/>") == 8


def test_counts_of_ingest_are_listed() -> None:
    written = render_page(sections("a"))
    for name, count in (("rows dropped", 3), ("images without a row", 4), ("groups of duplicates", 5)):
        assert f'<th scope="row">{name}</th><td>{count}</td>' in written


def test_missing_value_is_an_error() -> None:
    incomplete = sections("a")
    del incomplete["results"]["threshold"]
    with pytest.raises(UndefinedError):
        render_page(incomplete)
