"""A room whose names are loaded when they are first used: its settings can be read without its libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def front_door(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package needs as `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: its `__name__`.
        names: public names by the module that holds them, with spaces between; a dot stands for the package.  A
            module's own name stands for the module.
    """
    modules = {name: module for module, several in names.items() for name in several.split()}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(modules[name], package)
        return module if modules[name] == f".{name}" else getattr(module, name)

    return load, lambda: sorted(modules), sorted(modules)
