from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.augmentation import oversampling
from counterweight.augmentation.allocation import Source
from counterweight.augmentation.copy_maker import CopyConfig, copy_seed, quality_problem
from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline
from counterweight.augmentation.oversampling import CopyResult, copy_warnings, make_copies
from counterweight.augmentation.strategies import Plan, TrainImages, label_plan
from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import Pixels
from counterweight.runtime import fingerprint
from counterweight.runtime.cache import Cache
from tests.workspace import NO_CACHE

MIRROR = [{"Fliplr": {"p": 1}}]
# Covers nothing, or the whole image.
SOMETIMES_BLANK = [{"Cutout": {"nb_iterations": [0, 1], "size": 1.0, "squared": 0, "position": "center"}}]


def copy_config(pipeline: list[dict[str, Any]] = MIRROR, **changes: Any) -> CopyConfig:
    config = CopyConfig("augmented", pipeline, "compose", 0, "png", min_std=4.0, min_contrast=0.25, max_draws=3)
    return replace(config, **changes)


def photo(folder: Path, name: str, seed: int) -> Source:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return Source(name, name, codec.write(pixels, folder / "resized" / name, "png"))


def gray(folder: Path, name: str) -> Source:
    return Source(name, name, codec.write(np.full((16, 24, 3), 128, np.uint8), folder / "resized" / name, "png"))


