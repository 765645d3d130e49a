from pathlib import Path

import numpy as np
import pytest

from counterweight.base import manifest
from tests.conftest import FEATURES, TINY, run_stage, skip_without_bfloat16
from tests.workspace import write_params


def test_there_is_one_row_per_train_image(featured: Path) -> None:
    rows = np.load(featured / "features/features.npy", allow_pickle=False)
    train = manifest.rows_of_split(manifest.read(featured / "data/resized.csv"), "train")
    assert rows.shape == (len(train), 64)
    assert rows.dtype == np.float32


def test_rows_depend_only_on_train_images(featured: Path, tmp_path: Path) -> None:
    table = manifest.read(featured / "data/resized.csv")
    manifest.write(manifest.rows_of_split(table, "train"), tmp_path / "train.csv")
    write_params(tmp_path / "params.yaml", TINY)
    options = ["--table", "train.csv", "--resized", str(featured / "data/resized"), "--out", "features.npy"]
    run_stage(tmp_path, "features", *options)
    assert (tmp_path / "features.npy").read_bytes() == (featured / "features/features.npy").read_bytes()


def test_missing_weights_file_is_an_error(resized: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"features.weights": "weights/mine.safetensors"})
    result = run_stage(resized, "features", *FEATURES, "--params", str(tmp_path / "params.yaml"), check=False)
    assert result.returncode == 1
    assert result.stderr == (
        "features: weights: there is no file 'weights/mine.safetensors'. Put it there, or set weights to its path.\n"
    )


@pytest.mark.slow
def test_a_network_of_timm_gives_the_same_rows_for_any_number_of_workers(
    featured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm", reason="make timm installs it")
    network = {"features.model": "timm/vit_tiny_patch16_224", "features.layer": None}
    write_params(tmp_path / "params.yaml", TINY | network)
    rows = []
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.npy"
        monkeypatch.setenv("COUNTERWEIGHT_WORKERS", workers)
        monkeypatch.setenv("COUNTERWEIGHT_CACHE", str(tmp_path / workers))
        options = [*FEATURES, "--params", str(tmp_path / "params.yaml"), "--out", str(out)]
        run_stage(featured, "features", *options)
        rows.append(out.read_bytes())
    assert np.load(tmp_path / "1.npy").shape == (48, 192)
    assert rows[0] == rows[1]


@pytest.mark.parametrize("engine", ["openvino", "openvino_bf16", "openvino_int8"])
def test_other_engines_write_rows_close_to_torchs_and_log_nothing_else(
    engine: str, featured: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="make cpu installs it")
    skip_without_bfloat16(engine)
    write_params(tmp_path / "params.yaml", TINY | {"features.engine": engine})
    options = [*FEATURES, "--params", str(tmp_path / "params.yaml"), "--out", str(tmp_path / "features.npy")]
    result = run_stage(featured, "features", *options)
    features, expected = np.load(tmp_path / "features.npy"), np.load(featured / "features/features.npy")
    assert np.corrcoef(features.ravel(), expected.ravel())[0, 1] > 0.99
    assert (features != expected).any()
    assert result.stdout == ""
    assert "features: 48 train images, 64 features each, on cpu, in " in result.stderr
    assert all(line.startswith("features: ") for line in result.stderr.splitlines())


def test_engine_that_is_chosen_here_is_the_one_named_in_the_log(featured: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="make cpu installs it")
    logs, rows = [], []
    for engine in ("auto", "openvino"):
        write_params(tmp_path / "params.yaml", TINY | {"features.engine": engine})
        options = [*FEATURES, "--params", str(tmp_path / "params.yaml"), "--out", str(tmp_path / "features.npy")]
        logs.append(run_stage(featured, "features", *options).stderr)
        rows.append((tmp_path / "features.npy").read_bytes())
    assert ["features: engine: openvino\n" in log for log in logs] == [True, False]
    assert rows[0] == rows[1]


def test_engine_is_not_chosen_where_other_machines_take_part(
    featured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_SCHEDULER", "tcp://127.0.0.1:1")
    write_params(tmp_path / "params.yaml", TINY | {"features.engine": "auto"})
    result = run_stage(featured, "features", *FEATURES, "--params", str(tmp_path / "params.yaml"), check=False)
    assert result.returncode == 1
    assert "features: params.yaml: features.engine is auto, which other machines may answer" in result.stderr
