"""Stand-ins for modules that libraries import and this project never needs: they take seconds of a stage's start."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Torchvision asks whether one operation can be compiled, which no classifier contains: `torchvision.ops.roi_align`.
# Optimizers ask for versions of their methods that are never compiled, and PyTorch keeps the plain ones, which serve,
# for the rest of the process. Lightning asks whether a network is compiled. And torchmetrics, which Lightning loads,
# gives a function of SciPy an earlier name for the sake of a third library.
_COMPILER: dict[str, Any] = {
    "is_compile_supported": lambda device: False,
    "disable": lambda function, *_, **__: function,
    "graph_break": lambda: None,
    "OptimizedModule": type("OptimizedModule", (), {}),
}
StandIns = Mapping[str, Mapping[str, Any] | None]
UNUSED_BY_TORCH: StandIns = {
    "torch._dynamo": _COMPILER,
    "torch._dynamo.utils": _COMPILER,
    "scipy.signal": {"hamming": None},
}
# imgaug looks for what it needs of SciPy when it needs it. Numba would compile augmenters that no pipeline may have.
UNUSED_BY_IMGAUG: StandIns = {"scipy.stats": {}, "scipy.spatial": {}, "scipy.spatial.distance": {}, "numba": None}


@contextmanager
def stand_ins(modules: StandIns = UNUSED_BY_TORCH) -> Iterator[None]:
    """Let libraries import, or a network train, without some modules.

    After the block they load as usual. What is loaded already is not replaced.

    Parameters
    ----------
    modules : mapping of str to mapping or None
        By name, the attributes that stand in for a module's own; None lets its import fail. ``UNUSED_BY_TORCH``,
        PyTorch's compiler and SciPy's signals, saves its libraries 1.5 s; ``UNUSED_BY_IMGAUG``, statistics and Numba,
        saves imgaug three quarters of its import.
    """
    names = modules.keys() - sys.modules.keys()
    for name in names:
        attributes = modules[name]
        if attributes is None:
            sys.modules[name] = None  # type: ignore[assignment]  # as Python marks what cannot be imported
        else:
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(attributes)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
