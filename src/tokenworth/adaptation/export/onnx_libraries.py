"""Libraries of the extra `onnx`: whether they are there, without what they say of themselves, and 8-bit weights."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenworth.errors import AdaptError, SettingError, first_line

_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
_LARGEST_FILE = 2_000_000_000
"""Bytes that one protobuf file holds."""


def require_onnx() -> None:
    """Raises SettingError: a library of the extra is not installed; the message is the command."""
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise SettingError(
            f"export to ONNX needs {' and '.join(missing)}, which this Python has not: pip install 'tokenworth[onnx]'"
        )


@contextmanager
def without_messages() -> Iterator[None]:
    """Silence logs, warnings and what is printed to stderr: a graph that fails is printed there whole."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def quantise_weights(path: Path, to: Path) -> None:
    """Write a twin whose float32 products have weights of 8 bits, a scale a column; inputs are rounded as they come.

    Raises AdaptError: onnxruntime cannot.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    beside = path.with_name(path.name + ".data")
    size = sum(file.stat().st_size for file in (path, beside) if file.exists())
    how: dict[str, Any] = {"per_channel": True, "weight_type": QuantType.QInt8}
    try:
        with without_messages():
            quantize_dynamic(path, to, use_external_data_format=size > _LARGEST_FILE, **how)
    except Exception as error:
        raise AdaptError(f"onnxruntime cannot quantise {path.name} ({first_line(error)}); leave out --int8") from error
