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
_ATTRIBUTES: Mapping[str, Mapping[str, Any]] = {
    "torch._dynamo": _COMPILER,
    "torch._dynamo.utils": _COMPILER,
    "scipy.signal": {"hamming": None},
}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Let libraries import, or a network train, without PyTorch's compiler and SciPy's signals: 1.5 s less.

    After the block they load as usual. What is loaded already is not replaced.
    """
    names = _ATTRIBUTES.keys() - sys.modules.keys()
    for name in names:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(_ATTRIBUTES[name])
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
