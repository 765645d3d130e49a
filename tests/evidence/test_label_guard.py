"""Images here are two features, one per label; copies are given by their features."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.base import manifest
from counterweight.base.params import load_params
from counterweight.evidence import label_guard
from counterweight.evidence.cross_validation import ProbeData
from counterweight.evidence.label_guard import GuardConfig, LabelGuard, build_label_guard, fit_label_guard
from counterweight.networks.feature_extractor import FeatureExtractor
from counterweight.networks.inference import Compute
from counterweight.networks.loader import ImageFiles, Preprocessing
from tests.workspace import NO_CACHE, PROJECT

CONFIG = GuardConfig("multilabel", min_score=0.9, min_similarity=0.5, max_draws=3, fallback=None)


def data(task: str = "multilabel") -> ProbeData:
    """Two hundred images; a label adds 4 to its feature. Image 0 has both labels and shows only the first."""
    rng = np.random.default_rng(0)
    targets = (rng.random((200, 2)) < 0.5).astype(np.int8)
    if task != "multilabel":
        targets[:, 1] = 1 - targets[:, 0]
    features = 4.0 * targets + rng.normal(scale=0.5, size=(200, 2))
    if task == "multilabel":
        targets[0], features[0] = (1, 1), (4.0, 0.0)
    return ProbeData(task, [f"{i}" for i in range(200)], ["sea", "sun"], features.astype(np.float32), targets, {}, {})


def guard(
    task: str = "multilabel", config: GuardConfig = CONFIG, of_copies: Mapping[str, list[float]] | None = None
) -> LabelGuard:
    def extract(files: ImageFiles) -> NDArray[np.float32]:
        return np.array([(of_copies or {})[path.name] for path in files.paths], dtype=np.float32)

    return fit_label_guard(extract, data(task), np.arange(200), replace(config, task=task), workers=1)


def judge(row: int, features: list[float], **options: object) -> float:
    copy = MadeCopy("copy", "copy.png", Source(f"{row}", f"{row}.png", "source"), "copy", ())
    of_copies = {"copy.png": features}
    return float(guard(of_copies=of_copies, **options)([copy], Path("copies"))[0])  # type: ignore[arg-type]


def row_with(targets: list[int], task: str = "multilabel") -> int:
    """An image with these labels, other than the first."""
    return int(np.flatnonzero((data(task).targets == targets).all(axis=1))[1])


def test_a_copy_like_its_source_shows_its_labels() -> None:
    row = row_with([1, 1])
    assert judge(row, data().features[row].tolist()) == pytest.approx(1 / 0.9)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_copy_that_lost_one_of_two_labels_hides_it(lost: int) -> None:
    features = [4.0, 4.0]
    features[lost] = 0.0
    assert judge(row_with([1, 1]), features) < 0.1


def test_a_copy_must_be_like_its_source_but_may_show_more_labels() -> None:
    row, with_both = row_with([1, 0]), [4.0, 4.0]
    assert judge(row, with_both) < 1
    assert judge(row, with_both, config=replace(CONFIG, min_similarity=0.1)) > 1


def test_a_copy_without_labels_has_nothing_to_hide() -> None:
    assert judge(row_with([0, 0]), [2.0, 2.0]) == np.inf


def test_the_least_score_is_a_fraction_of_the_source_s() -> None:
    row, features = row_with([1, 0]), [2.6, 0.0]
    strict, lenient = (judge(row, features, config=replace(CONFIG, min_score=least)) for least in (0.9, 0.45))
    assert 0 < strict < lenient
    assert lenient == pytest.approx(2 * strict)


def test_the_copy_of_an_image_that_hides_its_own_label_is_judged_by_its_similarity() -> None:
    like_its_source, other = judge(0, [4.0, 0.0]), judge(0, [0.0, 4.0])
    assert like_its_source > 1
    assert other < 0


def test_labels_that_images_themselves_hide_are_listed_with_their_scores() -> None:
    hidden = guard().hidden_labels(["0", f"{row_with([1, 1])}"])
    assert hidden[["image_id", "label"]].to_numpy().tolist() == [["0", "sun"]]
    assert hidden["score"].iloc[0] < 0.1


def test_with_one_label_per_image_a_copy_must_stay_in_its_class() -> None:
    row = row_with([1, 0], "binary")
    assert judge(row, [4.0, 0.0], task="binary") > 1
    assert judge(row, [0.0, 4.0], task="binary") < 0.1


def test_a_rare_class_is_looked_for_by_tuned_thresholds() -> None:
    rng = np.random.default_rng(0)
    is_sun = np.arange(400) < 40
    features = (1.5 * is_sun + rng.normal(size=400))[:, None].astype(np.float32)
    targets = np.stack([~is_sun, is_sun], axis=1).astype(np.int8)
    of_rare = ProbeData("binary", [f"{i}" for i in range(400)], ["sea", "sun"], features, targets, {}, {})
    found = fit_label_guard(
        lambda files: np.empty((0, 1), np.float32), of_rare, np.arange(400), replace(CONFIG, task="binary"), workers=1
    )
    hidden = found.hidden_labels([f"{i}" for i in range(40)])
    # By the highest score, every sun below 0.5 would be hidden: 33 of 40.
    assert (hidden["score"] < 0.3).all()
    assert len(hidden) == 22


def test_the_probe_of_an_image_is_fitted_to_none_of_its_group() -> None:
    found = fit_label_guard(lambda files: np.empty((0, 2), np.float32), data(), np.arange(200) // 4, CONFIG, workers=1)
    by_group = found.fold_of.reshape(50, 4)
    assert (by_group == by_group[:, :1]).all()
    for number, fold in enumerate(found.probes):
        assert fold.rows.tolist() == np.flatnonzero(found.fold_of == number).tolist()


def test_images_outside_the_sample_are_judged_by_a_probe_that_does_not_know_their_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(label_guard, "MAX_IMAGES", 100)
    groups = np.arange(200) // 2
    found = fit_label_guard(lambda files: np.empty((0, 2), np.float32), data(), groups, CONFIG, workers=1)
    assert sum(len(fold.rows) for fold in found.probes) == 100
    assert (found.fold_of[::2] == found.fold_of[1::2]).all()
    assert found.reference.shape == (100, 2)


def test_labels_that_are_not_judged_are_judged_by_similarity_and_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(files: ImageFiles) -> NDArray[np.float32]:
        return np.array([[-2.0, 4.0], [4.0, 4.0]], dtype=np.float32)

    monkeypatch.setattr(label_guard, "MAX_LABELS", 2)
    targets = np.column_stack([data().targets, data().targets[:, 1]])
    targets[10:, 2] = 0  # A label of few images.
    of_three = replace(data(), labels=["sea", "sun", "ice"], targets=targets)
    found = fit_label_guard(extract, of_three, np.arange(200), CONFIG, workers=1)
    assert found.judged.tolist() == [0, 1]
    row = next(i for i in range(1, 10) if targets[i].tolist() == [0, 1, 1])
    copies = [MadeCopy(name, name, Source(f"{row}", f"{row}.png", "source"), name, ()) for name in ("a", "b")]
    # Both copies show the sun, but one of them looks like another image.
    assert (found(copies, Path("copies")) >= 1).tolist() == [True, False]
    assert set(found.hidden_labels([f"{i}" for i in range(200)])["label"]) <= {"sea", "sun"}


def test_the_section_of_the_params_names_the_fallback() -> None:
    augment = load_params(PROJECT / "params.yaml").augment.model_dump()
    section = augment["guard"]
    by = {
        name: GuardConfig.from_params(augment | {"guard": section | {"fallback": name}}, "binary", "jpg")
        for name in ("thirds", "plain", None)
    }
    assert by[None] == GuardConfig(
        "binary", section["min_score"], section["min_similarity"], section["max_draws"], None
    )
    assert by["thirds"].fallback == CopyConfig.from_params(augment, "jpg", "thirds")
    assert by["plain"].fallback is not None
    assert by["plain"].fallback.copy_mode == "plain"


def test_a_copy_with_the_bytes_of_its_source_shows_its_labels_under_the_strictest_limits() -> None:
    rows = [0, *np.flatnonzero(data().targets.any(axis=1))[:40].tolist()]
    of_copies = {f"{row}.png": data().features[row].tolist() for row in rows}
    copies = [MadeCopy(f"{row}", f"{row}.png", Source(f"{row}", f"{row}.png", "same"), "same", ()) for row in rows]
    strictest = replace(CONFIG, min_score=1.0, min_similarity=1.0)
    assert (guard(config=strictest, of_copies=of_copies)(copies, Path("copies")) >= 1).all()


def test_parts_of_four_copies_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(range(25))
    of_copies = {f"{row}.png": (data().features[row] * 0.8).tolist() for row in rows}
    copies = [MadeCopy(f"{row}", f"{row}.png", Source(f"{row}", f"{row}.png", "source"), "copy", ()) for row in rows]
    judged = guard(of_copies=of_copies)
    whole, hidden = judged(copies, Path("copies")), judged.hidden_labels([f"{row}" for row in rows])
    monkeypatch.setattr(label_guard, "_NUMBERS_AT_ONCE", 4 * data().features.shape[1])
    np.testing.assert_allclose(judged(copies, Path("copies")), whole, rtol=1e-5)
    pd.testing.assert_frame_equal(judged.hidden_labels([f"{row}" for row in rows]), hidden)
    assert hidden["image_id"].tolist() == ["0"]


def test_no_copies_are_no_judgement() -> None:
    assert guard()([], Path("copies")).shape == (0,)


def test_copies_are_read_from_their_folder() -> None:
    seen: list[Path] = []

    def extract(files: ImageFiles) -> NDArray[np.float32]:
        seen.extend(files.paths)
        assert files.checksums == ["abc"]
        return np.zeros((1, 2), np.float32)

    judged = fit_label_guard(extract, data(), np.arange(200), CONFIG, workers=1)
    judged([MadeCopy("copy", "sea/copy.png", Source("3", "3.png", ""), "abc", ())], Path("copies"))
    assert seen == [Path("copies/sea/copy.png")]


def test_no_hidden_labels_make_an_empty_table() -> None:
    table = guard().hidden_labels([])
    assert table.columns.tolist() == ["image_id", "label", "score"]
    assert isinstance(table, pd.DataFrame)
    assert table.empty


def build(images: int, config: GuardConfig | None = CONFIG, *, is_random: bool = False) -> LabelGuard | None:
    """A guard for images of which each two are duplicates of each other."""
    ids, targets = [f"{i}" for i in range(images)], data().targets[:images]
    train = manifest.build(ids, ids, ["train"] * images, ["sea", "sun"], targets, ids, clusters=[0] * images)
    rows = [int(image) for image in train["image_id"]]  # A manifest is sorted by id.
    duplicates = pd.DataFrame({"image_id": ids, "tied": np.arange(images) // 2, "group": np.arange(images)})
    extractor = FeatureExtractor(
        nn.Identity(), "none", 2, is_random, Preprocessing("none", (8, 8)), Compute(torch.device("cpu"), 1), NO_CACHE
    )
    return build_label_guard(train, data().features[rows], duplicates, extractor, config)


def test_a_guard_is_built_from_fifty_different_images_on(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(build(100), LabelGuard)
    assert caplog.messages == []
    assert build(98) is None
    assert caplog.messages == [
        "augment.guard is off: 49 different images or groups are too few to judge by. Give it 50 or more"
    ]


def test_duplicates_are_judged_by_the_same_probe() -> None:
    built = build(100)
    assert built is not None
    fold_of = dict(zip(built.data.image_ids, built.fold_of.tolist(), strict=True))
    assert all(fold_of[f"{i}"] == fold_of[f"{i + 1}"] for i in range(0, 100, 2))


def test_there_is_no_guard_without_limits_and_for_random_weights(caplog: pytest.LogCaptureFixture) -> None:
    assert build(100, config=None) is None
    assert caplog.messages == []
    assert build(100, is_random=True) is None
    (message,) = caplog.messages
    assert message.startswith("augment.guard is off: features of random weights show color and texture")
