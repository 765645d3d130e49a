import pytest
from jinja2 import UndefinedError

from counterweight.report.page import page, run_chapter

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
INGEST = {
    "dropped_rows": 3,
    "unlisted_files": 4,
    "duplicates": {"groups": 5, "leaks": 6, "other_labels": 7},
}


def chapters(name: str) -> dict[str, dict[str, object]]:
    """As little as a page can have, with a name in every place that has one."""
    pair = {"name": name, "source": "data:", "made": "data:", "change": 2.0, "said": name}
    picture = [("data:", name)]
    cluster = {"name": name, "before": 1, "after": 2, "said": name, "typical": picture, "unusual": picture}
    return {
        "look": {"verdict": name, "but": name, "facts": [{"name": name, "value": name, "more": name}]},
        "labels": {
            "warnings": [name], "chart": "<svg/>", "head": [name], "rows": [[name]], "more": name,
            "pairs": [[name, 1, "1%"]],
        },
        "clusters": {"chart": "<svg/>", "plane": "<svg/>", "sweep": "", "each": [cluster], "more": name},
        "copies": {
            "said": name, "some": [pair], "strongest": [pair], "weakest": [pair], "looked_at": 1, "redrawn": [pair],
        },
        "results": {
            "said": name, "head": [name], "rows": [[name]], "threshold": "<svg/>", "training": ["<svg/>", "<svg/>"],
            "curves": [(name, "<svg/>")], "confusion": [(name, "<svg/>")], "only": [(name, 1, picture)],
        },
        "run": run_chapter(f"seed: {name}", INGEST, [name]),
    }  # fmt: skip


def test_every_name_is_escaped() -> None:
    written = page(chapters(HOSTILE))
    assert "onerror=alert(1)>" not in written
    assert written.count("&lt;img src=x onerror=alert(1)&gt;") > 20


def test_charts_are_taken_as_they_are() -> None:
    assert page(chapters("a")).count("<svg/>") == 8


def test_what_ingest_found_is_listed() -> None:
    written = page(chapters("a"))
    for name, count in (("rows dropped", 3), ("images without a row", 4), ("groups of duplicates", 5)):
        assert f'<th scope="row">{name}</th><td>{count}</td>' in written


def test_missing_part_is_an_error() -> None:
    less = chapters("a")
    del less["results"]["threshold"]
    with pytest.raises(UndefinedError):
        page(less)
