"""Each step beside what a user would do instead (`benchmarks.as_written`), and beside what it cannot do without.

    python -m benchmarks.speed [--data ../shared]

Both sides do the same work on the same files, one after the other, and so does a peer where there is one: on a machine
that does nothing else, only the ratios mean something elsewhere. The table goes into benchmarks/README.md.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, cycle, islice
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import imgaug.augmenters as iaa
import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.io import ImageReadMode, decode_image, read_file, write_jpeg
from torchvision.transforms.v2.functional import resize

from benchmarks import as_written
from benchmarks.common import WEIGHTS, data_folder, measured_by, scenes, stage_seconds, write_section
from counterweight.augmentation.allocation import Source
from counterweight.augmentation.copy_maker import CopyConfig, copy_seed
from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline
from counterweight.augmentation.median_filter import SIDES, median_blur
from counterweight.augmentation.oversampling import make_copies
from counterweight.augmentation.strategies import Plan
from counterweight.base.params import load_params
from counterweight.clustering.kmeans import fit_clusters
from counterweight.images import codec
from counterweight.images.folder_images import FolderImages
from counterweight.images.geometry import Pixels, TargetSize
from counterweight.images.resizing import resize_images
from counterweight.networks.backbones import Backbone
from counterweight.networks.determinism import batch_runner
from counterweight.networks.inference import CPU_BATCH, Compute, extract_features
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.networks.openvino import build_engine, fuse_conv_bn, supports_bfloat16
from counterweight.networks.weights import load_weights
from counterweight.sheets.sheet_writer import write_sheet
from tests.workspace import NO_CACHE, PROJECT, make_workspace, run

HEAD = (
    "| step | items | as written, s | here, s | times faster | limit, s | of the limit | others, s |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
WORKERS = len(os.sched_getaffinity(0))
WANTED = TargetSize(400, 400, "stretch")
CPU = torch.device("cpu")
ENGINES = ("torch", "openvino", *(["openvino_bf16"] if supports_bfloat16() else []), "openvino_int8")


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds of the same work in each way; 0 where there is no such way."""

    step: str
    count: int
    written: float
    here: float
    limit: float = 0
    peers: str = ""


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def large_photographs(files: Sequence[Path], folder: Path, count: int) -> list[Path]:
    """JPEGs of 1 to 12 megapixels, each put together from photographs at their own size."""
    folder.mkdir()
    made, found = [], cycle(files)
    for number in range(count):
        across = (3, 4, 6, 10)[number % 4]
        tiles = [cv2.resize(cv2.imread(str(file)), (400, 300)) for file in islice(found, across * across)]
        picture = np.vstack([np.hstack(tiles[i : i + across]) for i in range(0, len(tiles), across)])
        made.append(folder / f"{number}.jpg")
        cv2.imwrite(str(made[-1]), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return made


def resizing(files: Sequence[Path], work: Path) -> Row:
    """Resize large photographs; the limit decodes and encodes, on all cores."""
    names, sums = [file.name for file in files], [codec.checksum(file.read_bytes()) for file in files]

    def here() -> None:
        resize_images(
            names, sums, source=FolderImages(files[0].parent), folder=work / "here", size=WANTED, format="jpg",
            cache=NO_CACHE, workers=WORKERS,
        )  # fmt: skip

    return Row("resize, 1 to 12 megapixels", len(files), seconds(lambda: as_written.resize(files, work / "written")),
               seconds(here), _on_all_cores(_decode_and_encode, files),
               f"{_vips(files, work / 'vips')}, {_torchvision(files, work / 'torchvision')}")  # fmt: skip


def _on_all_cores(work: Callable[[Sequence[Path]], object], files: Sequence[Path]) -> float:
    """Seconds of a limit, which has no start-up: its processes have imported what they need before."""
    # Processes of its own: joblib would take those that the stage's work had, and call PyTorch in them a leak.
    get_reusable_executor().shutdown()
    with Parallel(WORKERS, batch_size=1) as parallel:
        parallel(delayed(work)(files[:2]) for _ in range(4 * WORKERS))
        return seconds(lambda: parallel(delayed(work)(files[i::WORKERS]) for i in range(WORKERS)))


def _decode_and_encode(files: Sequence[Path]) -> None:
    cv2.setNumThreads(1)
    for file in files:
        small = cv2.resize(codec.decode(file.read_bytes(), WANTED), (400, 400), interpolation=cv2.INTER_NEAREST)
        cv2.imencode(".jpg", small, codec._ENCODING["jpg"])


def _vips(files: Sequence[Path], folder: Path) -> str:
    try:
        import pyvips
    except (ImportError, OSError):
        return "pyvips: not installed"
    folder.mkdir()

    def work() -> None:
        for file in files:
            picture = pyvips.Image.thumbnail(str(file), 400, height=400, size="force")
            picture.write_to_file(str(folder / file.name), Q=95)

    return f"pyvips {seconds(work):.2f}"


def _torchvision(files: Sequence[Path], folder: Path) -> str:
    folder.mkdir()

    def work() -> None:
        for file in files:
            picture = decode_image(read_file(str(file)), ImageReadMode.RGB)
            small = resize(picture, [400, 400], antialias=True)
            write_jpeg(small, str(folder / file.name), quality=95)

    return f"torchvision {seconds(work):.2f}"


def describing(files: Sequence[Path], weights: str) -> list[Row]:
    """Features by each engine; torch's limit is the network alone on ready tensors, as fast as it is here."""
    images = ImageFiles(files, [codec.checksum(file.read_bytes()) for file in files])
    network = Backbone("resnet18", "layer3", (224, 224))
    load_weights(network, weights)
    cut = as_written.network(weights)
    fastest = fuse_conv_bn(network).to(memory_format=torch.channels_last)

    def limit() -> float:
        rounds = len(files) // len(ready)
        with batch_runner(fastest, CPU, CPU_BATCH) as run:
            return seconds(lambda: [run(ready) for _ in range(rounds)]) * len(files) / (rounds * len(ready))

    ready = torch.zeros(2 * WORKERS * CPU_BATCH, 224, 224, 3, dtype=torch.uint8)
    preprocessing = Preprocessing("center", (224, 224))
    before_all = seconds(lambda: as_written.features(files, cut))
    found, rows = [], []
    for name in ENGINES:
        run_by, _ = build_engine(name, network, images, preprocessing, CPU)
        alone, here = [limit()] if name == "torch" else [], []
        for _ in range(3 if name == "torch" else 1):
            started = time.perf_counter()
            rows_here = extract_features(run_by, images, preprocessing, Compute(CPU, WORKERS))
            here.append(time.perf_counter() - started)
            if name == "torch":
                alone.append(limit())
        found.append(rows_here)
        if name == "torch":
            # What another seed of k-means does is what no engine can be nearer to.
            likeness = (
                f"its multiplications, at the rate of a product of two matrices, {_products(cut, len(files)):.2f}; "
                f"clusters by another seed: {_agreement(combinations(_clusters(found[0]), 2))}"
            )
        else:
            likeness = _likeness(found[0], found[-1])
        step = f"features, ResNet-18 to layer3, {name}"
        rows.append(Row(step, len(files), 0, mean(here), mean(alone) if alone else 0, likeness))
    # Before and after, and the network alone by turns, since a machine's speed changes from one minute to the next.
    written = (before_all + seconds(lambda: as_written.features(files, cut))) / 2
    return [replace(row, written=written) for row in rows]


def _products(network: nn.Module, count: int) -> float:
    """Seconds of the multiplications of so many images, as fast as those of two large matrices of float32 are."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, 224, 224))
    matrix = torch.ones(4096, 4096)
    torch.mm(matrix, matrix)
    took = seconds(lambda: [torch.mm(matrix, matrix) for _ in range(5)])
    return count * float(counter.get_total_flops()) * took / (5 * 2 * 4096**3)


def _clusters(rows: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """What k-means finds by thirty seeds."""
    return [fit_clusters(rows, n_components=50, n_clusters=5, seed=seed).assignments for seed in range(30)]


def _agreement(pairs: Iterable[Sequence[NDArray[np.int64]]]) -> str:
    return f"adjusted Rand index {np.mean([adjusted_rand_score(*pair) for pair in pairs]):.3f}"


def _likeness(torchs: NDArray[np.float32], others: NDArray[np.float32]) -> str:
    """How far rows and clusters are from torch's."""
    off = np.linalg.norm(others - torchs) / np.linalg.norm(torchs - torchs.mean(axis=0))
    clusters = _agreement(zip(_clusters(torchs), _clusters(others), strict=True))
    return f"rows {off:.1%} of torch's spread from torch's; clusters: {clusters}"


def grouping(n_features: int) -> Row:
    """PCA and k-means of 65,000 rows with some structure."""
    random = np.random.default_rng(0)
    few = random.normal(size=(500, n_features)).astype(np.float32)  # For what either imports when it is called.
    as_written.clusters(few)
    fit_clusters(few, n_components=50, n_clusters=5, seed=0)
    centers = random.normal(0, 3, (40, n_features)) * np.geomspace(1, 0.01, n_features)
    rows = (centers[random.integers(0, 40, 65_000)] + random.normal(0, 1, (65_000, n_features))).astype(np.float32)
    ways: tuple[Callable[[int], float], ...] = (
        lambda seed: as_written.clusters(rows, seed=seed)[1],
        lambda seed: fit_clusters(rows, n_components=50, n_clusters=5, seed=seed).inertia,
    )
    # By one seed, either may be half a hundredth above the other; and by turns, since a machine's speed changes.
    inertia, took = np.zeros((5, 2)), np.zeros((5, 2))
    for seed in range(5):
        for i, way in enumerate(ways):
            started = time.perf_counter()
            inertia[seed, i] = way(seed)
            took[seed, i] = time.perf_counter() - started
    written, here = took.mean(axis=0)
    theirs, ours = inertia.mean(axis=0)
    return Row(
        f"PCA and k-means, 65,000 x {n_features:,}", 65_000, written, here,
        peers=f"inertia here, on the mean of five seeds, {ours / theirs - 1:+.4%}; {_faiss(rows)}",
    )  # fmt: skip


def _faiss(rows: np.ndarray[Any, Any]) -> str:
    try:
        import faiss
    except ImportError:
        return "faiss: not installed"
    from sklearn.decomposition import PCA

    started = time.perf_counter()
    reduced = np.ascontiguousarray(PCA(50, svd_solver="covariance_eigh").fit_transform(rows), dtype=np.float32)
    model = faiss.Kmeans(50, 5, nredo=10, niter=50, seed=0, max_points_per_centroid=len(rows))
    model.train(reduced)
    return f"faiss {time.perf_counter() - started:.2f}, objective {model.obj[-1]:.6g}"


def copying(files: Sequence[Path], work: Path, count: int) -> Row:
    """Copies by the article's pipeline; the limit is imgaug's operations alone, on all cores."""
    params = load_params(PROJECT / "params.yaml").augment
    pipeline = params.pipelines["article"]
    chosen = [files[i % len(files)] for i in range(count)]
    sources = [Source(file.name, file.name, codec.checksum(file.read_bytes())) for file in files]
    recipe = CopyConfig("augmented", pipeline, "compose", 0, "jpg", **params.quality.model_dump())
    cv2.setNumThreads(WORKERS)  # As it has where nobody says otherwise.
    plan = Plan({"all": [file.name for file in files]}, {"all": len(files) + count}, seed=0, max_per_image=None)

    def here() -> None:
        make_copies(plan, sources, resized=files[0].parent, folder=work / "copies", config=recipe, cache=NO_CACHE,
             workers=WORKERS)  # fmt: skip

    written, ours = seconds(lambda: as_written.augment(chosen, work / "by hand")), seconds(here)
    imgaugs, faster = (
        _on_all_cores(partial(_change, own), chosen) for own in (_Imgaugs(), AugmentationPipeline(pipeline))
    )
    return Row("augment, the article's pipeline", count, written, ours, imgaugs,
               f"with the median that is used here, the operations alone take {faster:.2f}, {ours / faster:.2f} of the "
               f"limit; {_albumentations(chosen)}")  # fmt: skip


def blurring(files: Sequence[Path]) -> list[Row]:
    """The median of large windows, which OpenCV takes most of a copy's time for, on one core."""
    cv2.setNumThreads(1)
    pictures = [codec.read(file) for file in files]

    def blur(by: Callable[[Pixels, int], object], side: int) -> None:
        for picture in pictures:
            by(picture, side)

    for side in SIDES:
        median_blur(pictures[0], side)  # Its network is made once.
    return [
        Row(f"median of {side} x {side} pixels, by OpenCV and here", len(pictures),
            seconds(partial(blur, cv2.medianBlur, side)), seconds(partial(blur, median_blur, side)))
        for side in SIDES
    ]  # fmt: skip


class _Imgaugs:
    """The article's pipeline of imgaug's own operations."""

    def __init__(self) -> None:
        self.steps = iaa.Sequential([augmenter(**given) for augmenter, given in as_written.PIPELINE])

    def __call__(self, pixels: Pixels, seed: int) -> Pixels:
        self.steps.seed_(seed)
        return np.asarray(self.steps(image=pixels))


def _change(augmentation: Callable[[Pixels, int], Pixels], files: Sequence[Path]) -> None:
    cv2.setNumThreads(1)
    pixels = codec.read(files[0])
    with threadpool_limits(1):
        for number, file in enumerate(files):
            augmentation(pixels, copy_seed(0, file.name, number, 1))


def _albumentations(files: Sequence[Path]) -> str:
    try:
        import albumentations as alb
    except ImportError:
        return "albumentations: not installed"
    pipeline = alb.Compose(
        [
            alb.HorizontalFlip(p=0.7),
            alb.Blur(blur_limit=(3, 7), p=1),
            alb.MedianBlur(blur_limit=(3, 11), p=1),
            alb.GaussianBlur(sigma_limit=(0.1, 3), blur_limit=0, p=1),
            alb.Perspective(scale=(0.01, 0.15), p=1),
            alb.ElasticTransform(alpha=3, sigma=1, p=1),
            alb.CropAndPad(percent=(-0.25, 0.25), p=1),
            alb.CoarseDropout(num_holes_range=(1, 3), hole_height_range=(0.2, 0.2), hole_width_range=(0.2, 0.2), p=1),
        ]
    )

    def work() -> None:
        for file in files:
            copy = pipeline(image=codec.read(file))["image"]
            cv2.imencode(".jpg", copy, codec._ENCODING["jpg"])

    return f"albumentations, one process, {seconds(work):.2f}"


def tabulating(work: Path) -> Row:
    """The sheet of 88,000 rows with 33 columns."""
    random = np.random.default_rng(0)
    columns = ["id", "split", *(f"label {i}" for i in range(29)), "source", "cluster"]
    bits = random.integers(0, 2, (88_000, 29)).tolist()
    rows = [[f"{i:06}.jpg", "train", *row, f"{i // 2:06}.jpg", i % 5] for i, row in enumerate(bits)]
    table = pd.DataFrame(rows, columns=columns)
    return Row("Excel, 88,000 x 33", 88_000, seconds(lambda: as_written.sheet(table, work / "pandas.xlsx")),
               seconds(lambda: write_sheet(columns, rows, work / "here.xlsx", "xlsx")))  # fmt: skip


def everything(data: Path, work: Path) -> list[Row]:
    """The whole, of 2,000 photographs of scenes, from the sheet to the sheet, by each engine."""
    changes = scenes(data) | {"data.sheet": str(data / "datasets/miml_scenes/labels.xlsx")}
    command = ["--images", changes["data.images"], "--sheet", changes["data.sheet"], "--weights"]
    command += [str(data / WEIGHTS), "--out", str(work / "out")]
    scripts, found = [_script(command)], []
    for engine in ENGINES:
        folder = make_workspace(work / engine, changes | {"features.engine": engine})
        started = time.perf_counter()
        log = run(folder, "dvc", "repro", "sheet").stderr
        here = time.perf_counter() - started
        took = stage_seconds(log)
        found.append((engine, here, _listed(took | {"start-up of the stages, and DVC": here - sum(took.values())})))
    scripts.append(_script(command))
    # Before and after, since a machine's speed changes from one minute to the next.
    script = {step: (scripts[0][step] + scripts[1][step]) / 2 for step in scripts[0]}
    return [
        Row(f"all of it, 2,000 scenes, {engine}", 2_000, sum(script.values()), here,
            peers=f"the script: {_listed(script)}; here: {by_stage}")
        for engine, here, by_stage in found
    ]  # fmt: skip


def _script(command: Sequence[str]) -> dict[str, float]:
    """Seconds of the script's steps, and of its process beside them."""
    started = time.perf_counter()
    script = run(PROJECT, sys.executable, "-m", "benchmarks.as_written", *command)
    whole = time.perf_counter() - started
    written = json.loads(script.stdout.splitlines()[-1])
    by_step = {name: value for name, value in written.items() if name not in {"all", "copies"}}
    return by_step | {"start-up": whole - sum(by_step.values())}


def _listed(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())


def line(row: Row) -> str:
    """The row as Markdown."""
    limit = f"{row.limit:.2f} | {row.here / row.limit:.2f}" if row.limit else "|"
    return (
        f"| {row.step} | {row.count:,} | {row.written:.2f} | {row.here:.2f} | **{row.written / row.here:.1f}** | "
        f"{limit} | {row.peers} |"
    )


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def main() -> None:
    """Measure all steps and write the table."""
    data = data_folder(__doc__)
    photographs = sorted((data / "datasets/miml_scenes/images").iterdir())
    weights = str(data / WEIGHTS)
    iaa.Identity()(image=np.zeros((8, 8, 3), np.uint8))
    with _folder() as work:
        as_written.resize(photographs, work / "resized")
        resized = sorted((work / "resized").iterdir())
        # The whole comes first, while nothing else that is loaded here has threads or memory of its own.
        steps: list[Callable[[], Iterable[Row]]] = [
            lambda: everything(data, work),
            lambda: [resizing(large_photographs(photographs, work / "large", 240), work)],
            lambda: describing(resized, weights),
            lambda: [grouping(512), grouping(2_048)],
            lambda: [copying(resized[::2], work, 3_000)],
            lambda: blurring(resized[:200]),
            lambda: [tabulating(work)],
        ]
        lines = []
        for step in steps:
            for row in step():
                lines.append(line(row))
                print(lines[-1], flush=True)
    section = (
        "## speed\n\n`as written` is `benchmarks/as_written.py`, in one process; the limit is the work that a step "
        "cannot do without, on all cores.\n\n"
        + measured_by("benchmarks.speed", ("torch", "scikit-learn", "imaug", "opencv-python-headless", "pillow"))
        + "\n\n"
        + HEAD
        + "\n".join(lines)
        + "\n"
    )
    write_section("speed", section)


if __name__ == "__main__":
    main()
