"""A module that others import and hardly use: it is imported when something of it is needed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


@contextmanager
def later(module: str, function: str) -> Iterator[None]:
    """In here, importing a function from a module takes no time: the module is imported when the function is called.

    Whatever else is asked of the module meanwhile, or of the package that it is in, imports it at once, and is what it
    would be without this.

    Parameters
    ----------
    module : str
        Its name, such as ``torch._dynamo.utils``.
    function : str
        The function that is imported from it.

    Examples
    --------
    >>> with later("xml.dom.minidom", "parseString"):
    ...     from xml.dom.minidom import parseString
    >>> parseString("<a/>").documentElement.tagName
    'a'
    """
    package = module.rpartition(".")[0]
    if {package, module} & sys.modules.keys():
        yield
        return

    def called(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(module), function)(*args, **kwargs)

    sys.modules[package] = _Package(package)
    sys.modules[module] = _StandIn(module)
    setattr(sys.modules[module], function, called)
    try:
        yield
    finally:
        _give_way()


class _StandIn(ModuleType):
    """In a module's place until something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Of any module, Python's import asks for some of these, and goes on without.
            raise AttributeError(name)
        _give_way()
        return getattr(import_module(self.__name__), name)


class _Package(_StandIn):
    """The same of a package, which gives its path away to those who import another module of it."""

    def __getattr__(self, name: str) -> Any:
        if name != "__path__":
            return super().__getattr__(name)
        _give_way()
        return import_module(self.__name__).__path__


def _give_way() -> None:
    for name, module in list(sys.modules.items()):
        if isinstance(module, _StandIn):
            del sys.modules[name]
