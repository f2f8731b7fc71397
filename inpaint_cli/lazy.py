"""Names that a package offers and imports when they are first used (PEP 562)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """Return `__getattr__` and `__all__` for `package`.

    `modules` says for each module, relative to `package`, which names it provides: ".fill":
    "fill fill_folder".
    """
    home = {name: module for module, names in modules.items() for name in names.split()}

    def getattr_(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home[name], package), name)

    return getattr_, sorted(home)


def deferred(target: str) -> Any:
    """Return a class attribute that is imported when it is first used.

    `task = deferred(".task:SPNTask")` in a package's `__init__.py` lets listings read the class
    without importing torch. The module is relative to the package in which the class is defined.
    """
    return Deferred(target)


class Deferred:
    """See `deferred`, whose type lets it stand in for what it imports."""

    def __init__(self, target: str) -> None:
        self.module, _, self.name = target.partition(":")

    def __set_name__(self, owner: type, name: str) -> None:
        self.package = import_module(owner.__module__).__package__

    def __get__(self, instance: object, owner: type) -> Any:
        return getattr(import_module(self.module, self.package), self.name)
