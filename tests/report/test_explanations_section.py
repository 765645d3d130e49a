from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.images import codec
from counterweight.report.explanations_section import explanations_section

COLUMNS = [
    "picture", "image_id", "reason", "label", "labeled",
    "score_nothing", "answer_nothing", "score_copies", "answer_copies",
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
    summary = {"method": "gradcam", "border_share": {"nothing": 0.31, "copies": 0.352}}
    section = explanations_section(pd.DataFrame(rows, columns=COLUMNS), summary, pictures)
    assert section["method"] == "the last feature maps, weighted by their gradients (Grad-CAM)"
    (first, [sea]), (second, [ice]) = section["groups"]
    assert (first, second) == ("Right by copies alone", "Surest errors")
    assert sea["caption"] == "a.png is labeled sea; nothing says no (0.20), copies says yes (0.80)"
    assert ice["caption"] == "b.png is not labeled ice; nothing says yes (0.90), copies says yes (0.95)"
    assert [image[:11] for image in sea["images"]] == ["data:image/"] * 3
    assert section["border"].startswith(
        "31% of what speaks for these labels lies within a tenth of the edge without copies, and 35% with them; that "
        "border is 36% of a square picture."
    )


def test_without_explanations_there_is_no_group_and_no_sentence(tmp_path: Path) -> None:
    summary = {"method": "none", "border_share": {}}
    section = explanations_section(pd.DataFrame(columns=COLUMNS), summary, tmp_path)
    assert section == {"method": "", "groups": [], "border": ""}
