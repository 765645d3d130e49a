"""Engines that run a network: torch, or OpenVINO in float32, bfloat16 or int8, which is faster on a CPU."""

import io
import logging
import warnings
from contextlib import redirect_stdout
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from counterweight.base.architectures import TIMM
from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.networks.backbones import Backbone
from counterweight.networks.inference import CPU_BATCH
from counterweight.networks.loader import ImageDataset, ImageFiles, Preprocessing
from counterweight.runtime.fingerprint import fingerprint

# Images that calibrate the range of each layer's values and the correction of int8 rows. Twice as many take twice as
# long, and reduce the error of rows from 2.8 to 2.7 % of their spread.
CALIBRATION_IMAGES = 64

# The first convolutions stay in float32. In a ResNet-18, they would cause half of the error of int8 rows (see
# `benchmarks/speed.py` for the rest), and their sums overflow on CPUs without VNNI.
FLOAT_CONVS = 2


class OpenVINOModule(nn.Module):
    """A network compiled by OpenVINO for the CPU.

    Parameters
    ----------
    network : Module
        Maps uint8 images (n, height, width, 3) to rows.
    size : (int, int)
        Width and height of the images.
    precision : str
        ``f32`` or ``bf16``; bfloat16 has the range of float32 and 8 of its 24 significant bits.
    calibration : Tensor of uint8, shape (n, height, width, 3), optional
        Whole batches of `CPU_BATCH`. If given, all but the first `FLOAT_CONVS` convolutions compute in int8 (Jacob et
        al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018), and a
        `DualRidge` corrects the rows.

    Raises
    ------
    InputError
        If OpenVINO is not installed, or ``bf16`` is asked of a CPU without bfloat16.
    """

    def __init__(
        self,
        network: nn.Module,
        size: tuple[int, int],
        precision: str = "f32",
        calibration: Tensor | None = None,
    ) -> None:
        super().__init__()
        try:
            import openvino
            from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
        except ImportError:
            raise InputError(
                "params.yaml: features.engine: OpenVINO is not installed. Run make cpu, or set it to torch."
            ) from None
        if precision == "bf16" and not supports_bfloat16():
            # OpenVINO would silently compute in float32, or slowly.
            raise InputError(
                "params.yaml: features.engine is openvino_bf16, and this CPU does not compute in bfloat16. Set it to "
                "openvino_int8 or openvino, or use a CPU that does, such as one with AMX."
            )
        self.network = network.eval()  # Its weights are part of the cache key of the rows.
        shape = (CPU_BATCH, size[1], size[0], 3)
        with warnings.catch_warnings(action="ignore"):
            # The check runs the network three times, which takes longer than all the rest.
            traced = TorchScriptPythonDecoder(
                self.network,
                example_input=torch.zeros(shape, dtype=torch.uint8),
                trace_kwargs={"check_trace": False},
            )
            model = openvino.convert_model(traced, input=[(openvino.PartialShape(list(shape)), openvino.Type.u8)])
        self.requests = _compile(model, precision)
        self.regression: DualRidge | None = None
        if calibration is not None:
            exact = self(calibration).numpy()
            self.requests = _compile(_quantize(model, calibration), precision)
            self.regression = DualRidge(self(calibration).numpy(), exact)

    @property
    def batches_at_once(self) -> int:
        """Batches per call of `forward`: two per thread, so that a slow batch does not leave other threads idle."""
        return 2 * len(self.requests)

    def forward(self, images: Tensor) -> Tensor:
        """Map the images of whole batches of `CPU_BATCH` to rows; one thread computes each batch."""
        batches = images.numpy().reshape(-1, CPU_BATCH, *images.shape[1:])
        rows: dict[int, NDArray[np.float32]] = {}
        self.requests.set_callback(lambda request, i: rows.update({i: request.get_output_tensor(0).data.copy()}))
        try:
            for i, batch in enumerate(batches):
                self.requests.start_async([batch], i)
        finally:  # The death of a decoding process may raise an error here; then the call is repeated.
            self.requests.wait_all()
        if self.regression is not None:
            rows = {i: self.regression(batch) for i, batch in rows.items()}
        return torch.from_numpy(np.concatenate([rows[i] for i in range(len(batches))]))


def _compile(model: Any, precision: str) -> Any:
    """Compile a model to a queue of single-threaded requests, one per thread of PyTorch."""
    from openvino import AsyncInferQueue

    threads = torch.get_num_threads()
    # Without a hint, precision depends on the CPU.
    options = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
    return AsyncInferQueue(_core().compile_model(model, "CPU", options), threads)


@cache
def _core() -> Any:
    """Return the one core of this process, which is never deleted.

    Each core installs a signal stack, and on deletion restores that of the core before, which may be gone. The next
    signal, such as that of a worker that ends, would then crash this process.
    """
    import openvino

    return openvino.Core()