def fill_clusters(
    tmp_path: Path,
    clusters: dict[int, list[Source]],
    needed: dict[int, int],
    config: CopyConfig | None = None,
    *,
    folder: str = "copies",
    max_per_image: int | None = None,
    workers: int = 1,
    cache: Cache = NO_CACHE,
) -> CopyResult:
    members = {str(cluster): [source.image_id for source in sources] for cluster, sources in clusters.items()}
    target_counts = {str(cluster): len(clusters[cluster]) + count for cluster, count in needed.items()}
    plan = Plan(members, target_counts, seed=0, max_per_image=max_per_image)
    return make_copies(
        plan,
        [source for sources in clusters.values() for source in sources],
        resized=tmp_path / "resized",
        folder=tmp_path / folder,
        config=config or copy_config(),
        cache=cache,
        workers=workers,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.fixture
def three_photos(tmp_path: Path) -> list[Source]:
    return [photo(tmp_path, f"{name}.png", seed) for seed, name in enumerate("abc")]


def test_every_cluster_gets_exactly_the_copies_that_it_needs(tmp_path: Path, three_photos: list[Source]) -> None:
    result = fill_clusters(tmp_path, {0: three_photos[:1], 1: three_photos[1:]}, {0: 2, 1: 5})
    assert [copy.source.image_id for copy in result.copies].count("a.png") == 2
    assert len(result.copies) == 7
    assert len(files(tmp_path / "copies")) == 7
    assert (result.unusable, result.shortfall) == ([], {})


def test_an_image_is_decoded_once_for_all_its_copies(
    tmp_path: Path, three_photos: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    decode = codec.read

    def recorded(path: Path, *args: Any) -> Pixels:
        read.append(path.name)
        return decode(path, *args)

    monkeypatch.setattr(codec, "read", recorded)
    result = fill_clusters(tmp_path, {0: three_photos}, {0: 9})
    assert len(result.copies) == 9
    assert read == ["a.png", "b.png", "c.png"]


def test_cluster_that_needs_nothing_gets_no_copy(tmp_path: Path, three_photos: list[Source]) -> None:
    result = fill_clusters(tmp_path, {0: three_photos[:1], 1: three_photos[1:]}, {1: 2})
    assert {copy.source.image_id for copy in result.copies} == {"b.png", "c.png"}


def test_empty_plan_makes_no_copies(tmp_path: Path, three_photos: list[Source]) -> None:
    assert fill_clusters(tmp_path, {0: three_photos}, {}) == CopyResult([], [], {})


def test_copy_has_its_source_its_file_and_the_checksum_of_the_file(tmp_path: Path, three_photos: list[Source]) -> None:
    (copy,) = fill_clusters(tmp_path, {0: three_photos[:1]}, {0: 1}).copies
    assert (copy.image_id, copy.path, copy.source) == ("a__copy1.png", "a__copy1.png", three_photos[0])
    assert copy.checksum == codec.checksum((tmp_path / "copies" / "a__copy1.png").read_bytes())
    assert copy.rejections == ()


def test_copy_is_the_output_of_the_augmenters(tmp_path: Path, three_photos: list[Source]) -> None:
    fill_clusters(tmp_path, {0: three_photos[:1]}, {0: 1})
    source = codec.read(tmp_path / "resized" / "a.png")
    assert np.array_equal(codec.read(tmp_path / "copies" / "a__copy1.png"), source[:, ::-1])


def test_copy_is_named_after_its_source_and_stays_in_its_folder(tmp_path: Path) -> None:
    result = fill_clusters(tmp_path, {0: [photo(tmp_path, "sea/17.png", 0)]}, {0: 2})
    assert [copy.image_id for copy in result.copies] == ["sea/17__copy1.png", "sea/17__copy2.png"]
    assert sorted(files(tmp_path / "copies")) == ["sea/17__copy1.png", "sea/17__copy2.png"]


def test_copy_of_an_id_without_suffix_has_an_id_without_suffix(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    source = Source("0017", "0017.tif.png", codec.write(pixels, tmp_path / "resized" / "0017.tif.png", "png"))
    blur = [{"GaussianBlur": {"sigma": [0.5, 1.5]}}]
    (copy,) = fill_clusters(tmp_path, {0: [source]}, {0: 1}, copy_config(blur, min_contrast=0.0)).copies
    assert (copy.image_id, copy.path) == ("0017__copy1", "0017.tif__copy1.png")
    # Its seed comes from the id, not from the file.
    expected = AugmentationPipeline(blur)(pixels, copy_seed(0, "0017", 1, 1))
    assert np.array_equal(codec.read(tmp_path / "copies" / copy.path), expected)


def test_same_files_for_one_worker_and_for_two(tmp_path: Path, three_photos: list[Source]) -> None:
    pipeline: list[dict[str, Any]] = [{"Fliplr": {"p": 0.5}}, {"GaussianBlur": {"sigma": [0.0, 1.0]}}, *SOMETIMES_BLANK]
    config = copy_config(pipeline, max_draws=20)
    serial = fill_clusters(tmp_path, {0: three_photos}, {0: 140}, config, folder="one", workers=1)
    parallel = fill_clusters(tmp_path, {0: three_photos}, {0: 140}, config, folder="two", workers=2)
    assert len(files(tmp_path / "one")) == 140
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert parallel == serial


def test_changed_source_file_is_an_error_that_names_it(tmp_path: Path, three_photos: list[Source]) -> None:
    changed = tmp_path / "resized" / "b.png"
    changed.write_bytes((tmp_path / "resized" / "a.png").read_bytes())
    with pytest.raises(InputError) as error:
        fill_clusters(tmp_path, {0: three_photos}, {0: 3})
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."


def test_error_in_a_worker_process_is_raised_unchanged(tmp_path: Path, three_photos: list[Source]) -> None:
    changed = tmp_path / "resized" / "b.png"
    changed.write_bytes((tmp_path / "resized" / "a.png").read_bytes())
    with pytest.raises(InputError) as error:
        fill_clusters(tmp_path, {0: three_photos}, {0: 140}, workers=2)
    assert str(error.value) == f"{changed}: the file has changed since the manifest was written. Run dvc repro."


def test_another_seed_makes_other_copies(tmp_path: Path, three_photos: list[Source]) -> None:
    blur = [{"GaussianBlur": {"sigma": [0.5, 1.5]}}]
    for seed in (1, 2):
        fill_clusters(
            tmp_path,
            {0: three_photos[:1]},
            {0: 1},
            copy_config(blur, seed=seed, min_contrast=0.0),
            folder=f"seed{seed}",
        )
    assert sorted(files(tmp_path / "seed1")) == sorted(files(tmp_path / "seed2")) == ["a__copy1.png"]
    assert files(tmp_path / "seed1") != files(tmp_path / "seed2")


def test_more_copies_leave_the_first_ones_as_they_were(tmp_path: Path, three_photos: list[Source]) -> None:
    blur = copy_config([{"GaussianBlur": {"sigma": [0.5, 1.5]}}], min_contrast=0.0)
    fill_clusters(tmp_path, {0: three_photos}, {0: 3}, blur, folder="three")
    fill_clusters(tmp_path, {0: three_photos}, {0: 9}, blur, folder="nine")
    assert files(tmp_path / "three").items() < files(tmp_path / "nine").items()


def test_other_images_replace_one_without_a_usable_copy(tmp_path: Path, three_photos: list[Source]) -> None:
    result = fill_clusters(tmp_path, {0: [gray(tmp_path, "gray.png"), *three_photos]}, {0: 6})
    assert result.unusable == ["gray.png"]
    assert sorted(copy.image_id for copy in result.copies) == [
        f"{name}__copy{number}.png" for name in "abc" for number in (1, 2)
    ]
    assert result.shortfall == {}


def test_cluster_with_only_unusable_images_has_a_shortfall(tmp_path: Path, three_photos: list[Source]) -> None:
    uniform = [gray(tmp_path, "gray2.png"), gray(tmp_path, "gray1.png")]
    result = fill_clusters(tmp_path, {0: three_photos, 1: uniform}, {0: 3, 1: 4})
    assert result.unusable == ["gray1.png", "gray2.png"]
    assert result.shortfall == {"1": 4}
    assert len(result.copies) == 3


def test_cluster_whose_images_have_all_reached_max_per_image_has_a_shortfall(
    tmp_path: Path, three_photos: list[Source]
) -> None:
    result = fill_clusters(tmp_path, {0: three_photos}, {0: 8}, max_per_image=2)
    assert len(result.copies) == 6
    assert result.shortfall == {"0": 2}
    assert result.unusable == []


def test_copy_is_its_first_usable_draw_and_lists_the_rejected_ones(tmp_path: Path, three_photos: list[Source]) -> None:
    result = fill_clusters(tmp_path, {0: three_photos[:1]}, {0: 20}, copy_config(SOMETIMES_BLANK, max_draws=50))
    assert {rejection for copy in result.copies for rejection in copy.rejections} == {"uniform"}
    source = codec.read(tmp_path / "resized" / "a.png")
    augmentation = AugmentationPipeline(SOMETIMES_BLANK)
    for number, copy in enumerate(result.copies, 1):
        draws = [
            augmentation(source, copy_seed(0, "a.png", number, draw)) for draw in range(1, len(copy.rejections) + 2)
        ]
        problems = [quality_problem(draw, source, min_std=4, min_contrast=0.25) for draw in draws]
        assert problems == [*copy.rejections, None]
        assert np.array_equal(codec.read(tmp_path / "copies" / copy.path), draws[-1])


def test_image_is_unusable_after_max_draws_rejected_draws(tmp_path: Path, three_photos: list[Source]) -> None:
    many = fill_clusters(tmp_path, {0: three_photos[:1]}, {0: 20}, copy_config(SOMETIMES_BLANK, max_draws=50))
    longest = max(len(copy.rejections) for copy in many.copies) + 1
    enough = fill_clusters(tmp_path, {0: three_photos[:1]}, {0: 20}, copy_config(SOMETIMES_BLANK, max_draws=longest))
    one_less = fill_clusters(
        tmp_path, {0: three_photos[:1]}, {0: 20}, copy_config(SOMETIMES_BLANK, max_draws=longest - 1)
    )
    assert (many.unusable, enough.unusable, one_less.unusable) == ([], [], ["a.png"])


def test_usable_copies_of_an_image_that_becomes_unusable_are_kept(tmp_path: Path, three_photos: list[Source]) -> None:
    result = fill_clusters(tmp_path, {0: three_photos[:1]}, {0: 20}, copy_config(SOMETIMES_BLANK, max_draws=1))
    assert result.unusable == ["a.png"]
    assert 0 < len(result.copies) < 20
    assert result.shortfall == {"0": 20 - len(result.copies)}
    assert sorted(files(tmp_path / "copies")) == sorted(copy.path for copy in result.copies)


def test_jpeg_copies_are_written_as_jpeg(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    source = Source("a.jpg", "a.jpg", codec.write(pixels, tmp_path / "resized" / "a.jpg", "jpg"))
    fill_clusters(tmp_path, {0: [source]}, {0: 1}, copy_config(format="jpg"))
    assert (tmp_path / "copies" / "a__copy1.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_plain_copies_have_the_bytes_of_their_sources(tmp_path: Path, three_photos: list[Source]) -> None:
    result = fill_clusters(tmp_path, {0: three_photos}, {0: 7}, copy_config(copy_mode="plain"))
    assert len(result.copies) == 7
    for copy in result.copies:
        source = (tmp_path / "resized" / copy.source.path).read_bytes()
        assert (tmp_path / "copies" / copy.path).read_bytes() == source
        assert (copy.checksum, copy.rejections) == (copy.source.checksum, ())


def test_plain_copy_is_not_checked(tmp_path: Path) -> None:
    result = fill_clusters(tmp_path, {0: [gray(tmp_path, "gray.png")]}, {0: 2}, copy_config(copy_mode="plain"))
    assert (len(result.copies), result.unusable) == (2, [])


def test_changed_source_of_a_plain_copy_is_an_error(tmp_path: Path, three_photos: list[Source]) -> None:
    changed = tmp_path / "resized" / "b.png"
    changed.write_bytes((tmp_path / "resized" / "a.png").read_bytes())
    with pytest.raises(InputError, match="the file has changed since the manifest was written"):
        fill_clusters(tmp_path, {0: three_photos}, {0: 3}, copy_config(copy_mode="plain"))


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_parts_apply_each_augmenter_to_the_same_number_of_copies(
    workers: int, tmp_path: Path, three_photos: list[Source]
) -> None:
    thirds = [{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}, {"Add": {"value": 5}}]
    result = fill_clusters(
        tmp_path, {0: three_photos}, {0: 90}, copy_config(thirds, composition="equal_parts"), workers=workers
    )
    parts = []
    for copy in result.copies:
        source = codec.read(tmp_path / "resized" / copy.source.path)
        pixels = codec.read(tmp_path / "copies" / copy.path)
        brighter = np.clip(source.astype(int) + 5, 0, 255)
        candidates = [source[:, ::-1], source[::-1], brighter]
        parts.append([np.array_equal(pixels, candidate) for candidate in candidates].index(True))
    assert parts == [0, 1, 2] * 30


def test_replacements_continue_the_turns_of_the_augmenters(tmp_path: Path) -> None:
    flips = copy_config([{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}, {"Add": {"value": 5}}], composition="equal_parts")
    sources = [gray(tmp_path, "gray.png"), photo(tmp_path, "a.png", 0)]
    result = fill_clusters(tmp_path, {0: sources}, {0: 2}, flips)
    assert [copy.image_id for copy in result.copies] == ["a__copy1.png", "a__copy2.png"]
    source = codec.read(tmp_path / "resized" / "a.png")
    first, second = (codec.read(tmp_path / "copies" / copy.path) for copy in result.copies)
    # a.png comes first, then gray.png; the copy that replaces that of gray.png is the third.
    assert np.array_equal(first, source[:, ::-1])
    assert np.array_equal(second, np.clip(source.astype(int) + 5, 0, 255))


def test_compose_applies_all_augmenters_to_each_copy(tmp_path: Path, three_photos: list[Source]) -> None:
    fill_clusters(tmp_path, {0: three_photos[:1]}, {0: 2}, copy_config([{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}]))
    source = codec.read(tmp_path / "resized" / "a.png")
    for number in (1, 2):
        assert np.array_equal(codec.read(tmp_path / "copies" / f"a__copy{number}.png"), source[::-1, ::-1])


def test_copies_of_a_label_plan_count_for_all_labels_on_them(tmp_path: Path, three_photos: list[Source]) -> None:
    targets = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 1]])
    train = TrainImages(["a.png", "b.png", "c.png"], [0, 0, 0], targets, ["ice", "fog", "sea"])
    plan = label_plan(train, {"ice": 3, "fog": 3}, 0, None)
    result = make_copies(
        plan,
        three_photos,
        resized=tmp_path / "resized",
        folder=tmp_path / "copies",
        config=copy_config(),
        cache=NO_CACHE,
        workers=1,
    )
    assert [copy.image_id for copy in result.copies] == ["a__copy1.png", "a__copy2.png"]
    assert result.shortfall == {}


def test_copies_of_an_earlier_run_come_from_the_cache_with_their_rejections(tmp_path: Path) -> None:
    sources, cache = [photo(tmp_path, "a.png", 0), gray(tmp_path, "b.png")], Cache(tmp_path / "cache", 10**9)
    config = copy_config(SOMETIMES_BLANK, min_std=4.0, max_draws=20)
    first = fill_clusters(tmp_path, {0: sources}, {0: 6}, config, folder="1", cache=cache)
    assert first.unusable == ["b.png"]
    assert any(copy.rejections for copy in first.copies)
    before = {path: path.stat().st_ino for path in (tmp_path / "cache").glob("*/*")}
    assert len(before) == 6 + 3  # The copies of a.png, and three attempts at copies of b.png.
    again = fill_clusters(tmp_path, {0: sources}, {0: 6}, config, folder="2", cache=cache, workers=2)
    assert again == first
    assert files(tmp_path / "2") == files(tmp_path / "1")
    assert {path: path.stat().st_ino for path in (tmp_path / "cache").glob("*/*")} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"pipeline": [{"Flipud": {"p": 1}}]},
        {"composition": "equal_parts"},
        {"seed": 1},
        {"format": "jpg"},
        {"min_std": 3.0},
        {"min_contrast": 0.5},
        {"max_draws": 4},
    ],
)
def test_copies_of_another_configuration_have_other_cache_entries(tmp_path: Path, changes: dict[str, Any]) -> None:
    source, cache = photo(tmp_path, "a.png", 0), Cache(tmp_path / "cache", 10**9)
    for folder, config in (("1", copy_config()), ("2", copy_config(**changes))):
        fill_clusters(tmp_path, {0: [source]}, {0: 1}, config, folder=folder, cache=cache)
    assert len(list((tmp_path / "cache").glob("*/*"))) == 2


