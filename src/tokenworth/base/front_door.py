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
        names: public names, each with the module that holds it: below the package where it begins with a dot.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(names[name], package), name)

    return load, lambda: list(names), list(names)
