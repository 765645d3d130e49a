import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.runtime.portable_kernels import use_portable_kernels, uses_portable_kernels

PROGRAM = """
import os
from counterweight.runtime.portable_kernels import use_portable_kernels
use_portable_kernels(os.environ)
import torch
print(torch.backends.cpu.get_cpu_capability())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another kind of processor has no AVX2")
def test_libraries_are_told_before_pytorch_is_imported() -> None:
    environment = {"PATH": "/usr/bin"}
    use_portable_kernels(environment)
    assert environment == {
        "PATH": "/usr/bin", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE",
    }  # fmt: skip
    assert uses_portable_kernels(environment)
    assert not uses_portable_kernels({"PATH": "/usr/bin"})


def test_another_kind_of_processor_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    environment: dict[str, str] = {}
    use_portable_kernels(environment)
    assert environment == {}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another kind of processor has no AVX2")
def test_a_processor_without_avx2_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags : fpu sse2 avx\n")
    with pytest.raises(InputError, match="this processor has no AVX2"):
        use_portable_kernels({}, tmp_path / "cpuinfo")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another kind of processor has no AVX2")
def test_pytorch_uses_no_wider_instructions() -> None:
    plain = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
    result = subprocess.run([sys.executable, "-c", PROGRAM], env=plain, capture_output=True, text=True, check=True)
    assert result.stdout == "AVX2\n"
