from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.augmentation.allocation import Source
from counterweight.augmentation.copy_maker import Recipe, copy_seed, fault
from counterweight.augmentation.imgaug_pipeline import Augmentation
from counterweight.augmentation.oversampling import Outcome, fill
from counterweight.augmentation.strategies import GroupPlan, LabelPlan
from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import Pixels
from counterweight.runtime.cache import Cache
from tests.workspace import NO_CACHE

MIRROR = [{"Fliplr": {"p": 1}}]
# Draws no square, or one that covers the whole image.
SOMETIMES_BLANK = [{"Cutout": {"nb_iterations": [0, 1], "size": 1.0, "squared": 0, "position": "center"}}]


def recipe(pipeline: list[dict[str, Any]] = MIRROR, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"kind": "augmented", "pipeline": pipeline, "mix": "compose", "seed": 0, "format": "png"}
    limits: dict[str, Any] = {"min_std": 4.0, "min_contrast": 0.25, "max_draws": 3}
    return Recipe(**(settings | limits | changes))


def photo(folder: Path, name: str, seed: int) -> Source:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return Source(name, name, codec.write(pixels, folder / "resized" / name, "png"))


def grey(folder: Path, name: str) -> Source:
    return Source(name, name, codec.write(np.full((16, 24, 3), 128, np.uint8), folder / "resized" / name, "png"))


