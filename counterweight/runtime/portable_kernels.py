"""The same last digits on different processors."""

from collections.abc import MutableMapping

# The widest instructions that all processors of the last ten years have, for PyTorch's own kernels and oneDNN's; and
# MKL's code for any processor, since what it computes with AVX2 depends on the manufacturer.
_VARIABLES = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}


def use_portable_kernels(environment: MutableMapping[str, str]) -> None:
    """Let PyTorch compute alike on all x86-64 processors with AVX2.

    Without it, each processor takes the widest instructions that it has, and sums in another order, which changes the
    last digits. ``environment`` is that of this process, before it imports PyTorch.
    """
    environment.update(_VARIABLES)
