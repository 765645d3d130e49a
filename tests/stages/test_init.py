import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from counterweight.base.params import load_params
from counterweight.images import codec
from counterweight.sheets.sheet_writer import write_sheet
from stages import ingest, init
from tests.conftest import INGEST, make_tiny_data, run_stage
from tests.workspace import PROJECT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The params.yaml of a fresh clone, and images with a sheet."""
    make_tiny_data(tmp_path)
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    return tmp_path


def test_params_point_at_the_data_and_ingest_accepts_them(folder: Path) -> None:
    result = run_stage(folder, "init", "--images", "images", "--sheet", "labels.xlsx")
    assert "multilabel, names in the column target" in result.stdout
    assert "data.images: data/example/images -> images" in result.stdout
    work, time, then, changed = result.stderr.splitlines()[:4]
    assert work.startswith("init: next: dvc repro resizes 80 images, ")
    assert re.fullmatch(r"init: time: about \d minutes? on \d+ cores; a GPU shortens all but the resizing", time)
    assert then == "init: then: open results/report.html"
    assert re.fullmatch(r"init: \d+ params changed in params.yaml, in .*", changed)
    text = (folder / "params.yaml").read_text()
    assert "images: images # your folder, anywhere" in text
    assert load_params(folder / "params.yaml").data.columns.labels == "target"
    assert "80 images" in run_stage(folder, "ingest", *INGEST).stderr


def test_dry_run_changes_nothing(folder: Path) -> None:
    before = (folder / "params.yaml").read_bytes()
    result = run_stage(folder, "init", "--images", "images", "--sheet", "labels.xlsx", "--dry-run")
    assert "data.sheet: data/example/labels.xlsx -> labels.xlsx" in result.stdout
    assert "would change" in result.stderr
    assert (folder / "params.yaml").read_bytes() == before


def test_params_of_other_data_are_changed_only_with_force(folder: Path) -> None:
    run_stage(folder, "init", "--images", "images", "--sheet", "labels.xlsx")
    (folder / "images").rename(folder / "photos")
    options = ("init", "--images", "photos", "--sheet", "labels.xlsx")
    refused = run_stage(folder, *options, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "init: params.yaml: data.images is already images. Give --force to change it.\n"
    run_stage(folder, *options, "--force")
    assert load_params(folder / "params.yaml").data.images == "photos"


def test_class_folders_need_no_sheet(folder: Path) -> None:
    for i in range(30):
        name = ("cat", "dog", "cow")[i % 3]
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        codec.write(np.full((40, 48, 3), 8 * i, np.uint8), folder / "photos" / name / f"{i}.png", "png")
    result = run_stage(folder, "init", "--images", "photos")
    assert "3, multiclass, names in the column class: cat 10, cow 10, dog 10" in result.stdout
    params = load_params(folder / "params.yaml")
    assert (params.data.task, params.resize.width, params.resize.height) == ("multiclass", 48, 40)
    assert (params.train.loss, params.train.optimizer, params.augment.strategy) == ("cross_entropy", "lbfgs", "classes")


def test_array_with_labels_in_order(folder: Path) -> None:
    np.save(folder / "scans.npy", np.random.default_rng(0).integers(0, 256, (40, 64, 64), dtype=np.uint8))
    (folder / "labels.csv").write_text("ill\n" + "\n".join("1" if i % 4 == 0 else "0" for i in range(40)) + "\n")
    run_stage(folder, "init", "--images", "scans.npy", "--sheet", "labels.csv")
    data = load_params(folder / "params.yaml").data
    assert (data.columns.image, data.columns.labels, data.task) == (None, ["ill"], "binary")
    options = ["--images", "scans.npy", "--sheet", "labels.csv", *INGEST[4:]]
    assert "40 images" in run_stage(folder, "ingest", *options).stderr


def photos(folder: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        codec.write(np.random.default_rng(i).integers(0, 256, (40, 48, 3), np.uint8), folder / name, "png")


def headerless_text(folder: Path) -> Path:
    """Lines of a name without its suffix and flags, as CelebA's cousins have them."""
    photos(folder / "photos", *(f"{i:05}.png" for i in range(60)))
    lines = [f"{i:05} {i % 2} NA {int(i % 3 == 0)} {int(i % 5 == 0)}" for i in range(60)]
    (folder / "labels.txt").write_text("\n".join(lines))
    return folder / "labels.txt"


def long_form(folder: Path) -> Path:
    photos(folder / "photos", *(f"{i}.png" for i in range(60)))
    rows = [f"{i}.png,{label}" for i in range(60) for label in ("sea", "sky", "ice")[: i % 3 + 1]]
    (folder / "labels.csv").write_text("\n".join(["image,label", *rows]))
    return folder / "labels.csv"


def second_worksheet(folder: Path) -> Path:
    photos(folder / "photos", *(f"{i}.png" for i in range(60)))
    book = openpyxl.Workbook()
    book.active.append(["exported on", "2026-05-01"])
    labels = book.create_sheet("labels")
    for row in [["id", "tag"], *([f"{i}.png", ("sea", "sky,ice", "sky")[i % 3]] for i in range(60))]:
        labels.append(row)
    book.save(folder / "labels.xlsx")
    return folder / "labels.xlsx"


def lost_zeros(folder: Path) -> Path:
    photos(folder / "photos", *(f"{i:05}.png" for i in range(60)))
    rows = [[float(i), ("sea", "sky,ice", "sky")[i % 3]] for i in range(60)]
    write_sheet(["id", "tag"], rows, folder / "labels.xlsx", "xlsx")
    return folder / "labels.xlsx"


def roboflow(folder: Path) -> None:
    for part, count in (("train", 40), ("valid", 10), ("test", 10)):
        names = [f"{part}{i // 2}_png.rf.{i:032x}.png" for i in range(count)]
        photos(folder / "photos" / part, *names)
        flags = ((1, 0, i % 2) if i % 4 else (0, 1, 1) for i in range(count))
        lines = [", ".join(map(str, (name, *row))) for name, row in zip(names, flags, strict=True)]
        (folder / "photos" / part / "_classes.csv").write_text("\n".join(["filename, sea, sky, ice", *lines]))


def metadata(folder: Path) -> None:
    photos(folder / "photos", *(f"{i}.png" for i in range(60)))
    records = [{"file_name": f"{i}.png", "tags": [["sea"], ["sky", "ice"], ["sky"]][i % 3]} for i in range(60)]
    (folder / "photos/metadata.jsonl").write_text("\n".join(map(json.dumps, records)))


@pytest.mark.parametrize(
    ("make", "said", "ingested"),
    [
        (headerless_text, "its cells are separated by spaces", "3 labels"),
        (long_form, "images have several rows, which are merged", "3 labels"),
        (second_worksheet, "data.worksheet: null -> labels", "3 labels"),
        (lost_zeros, "60 rows name an image only nearly: '0' for 00000.png, '1' for 00001.png", "3 labels"),
        (roboflow, "split in split", "60 images (40 train, 10 val, 10 test), 3 labels"),
        (metadata, "names in the column tags", "3 labels"),
    ],
)
def test_ingest_accepts_what_is_inferred(
    make: Callable[[Path], Path | None],
    said: str,
    ingested: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sheet = make(folder)
    monkeypatch.chdir(folder)
    init.main(["--images", "photos", *(["--sheet", sheet.name] if sheet else [])])
    assert said in capsys.readouterr().out
    summary = ingest.main(INGEST[4:])
    assert summary.splitlines()[-1].startswith("60 images")
    assert ingested in summary
