from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.images import codec
from counterweight.report.explanations_section import explanations_section

COLUMNS = [
    "picture", "image_id", "reason", "label", "labeled",
    "probability_nothing", "predicted_nothing", "probability_copies", "predicted_copies",
]  # fmt: skip


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The pictures of two images."""
    for number in range(2):
        for arm in ("", "-nothing", "-copies"):
            codec.write(np.zeros((8, 8, 3), np.uint8), tmp_path / f"{number}{arm}.jpg", "jpg")
    return tmp_path


def test_images_are_grouped_by_reason_with_what_both_arms_say(pictures: Path) -> None:
    rows = [
        [0, "a.png", "only right by copies", "sea", 1, 0.2, 0, 0.8, 1],
        [1, "b.png", "surest errors", "ice", 0, 0.9, 1, 0.95, 1],
    ]
    summary = {"method": "gradcam", "border_share": {"nothing": 0.31, "copies": 0.352, "area": 0.36}}
    section = explanations_section(pd.DataFrame(rows, columns=COLUMNS), summary, pictures)
    assert section["method"] == "the last feature maps, weighted by their gradients (Grad-CAM)"
    (first, [sea]), (second, [ice]) = section["groups"]
    assert (first, second) == ("Right with copies alone", "Surest errors")
    assert sea["caption"] == "a.png: labeled sea; without copies no (20%), with copies yes (80%)"
    assert ice["caption"] == "b.png: not labeled ice; without copies yes (90%), with copies yes (95%)"
    assert [image[:11] for image in sea["images"]] == ["data:image/"] * 3
    assert section["border"].startswith(
        "In these pictures, 31% of what speaks for the labels lies within a tenth of the edge without copies, and 35% "
        "with them; that border is 36% of the picture."
    )
    assert not section["has_blue"]


def test_without_explanations_there_is_no_group_and_no_sentence(tmp_path: Path) -> None:
    summary = {"method": "none", "border_share": {}}
    section = explanations_section(pd.DataFrame(columns=COLUMNS), summary, tmp_path)
    assert section == {"method": "", "has_blue": True, "groups": [], "border": ""}
