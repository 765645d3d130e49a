"""What runs a network: torch, or OpenVINO, which is faster on a CPU: in float32, bfloat16 or integers of 8 bits."""

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.networks.backbones import Backbone
from counterweight.networks.inference import CPU_BATCH
from counterweight.networks.loader import Views
from counterweight.networks.ridge import Regression
from counterweight.runtime.fingerprint import fingerprint

# Images by which the range of each layer's values is found, and how the rows of 8 bits are led back to float32's. With
# twice as many, rows are off by 2.7 instead of 2.8 % of their spread, and it takes twice as long.
CALIBRATION = 64

# Convolutions from the first that stay in float32. Of a ResNet-18, their rounding is half of what 8 bits change in the
# rows (`benchmarks/speed.py` says how much is left); and it is there that sums overflow on CPUs without VNNI.
EXACT = 2


class Compiled(nn.Module):
    """A network as OpenVINO runs it, on the CPU.

    Parameters
    ----------
    network : Module
        From uint8 images (n, height, width, 3) to rows.
    size : (int, int)
        Width and height of the images.
    precision : str
        ``f32``, or ``bf16``: layers compute in bfloat16, which has the range of float32 and 8 of its 24 bits.
    calibration : sequence of Tensor, optional
        Batches of images. With them, all but the first `EXACT` convolutions compute in integers of 8 bits (Jacob et
        al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018), and
        rows are led back to those of float32 (`Regression`).

    Raises
    ------
    InputError
        If OpenVINO is not installed, or the CPU does not compute in bfloat16 and should.
    """

    def __init__(
        self,
        network: nn.Module,
        size: tuple[int, int],
        precision: str = "f32",
        calibration: Sequence[Tensor] | None = None,
    ) -> None:
        super().__init__()
        try:
            import openvino
            from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
        except ImportError:
            raise InputError(
                "params.yaml: features.engine: OpenVINO is not installed. Run make cpu, or set it to torch."
            ) from None
        if precision == "bf16" and not computes_bfloat16():
            # It would compute in float32, or slowly, without a word.
            raise InputError(
                "params.yaml: features.engine is openvino_bf16, and this CPU does not compute in bfloat16. Set it to "
                "openvino_int8 or openvino, or use a CPU that does, such as one with AMX."
            )
        # Its weights are part of what the rows are known by.
        self.network = network.eval()
        shape = (CPU_BATCH, size[1], size[0], 3)
        with _quiet():
            # Unchecked, since the check runs the network three times, and takes longer than all else of this.
            traced = TorchScriptPythonDecoder(
                self.network,
                example_input=torch.zeros(shape, dtype=torch.uint8),
                trace_kwargs={"check_trace": False},
            )
            model = openvino.convert_model(traced, input=[(openvino.PartialShape(list(shape)), openvino.Type.u8)])
        self.requests = _requests(model, precision)
        self.regression: Regression | None = None
        if calibration is not None:
            seen = torch.cat(list(calibration))
            exact = self(seen).numpy()
            self.requests = _requests(_quantised(model, calibration), precision)
            self.regression = Regression(self(seen).numpy(), exact)

    @property
    def at_once(self) -> int:
        """Batches for `forward`: two a thread, so that one that is slow holds up no other."""
        return 2 * len(self.requests)

    def forward(self, seen: Tensor) -> Tensor:
        """Rows of whole batches of ``CPU_BATCH`` images, each by one thread, in which nothing waits for another."""
        batches = seen.numpy().reshape(-1, CPU_BATCH, *seen.shape[1:])
        rows: dict[int, NDArray[np.float32]] = {}
        self.requests.set_callback(lambda request, i: rows.update({i: request.get_output_tensor(0).data.copy()}))
        try:
            for i, batch in enumerate(batches):
                self.requests.start_async([batch], i)
        finally:  # The death of a process that decodes is an error wherever this one is, and then all is done again.
            self.requests.wait_all()
        if self.regression is not None:
            rows = {i: self.regression(batch) for i, batch in rows.items()}
        return torch.from_numpy(np.concatenate([rows[i] for i in range(len(batches))]))


def _requests(model: Any, precision: str) -> Any:
    """A model to be run, a thread a request, in as many as PyTorch would take."""
    from openvino import AsyncInferQueue

    threads = torch.get_num_threads()
    # Of precision, where nothing is said, it depends on the CPU.
    how = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
    return AsyncInferQueue(_core().compile_model(model, "CPU", how), threads)


