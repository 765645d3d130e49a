"""The same last digits on different processors."""

import platform
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from counterweight.base.errors import InputError

# Instructions that nearly all processors since 2015 have, for PyTorch's own kernels and oneDNN's; MKL's code for any
# processor, since what it computes with AVX2 depends on the manufacturer.
_VARIABLES = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}


def use_portable_kernels(environment: MutableMapping[str, str], cpu_info: Path = Path("/proc/cpuinfo")) -> None:
    """Let PyTorch compute alike on all x86-64 processors with AVX2.

    Without it, each processor takes the widest instructions that it has, and sums in another order, which changes the
    last digits. On other kinds of processors this does nothing, and a GPU is not affected.

    Parameters
    ----------
    environment : mapping of str to str
        That of this process, which has not imported PyTorch yet.
    cpu_info : Path
        Where Linux describes the processor.

    Raises
    ------
    InputError
        If the processor has no AVX2.
    """
    if platform.machine() not in {"x86_64", "AMD64"}:
        return
    if cpu_info.is_file() and "avx2" not in cpu_info.read_text().split():
        raise InputError("params.yaml: train.portable is true, but this processor has no AVX2. Set it to false.")
    environment.update(_VARIABLES)


def uses_portable_kernels(environment: Mapping[str, str]) -> bool:
    """Return whether `use_portable_kernels` was called."""
    return all(environment.get(name) == value for name, value in _VARIABLES.items())