def test_another_image_with_the_same_pixels_has_another_copy(tmp_path: Path) -> None:
    twins, cache = [photo(tmp_path, name, 0) for name in ("a.png", "b.png")], Cache(tmp_path / "cache", 10**9)
    blur = copy_config([{"GaussianBlur": {"sigma": [0.5, 1.5]}}], min_contrast=0.0)
    first, second = (fill_clusters(tmp_path, {0: [twin]}, {0: 1}, blur, cache=cache).copies[0] for twin in twins)
    assert first.checksum != second.checksum


def test_another_image_with_the_same_name_has_another_copy(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9)
    for seed in (0, 1):
        fill_clusters(tmp_path, {0: [photo(tmp_path, "a.png", seed)]}, {0: 1}, folder=f"{seed}", cache=cache)
    source = codec.read(tmp_path / "resized" / "a.png")
    assert np.array_equal(codec.read(tmp_path / "1" / "a__copy1.png"), source[:, ::-1])


@pytest.mark.parametrize("package", ["imaug", "scikit-image", "scipy", *codec.PACKAGES])
def test_copies_of_another_package_version_have_other_cache_entries(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, cache = photo(tmp_path, "a.png", 0), Cache(tmp_path / "cache", 10**9)
    fill_clusters(tmp_path, {0: [source]}, {0: 1}, folder="1", cache=cache)
    monkeypatch.setattr(fingerprint, "version", lambda name: "0" if name == package else version(name))
    fill_clusters(tmp_path, {0: [source]}, {0: 1}, folder="2", cache=cache)
    assert len(list((tmp_path / "cache").glob("*/*"))) == 2


def test_disk_space_is_checked_for_the_copies_that_the_cache_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, cache = [photo(tmp_path, name, seed) for seed, name in enumerate(("a.png", "b.png"))], tmp_path / "cache"
    fill_clusters(tmp_path, {0: sources}, {0: 2}, folder="1", cache=Cache(cache, 10**9))
    checked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(oversampling, "check_space", lambda *args: checked.append(args))
    fill_clusters(tmp_path, {0: sources}, {0: 5}, folder="2", cache=Cache(cache, 10**9))
    mean = sum((tmp_path / "resized" / name).stat().st_size for name in ("a.png", "b.png")) / 2
    assert checked == [(tmp_path / "2", mean * 3, "5 copies")]


def test_warnings_name_unusable_images_and_groups_that_lack_copies() -> None:
    assert copy_warnings(CopyResult([], [], {}), "cluster", 10) == []
    assert copy_warnings(CopyResult([], ["a.png"], {"ice": 3, "fog": 1}), "label", 10) == [
        "image 'a.png' gave no usable copy in 10 draws; other images are copied instead",
        "label ice lacks 3 copies: raise augment.copies_per_image, or lower augment.quality",
        "label fog lacks 1 copies: raise augment.copies_per_image, or lower augment.quality",
    ]


def test_cached_copy_of_equal_parts_is_one_of_the_same_augmenter(tmp_path: Path, three_photos: list[Source]) -> None:
    (a, b, c), cache = three_photos, Cache(tmp_path / "cache", 10**9)
    flips = copy_config([{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}], composition="equal_parts")
    pixels = codec.read(tmp_path / "resized" / "a.png")
    # a.png is the first, the second and the third in the plan.
    plans: list[tuple[list[Source], Pixels, int]] = [
        ([a], pixels[:, ::-1], 1), ([b, a], pixels[::-1], 3), ([b, c, a], pixels[:, ::-1], 4),
    ]  # fmt: skip
    for sources, expected, n_entries in plans:
        clusters = {cluster: [source] for cluster, source in enumerate(sources)}
        folder = f"copies{len(sources)}"
        fill_clusters(tmp_path, clusters, dict.fromkeys(clusters, 1), flips, folder=folder, cache=cache)
        assert np.array_equal(codec.read(tmp_path / folder / "a__copy1.png"), expected)
        assert len(list((tmp_path / "cache").glob("*/*"))) == n_entries


def test_cache_keeps_the_copies_of_equal_parts_apart(tmp_path: Path) -> None:
    source, cache = photo(tmp_path, "a.png", 0), Cache(tmp_path / "cache", 10**9)
    parts = copy_config([{"Fliplr": {"p": 1}}, {"Flipud": {"p": 1}}], composition="equal_parts")
    for folder in ("1", "2"):
        fill_clusters(tmp_path, {0: [source]}, {0: 2}, parts, folder=folder, cache=cache)
    pixels = codec.read(tmp_path / "resized" / "a.png")
    copies = [codec.read(tmp_path / "2" / f"a__copy{number}.png") for number in (1, 2)]
    assert np.array_equal(copies[0], pixels[:, ::-1])
    assert np.array_equal(copies[1], pixels[::-1])