@cache
def _core() -> Any:
    """The one there is, to the end of the process.

    Each has a stack of its own for signals, and as it goes gives the place back to the stack of the one that was there
    before it, though that may have gone already. The next signal, of a worker that ends, would end this process.
    """
    import openvino

    return openvino.Core()


def computes_bfloat16() -> bool:
    """Whether this CPU has instructions for it, by what OpenVINO says."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def folded(network: Backbone) -> Backbone:
    """A copy of a network for inference, in which each convolution has the batch norm behind it in its weights.

    That norm would be a pass over memory of its own. Rows differ by rounding: about 1e-6 of their length.
    """
    copied = deepcopy(network).eval()
    # In place: a copy of its own would be in training mode again, in which nothing can be folded.
    copied.cut = fuse(copied.cut, inplace=True)
    return copied


def engine_of(
    name: str,
    network: Backbone,
    files: Sequence[Path],
    checksums: Sequence[str],
    *,
    view: str,
    size: tuple[int, int],
    device: torch.device,
) -> tuple[nn.Module, str]:
    """What runs a network, and how to tell its rows from those of other engines.

    Parameters
    ----------
    name : str
        ``torch``, ``openvino``, ``openvino_bf16`` or ``openvino_int8``.
    network : Backbone
        It is left as it is.
    files, checksums : sequences of Path and str
        All images, of which ``CALIBRATION`` calibrate ``openvino_int8``: those whose checksums come first, whatever the
        order of the images. A new image may be one of them, and then all rows are computed anew.
    view, size : str, (int, int)
        As in `counterweight.images.geometry.view`.
    device : torch.device
        Where to compute.

    Raises
    ------
    InputError
        If the device is not the CPU, and the engine not torch; and as `Compiled` says.
    """
    if name == "torch":
        return (folded(network) if device.type == "cpu" else network), name
    if device.type != "cpu":
        raise InputError(
            f"params.yaml: features.engine is {name}, which computes on the CPU, and COUNTERWEIGHT_DEVICE is {device}. "
            "Set the first to torch or the second to cpu."
        )
    code = fingerprint([__name__], ())
    if name != "openvino_int8":
        compiled = Compiled(network, size, "bf16" if name == "openvino_bf16" else "f32")
        return compiled, f"{name} {version('openvino')}, {code}"
    chosen = sorted(zip(checksums, files, strict=True))[:CALIBRATION]
    seen = Views([file for _, file in chosen], [known for known, _ in chosen], view, size)
    # Each is full: the last images of the last may stand in it twice.
    batches = [
        torch.stack([seen[min(i, len(seen) - 1)][0] for i in range(start, start + CPU_BATCH)])
        for start in range(0, len(seen), CPU_BATCH)
    ]
    compiled = Compiled(network, size, calibration=batches)
    by = codec.checksum("".join(known for known, _ in chosen).encode())
    return compiled, f"{name} {version('openvino')}, {code}, nncf {version('nncf')}, calibrated by {by}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep its converter's words, on how it traces a network, and its hands off our log."""
    log = logging.getLogger()
    level, handlers, filters = log.level, [(each, each.level) for each in log.handlers], list(log.filters)
    with warnings.catch_warnings(action="ignore"):
        try:
            yield
        finally:
            log.setLevel(level)
            log.handlers[:], log.filters[:] = [each for each, _ in handlers], filters
            for each, own in handlers:
                each.setLevel(own)


def _quantised(model: Any, calibration: Sequence[Tensor]) -> Any:
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # It misses a compiler for GPUs.
    try:
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    except ImportError:
        raise InputError(
            "params.yaml: features.engine: NNCF is not installed. Run make cpu, or set it to torch."
        ) from None
    logging.getLogger("nncf").setLevel(logging.ERROR)
    batches = nncf.Dataset([batch.numpy() for batch in calibration])
    convolutions = [
        each.get_friendly_name() for each in model.get_ordered_ops() if each.get_type_name() == "Convolution"
    ]
    with _quiet(), redirect_stdout(io.StringIO()):  # Its progress bars.
        return nncf.quantize(
            model,
            batches,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration),
            ignored_scope=nncf.IgnoredScope(names=convolutions[:EXACT]),
            # Else the first of the others gets 7 bits; and what each layer is wrong by on the mean is corrected, which
            # makes rows worse.
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.DISABLE, disable_bias_correction=True
            ),
        )
