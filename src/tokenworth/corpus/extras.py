"""Libraries that come with the extra `corpus`; one that is absent says how to get it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tokenworth.errors import SettingError


def library(name: str, what: str) -> Any:
    """A library by the name to import.  SettingError: it is not installed; the message is the command."""
    try:
        return import_module(name)
    except ImportError as error:
        raise SettingError(f"{what} needs {name.partition('.')[0]}: pip install tokenworth[corpus]") from error
