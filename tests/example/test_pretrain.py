import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from counterweight.runtime.portable_kernels import use_portable_kernels
from tests.workspace import PROJECT

PARAMS = "pretraining: {heights: [32, 48], images: [16, 8], batch_size: 8, learning_rate: 2e-3, seed: 11}\n"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no AVX2")
def test_weights_are_those_of_a_processor_without_wider_instructions_than_avx2(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    narrow = dict(os.environ)
    use_portable_kernels(narrow)
    for name, environment in (("own", dict(os.environ)), ("narrow", narrow)):
        options = ["--weights", str(tmp_path / name), "--params", str(tmp_path / "params.yaml")]
        command = [sys.executable, "-m", "data.example.pretrain", *options]
        subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
    assert (tmp_path / "own").read_bytes() == (tmp_path / "narrow").read_bytes()
