from pathlib import Path

import numpy as np

from counterweight.explanation.overlay import border_share, border_shares, overlay, write_pictures
from counterweight.images import codec

WHITE = np.full((2, 3, 3), 255, np.uint8)


def test_what_speaks_for_a_label_is_orange_and_what_speaks_against_it_blue() -> None:
    evidence = np.array([[2, 1, 0], [-2, -1, 0]], np.float32)
    picture = overlay(WHITE, evidence)
    (strong_red, _, strong_blue), (weak_red, _, weak_blue) = picture[0, 0].tolist(), picture[0, 1].tolist()
    assert strong_red > strong_blue
    assert weak_red > weak_blue > strong_blue
    (strong_red, _, strong_blue), (weak_red, _, weak_blue) = picture[1, 0].tolist(), picture[1, 1].tolist()
    assert strong_blue > weak_red > strong_red
    assert picture[0, 2].tolist() == picture[1, 2].tolist() == [217, 217, 217]


def test_without_evidence_the_picture_is_gray() -> None:
    assert np.unique(overlay(WHITE, np.zeros((2, 3), np.float32))).tolist() == [217]


def test_the_border_is_a_tenth_of_the_shorter_side_wide() -> None:
    evidence = np.zeros((20, 40), np.float32)
    evidence[1, 20], evidence[2, 20] = 3, 1
    assert border_share(evidence) == 0.75


def test_evidence_against_a_label_does_not_count_and_images_without_any_for_it_by_one_arm_are_left_out() -> None:
    against = np.full((10, 10), -1, np.float32)
    half, all_at_border = against.copy(), against.copy()
    half[0, 0], half[5, 5] = 1, 1
    all_at_border[9, 9] = 2
    maps = {"nothing": np.stack([half, half]), "copies": np.stack([against, all_at_border])}
    assert border_shares(maps) == {"nothing": 0.5, "copies": 1.0, "area": 0.36}
    assert border_shares({"nothing": half[None], "copies": against[None]}) == {}
    assert border_shares({}) == {}


def test_pictures_are_named_after_the_number_of_the_image_and_the_arm(tmp_path: Path) -> None:
    views = np.random.default_rng(0).integers(0, 255, (2, 12, 16, 3), dtype=np.uint8)
    write_pictures(views, np.zeros((2, 12, 16), np.float32), "copies", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0-copies.jpg", "0.jpg", "1-copies.jpg", "1.jpg"]
    assert codec.read(tmp_path / "1.jpg").shape == (12, 16, 3)