def supports_bfloat16() -> bool:
    """Whether this CPU has bfloat16 instructions, according to OpenVINO."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def fuse_conv_bn(network: Backbone) -> Backbone:
    """Return a copy of a network in evaluation mode, with each batch norm fused into the convolution before it.

    That saves one pass over memory per batch norm. Rows differ by rounding, about 1e-6 of their length.
    """
    copied = deepcopy(network).eval()
    if not network.model.startswith(TIMM):  # Those branch on their inputs, which cannot be traced.
        # In place, because the copy that `fuse` makes would be in training mode.
        copied.trunk = fuse(copied.trunk, inplace=True)
    return copied


class DualRidge:
    """Ridge regression that predicts the difference between two kinds of rows of an image.

    Without evidence, rows do not change (Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal
    Problems, 1970). The cost of the dual form grows with the images, not with the outputs (Saunders, Gammerman and
    Vovk, Ridge Regression Learning Algorithm in Dual Variables, 1998). The penalty is the mean squared distance of an
    image's row from the mean row, so that each image weighs as much as the prior; a single image gives a shift.

    Parameters
    ----------
    found, expected : arrays of float32, shape (n_images, n_outputs)
        Rows before and after the correction, of the same images.
    """

    def __init__(self, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        differences = expected.astype(np.float64) - found
        self.center, self.shift = found.mean(axis=0, dtype=np.float64), differences.mean(axis=0)
        self.examples = found - self.center
        kernel = self.examples @ self.examples.T
        penalty = max(float(kernel.diagonal().mean()), np.finfo(np.float64).tiny)
        self.coefficients = np.linalg.solve(kernel + penalty * np.eye(len(found)), differences - self.shift)

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return corrected rows, float32 of the same shape.

        Unlike a BLAS product, einsum rounds a row the same wherever it is in the array.
        """
        kernel = np.einsum("ij,kj->ik", rows - self.center, self.examples)
        corrected: NDArray[np.float64] = rows + self.shift + np.einsum("ik,kj->ij", kernel, self.coefficients)
        return corrected.astype(np.float32)


def build_engine(
    name: str, network: Backbone, files: ImageFiles, preprocessing: Preprocessing, device: torch.device
) -> tuple[nn.Module, str]:
    """Return a module that runs a network, and a name that identifies its rows.

    Parameters
    ----------
    name : str
        ``torch``, ``openvino``, ``openvino_bf16`` or ``openvino_int8``.
    files : ImageFiles
        All images. The `CALIBRATION_IMAGES` with the smallest checksums calibrate ``openvino_int8``; when a new image
        becomes one of them, all rows change.
    network, preprocessing, device
        The network, which is not changed, how an image becomes its input, and where it runs.

    Raises
    ------
    InputError
        If OpenVINO is asked for on another device than the CPU, or cannot run the network (see `OpenVINOModule`).
    """
    if name == "torch":
        return (fuse_conv_bn(network) if device.type == "cpu" else network), name
    if device.type != "cpu":
        raise InputError(
            f"params.yaml: features.engine is {name}, which computes on the CPU, and COUNTERWEIGHT_DEVICE is {device}. "
            "Set the first to torch or the second to cpu."
        )
    code = fingerprint([__name__], ())
    if name != "openvino_int8":
        compiled = OpenVINOModule(network, preprocessing.size, "bf16" if name == "openvino_bf16" else "f32")
        return compiled, f"{name} {version('openvino')}, {code}"
    chosen = files.sample(CALIBRATION_IMAGES)
    dataset = ImageDataset(chosen, preprocessing)
    images = [dataset[i][0] for i in range(len(dataset))]
    images += images[-1:] * (-len(images) % CPU_BATCH)  # Fills the last batch.
    compiled = OpenVINOModule(network, preprocessing.size, calibration=torch.stack(images))
    checksum = codec.checksum("".join(chosen.checksums).encode())
    return compiled, f"{name} {version('openvino')}, {code}, nncf {version('nncf')}, calibrated by {checksum}"


def _quantize(model: Any, calibration: Tensor) -> Any:
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # It warns that there is no CUDA compiler.
    try:
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    except ImportError:
        raise InputError(
            "params.yaml: features.engine: NNCF is not installed. Run make cpu, or set it to torch."
        ) from None
    logging.getLogger("nncf").setLevel(logging.ERROR)
    batches = list(calibration.numpy().reshape(-1, CPU_BATCH, *calibration.shape[1:]))
    convolutions = [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() == "Convolution"]
    with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):  # NNCF prints progress bars.
        return nncf.quantize(
            model,
            nncf.Dataset(batches),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(batches),
            ignored_scope=nncf.IgnoredScope(names=convolutions[:FLOAT_CONVS]),
            # By default, the first quantized convolution gets 7 bits, and biases are corrected, which makes rows worse.
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.DISABLE, disable_bias_correction=True
            ),
        )
