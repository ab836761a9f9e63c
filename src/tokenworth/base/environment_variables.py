"""Numbers in environment variables."""

from __future__ import annotations

import math
import os

from tokenworth.base.sentences import quoted
from tokenworth.errors import SettingError


def whole_number_of(variable: str, default: int) -> int:
    """A variable's whole number of at least 0.

    Raises:
        SettingError: it is something else.
    """
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise SettingError(f"the environment variable {variable} is {quoted(text)}; unset it, or give a whole number")
    return int(text)


def number_of(variable: str, default: float, unit: str) -> float:
    """A variable's number above 0.

    Raises:
        SettingError: it is something else.
    """
    text = os.environ.get(variable) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise SettingError(f"{variable} is {quoted(text)}; give {unit} as a number, such as {default:g}")
    return value