def filled(
    tmp_path: Path,
    clusters: dict[int, list[Source]],
    needed: dict[int, int],
    made_by: Recipe | None = None,
    *,
    to: str = "copies",
    cap: int | None = None,
    workers: int = 1,
    cache: Cache = NO_CACHE,
) -> Outcome:
    members = {str(cluster): [source.image_id for source in sources] for cluster, sources in clusters.items()}
    plan = GroupPlan(members, {str(cluster): count for cluster, count in needed.items()}, seed=0, cap=cap)
    return fill(
        plan,
        [source for sources in clusters.values() for source in sources],
        resized=tmp_path / "resized",
        folder=tmp_path / to,
        recipe=made_by or recipe(),
        cache=cache,
        workers=workers,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.fixture
def three_photos(tmp_path: Path) -> list[Source]:
    return [photo(tmp_path, f"{name}.png", seed) for seed, name in enumerate("abc")]


def test_every_cluster_gets_exactly_what_it_needs(tmp_path: Path, three_photos: list[Source]) -> None:
    outcome = filled(tmp_path, {0: three_photos[:1], 1: three_photos[1:]}, {0: 2, 1: 5})
    assert [copy.source.image_id for copy in outcome.copies].count("a.png") == 2
    assert len(outcome.copies) == 7
    assert len(files(tmp_path / "copies")) == 7
    assert (outcome.unfit, outcome.short) == ([], {})


def test_an_image_is_decoded_once_for_all_of_its_copies(
    tmp_path: Path, three_photos: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    decode = codec.read

    def noted(path: Path, *given: Any) -> Pixels:
        read.append(path.name)
        return decode(path, *given)

    monkeypatch.setattr(codec, "read", noted)
    outcome = filled(tmp_path, {0: three_photos}, {0: 9})
    assert len(outcome.copies) == 9
    assert read == ["a.png", "b.png", "c.png"]


def test_cluster_that_needs_nothing_gives_no_copy(tmp_path: Path, three_photos: list[Source]) -> None:
    outcome = filled(tmp_path, {0: three_photos[:1], 1: three_photos[1:]}, {1: 2})
    assert {copy.source.image_id for copy in outcome.copies} == {"b.png", "c.png"}


def test_no_copies_needed_are_none_made(tmp_path: Path, three_photos: list[Source]) -> None:
    assert filled(tmp_path, {0: three_photos}, {}) == Outcome([], [], {})


def test_copy_is_listed_with_its_source_its_file_and_the_files_checksum(
    tmp_path: Path, three_photos: list[Source]
) -> None:
    (copy,) = filled(tmp_path, {0: three_photos[:1]}, {0: 1}).copies
    assert (copy.image_id, copy.path, copy.source) == ("a__copy1.png", "a__copy1.png", three_photos[0])
    assert copy.checksum == codec.checksum((tmp_path / "copies" / "a__copy1.png").read_bytes())
    assert copy.faults == ()


def test_copy_shows_what_the_augmenters_make_of_its_source(tmp_path: Path, three_photos: list[Source]) -> None:
    filled(tmp_path, {0: three_photos[:1]}, {0: 1})
    source = codec.read(tmp_path / "resized" / "a.png")
    assert np.array_equal(codec.read(tmp_path / "copies" / "a__copy1.png"), source[:, ::-1])


def test_files_name_their_source_and_stay_in_its_folder(tmp_path: Path) -> None:
    outcome = filled(tmp_path, {0: [photo(tmp_path, "sea/17.png", 0)]}, {0: 2})
    assert [copy.image_id for copy in outcome.copies] == ["sea/17__copy1.png", "sea/17__copy2.png"]
    assert sorted(files(tmp_path / "copies")) == ["sea/17__copy1.png", "sea/17__copy2.png"]


def test_copy_of_an_id_without_suffix_has_none_in_its_id_either(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    source = Source("0017", "0017.tif.png", codec.write(pixels, tmp_path / "resized" / "0017.tif.png", "png"))
    (copy,) = filled(tmp_path, {0: [source]}, {0: 1}).copies
    assert (copy.image_id, copy.path) == ("0017__copy1", "0017.tif__copy1.png")


def test_same_files_for_one_worker_and_for_two(tmp_path: Path, three_photos: list[Source]) -> None:
    pipeline: list[dict[str, Any]] = [{"Fliplr": {"p": 0.5}}, {"GaussianBlur": {"sigma": [0.0, 1.0]}}, *SOMETIMES_BLANK]
    made_by = recipe(pipeline, max_draws=20)
    one = filled(tmp_path, {0: three_photos}, {0: 140}, made_by, to="one", workers=1)
    two = filled(tmp_path, {0: three_photos}, {0: 140}, made_by, to="two", workers=2)
    assert len(files(tmp_path / "one")) == 140
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert two == one


def test_changed_source_file_is_an_error_that_names_it(tmp_path: Path, three_photos: list[Source]) -> None:
    changed = tmp_path / "resized" / "b.png"
    changed.write_bytes((tmp_path / "resized" / "a.png").read_bytes())
    with pytest.raises(InputError) as error:
        filled(tmp_path, {0: three_photos}, {0: 3})
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."


def test_error_in_a_worker_process_arrives_as_it_is(tmp_path: Path, three_photos: list[Source]) -> None:
    changed = tmp_path / "resized" / "b.png"
    changed.write_bytes((tmp_path / "resized" / "a.png").read_bytes())
    with pytest.raises(InputError) as error:
        filled(tmp_path, {0: three_photos}, {0: 140}, workers=2)
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."


def test_another_seed_makes_other_copies(tmp_path: Path, three_photos: list[Source]) -> None:
    blur = [{"GaussianBlur": {"sigma": [0.5, 1.5]}}]
    for seed in (1, 2):
        filled(tmp_path, {0: three_photos[:1]}, {0: 1}, recipe(blur, seed=seed, min_contrast=0.0), to=f"seed{seed}")
    assert sorted(files(tmp_path / "seed1")) == sorted(files(tmp_path / "seed2")) == ["a__copy1.png"]
    assert files(tmp_path / "seed1") != files(tmp_path / "seed2")


def test_more_copies_leave_the_first_ones_as_they_were(tmp_path: Path, three_photos: list[Source]) -> None:
    blur = recipe([{"GaussianBlur": {"sigma": [0.5, 1.5]}}], min_contrast=0.0)
    filled(tmp_path, {0: three_photos}, {0: 3}, blur, to="three")
    filled(tmp_path, {0: three_photos}, {0: 9}, blur, to="nine")
    assert files(tmp_path / "three").items() < files(tmp_path / "nine").items()


def test_other_images_take_the_turns_of_one_that_gives_no_good_copy(tmp_path: Path, three_photos: list[Source]) -> None:
    outcome = filled(tmp_path, {0: [grey(tmp_path, "grey.png"), *three_photos]}, {0: 6})
    assert outcome.unfit == ["grey.png"]
    assert sorted(copy.image_id for copy in outcome.copies) == [
        f"{name}__copy{number}.png" for name in "abc" for number in (1, 2)
    ]
    assert outcome.short == {}


def test_cluster_of_unfit_images_only_is_reported_short(tmp_path: Path, three_photos: list[Source]) -> None:
    uniform = [grey(tmp_path, "grey2.png"), grey(tmp_path, "grey1.png")]
    outcome = filled(tmp_path, {0: three_photos, 1: uniform}, {0: 3, 1: 4})
    assert outcome.unfit == ["grey1.png", "grey2.png"]
    assert outcome.short == {"1": 4}
    assert len(outcome.copies) == 3


def test_cluster_whose_images_have_all_reached_the_cap_is_reported_short(
    tmp_path: Path, three_photos: list[Source]
) -> None:
    outcome = filled(tmp_path, {0: three_photos}, {0: 8}, cap=2)
    assert len(outcome.copies) == 6
    assert outcome.short == {"0": 2}
    assert outcome.unfit == []


def test_copy_is_its_first_good_draw_and_the_bad_ones_before_it_are_counted(
    tmp_path: Path, three_photos: list[Source]
) -> None:
    outcome = filled(tmp_path, {0: three_photos[:1]}, {0: 20}, recipe(SOMETIMES_BLANK, max_draws=50))
    assert {wrong for copy in outcome.copies for wrong in copy.faults} == {"uniform"}
    source = codec.read(tmp_path / "resized" / "a.png")
    augmentation = Augmentation(SOMETIMES_BLANK)
    for number, copy in enumerate(outcome.copies, 1):
        draws = [augmentation(source, copy_seed(0, "a.png", number, draw)) for draw in range(1, len(copy.faults) + 2)]
        found = [fault(draw, source, min_std=4, min_contrast=0.25) for draw in draws]
        assert found == [*copy.faults, None]
        assert np.array_equal(codec.read(tmp_path / "copies" / copy.path), draws[-1])


def test_image_is_unfit_once_a_copy_has_had_the_most_draws(tmp_path: Path, three_photos: list[Source]) -> None:
    patient = filled(tmp_path, {0: three_photos[:1]}, {0: 20}, recipe(SOMETIMES_BLANK, max_draws=50))
    longest = max(len(copy.faults) for copy in patient.copies) + 1
    enough = filled(tmp_path, {0: three_photos[:1]}, {0: 20}, recipe(SOMETIMES_BLANK, max_draws=longest))
    one_less = filled(tmp_path, {0: three_photos[:1]}, {0: 20}, recipe(SOMETIMES_BLANK, max_draws=longest - 1))
    assert (patient.unfit, enough.unfit, one_less.unfit) == ([], [], ["a.png"])


def test_good_copies_of_an_image_that_proves_unfit_are_kept(tmp_path: Path, three_photos: list[Source]) -> None:
    outcome = filled(tmp_path, {0: three_photos[:1]}, {0: 20}, recipe(SOMETIMES_BLANK, max_draws=1))
    assert outcome.unfit == ["a.png"]
    assert 0 < len(outcome.copies) < 20
    assert outcome.short == {"0": 20 - len(outcome.copies)}
    assert sorted(files(tmp_path / "copies")) == sorted(copy.path for copy in outcome.copies)


def test_jpeg_copies_are_written_as_jpeg(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    source = Source("a.jpg", "a.jpg", codec.write(pixels, tmp_path / "resized" / "a.jpg", "jpg"))
    filled(tmp_path, {0: [source]}, {0: 1}, recipe(format="jpg"))
    assert (tmp_path / "copies" / "a__copy1.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_plain_copies_are_their_sources_to_the_byte(tmp_path: Path, three_photos: list[Source]) -> None:
    outcome = filled(tmp_path, {0: three_photos}, {0: 7}, recipe(kind="plain"))
    assert len(outcome.copies) == 7
    for copy in outcome.copies:
        source = (tmp_path / "resized" / copy.source.path).read_bytes()
        assert (tmp_path / "copies" / copy.path).read_bytes() == source
        assert (copy.checksum, copy.faults) == (copy.source.checksum, ())


def test_plain_copy_is_not_looked_at(tmp_path: Path) -> None:
    outcome = filled(tmp_path, {0: [grey(tmp_path, "grey.png")]}, {0: 2}, recipe(kind="plain"))
    assert (len(outcome.copies), outcome.unfit) == (2, [])


def test_changed_source_is_not_copied_plain(tmp_path: Path, three_photos: list[Source]) -> None:
    changed = tmp_path / "resized" / "b.png"
    changed.write_bytes((tmp_path / "resized" / "a.png").read_bytes())
    with pytest.raises(InputError, match="the file has changed since the manifest was written"):
        filled(tmp_path, {0: three_photos}, {0: 3}, recipe(kind="plain"))


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_parts_give_each_augmenter_as_many_copies(
    workers: int, tmp_path: Path, three_photos: list[Source]
) -> None:
    thirds = [{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}, {"Add": {"value": 5}}]
    outcome = filled(tmp_path, {0: three_photos}, {0: 90}, recipe(thirds, mix="equal_parts"), workers=workers)
    found = []
    for copy in outcome.copies:
        source = codec.read(tmp_path / "resized" / copy.source.path)
        pixels = codec.read(tmp_path / "copies" / copy.path)
        brighter = np.clip(source.astype(int) + 5, 0, 255)
        outcomes = [source[:, ::-1], source[::-1], brighter]
        found.append([np.array_equal(pixels, made) for made in outcomes].index(True))
    assert [found.count(part) for part in range(3)] == [30, 30, 30]


def test_compose_applies_all_augmenters_to_each_copy(tmp_path: Path, three_photos: list[Source]) -> None:
    filled(tmp_path, {0: three_photos[:1]}, {0: 2}, recipe([{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}]))
    source = codec.read(tmp_path / "resized" / "a.png")
    for number in (1, 2):
        assert np.array_equal(codec.read(tmp_path / "copies" / f"a__copy{number}.png"), source[::-1, ::-1])


def test_copies_of_a_label_plan_count_for_all_labels_on_them(tmp_path: Path, three_photos: list[Source]) -> None:
    targets = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 1]])
    plan = LabelPlan(["a.png", "b.png", "c.png"], targets, ["ice", "fog", "sea"], {"ice": 3, "fog": 3}, 0, None)
    outcome = fill(
        plan,
        three_photos,
        resized=tmp_path / "resized",
        folder=tmp_path / "copies",
        recipe=recipe(),
        cache=NO_CACHE,
        workers=1,
    )
    assert [copy.image_id for copy in outcome.copies] == ["a__copy1.png", "a__copy2.png"]
    assert outcome.short == {}


def test_copies_made_before_come_from_the_cache_with_their_faults(tmp_path: Path) -> None:
    sources, cache = [photo(tmp_path, "a.png", 0), grey(tmp_path, "b.png")], Cache(tmp_path / "cache", 10**9)
    made_by = recipe(SOMETIMES_BLANK, min_std=4.0, max_draws=20)
    first = filled(tmp_path, {0: sources}, {0: 6}, made_by, to="1", cache=cache)
    assert first.unfit == ["b.png"]
    assert any(copy.faults for copy in first.copies)
    before = {path: path.stat().st_ino for path in (tmp_path / "cache").glob("*/*")}
    again = filled(tmp_path, {0: sources}, {0: 6}, made_by, to="2", cache=cache, workers=2)
    assert again == first
    assert files(tmp_path / "2") == files(tmp_path / "1")
    assert {path: path.stat().st_ino for path in (tmp_path / "cache").glob("*/*")} == before


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"format": "jpg"}, {"pipeline": [{"Flipud": {"p": 1}}]}, {"min_contrast": 0.5}]
)
def test_copies_of_another_recipe_are_other_work(tmp_path: Path, changes: dict[str, Any]) -> None:
    source, cache = photo(tmp_path, "a.png", 0), Cache(tmp_path / "cache", 10**9)
    for to, made_by in (("1", recipe()), ("2", recipe(**changes))):
        filled(tmp_path, {0: [source]}, {0: 1}, made_by, to=to, cache=cache)
    assert len(list((tmp_path / "cache").glob("*/*"))) == 2


def test_augmenters_that_take_turns_are_kept_apart(tmp_path: Path) -> None:
    source, cache = photo(tmp_path, "a.png", 0), Cache(tmp_path / "cache", 10**9)
    turns = recipe([{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}], mix="equal_parts")
    for to in ("1", "2"):
        filled(tmp_path, {0: [source]}, {0: 2}, turns, to=to, cache=cache)
    pixels = codec.read(tmp_path / "resized" / "a.png")
    copies = [codec.read(tmp_path / "2" / f"a__copy{number}.png") for number in (1, 2)]
    assert np.array_equal(copies[0], pixels[:, ::-1])
    assert np.array_equal(copies[1], pixels[::-1])
