"""Products in float32 by the faster of PyTorch's two libraries on this processor: its BLAS, or oneDNN.

PyTorch gives products in float32 to its BLAS, Intel's MKL, which does not use all of an AMD processor: 108 GFLOP/s on a
core on which oneDNN reaches 230 (docs/benchmarks.md).  To oneDNN they go only where factors may be rounded to bfloat16.
It does round them on processors with units for that (AMX), and computes in float32 on all others.  So both are timed
and both compared with float64, once a machine: oneDNN is taken where it is faster and rounds like float32.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tokenworth.base.kept_measurement import keep, measurement_file
from tokenworth.base.processor import processor_facts

BLAS, ONEDNN = "BLAS", "oneDNN"
LEAST_GAIN = 1.2
MOST_ERROR = 8.0
"""Of oneDNN's products, in errors of BLAS, of which it has two; rounding to bfloat16 would make it ten thousand."""
SHORT_TEXTS = 128
"""Tokens up to which attention goes faster by whole products than by PyTorch's kernel, whose blocks are too small for
oneDNN: .4 against 6.7 ms for 32 texts of 16 tokens, 2.0 against 3.7 for 4 of 128, 3.7 against 3.3 for 2 of 256."""
_UNSET = ("none", "ieee")
_TOKENS, _WIDTH, _INNER, _REPEATS = 256, 768, 3072, 9


@dataclass(frozen=True, slots=True)
class ProductDecision:
    """Which library multiplies in float32 on this processor, and the measurement it rests on."""

    library: str  # BLAS or oneDNN, or what the caller has set for PyTorch
    gflops: dict[str, float]
    """10^9 FLOPs a second of CPU time on one thread, by library."""
    errors: dict[str, float]
    """Relative to the product in float64, by library: the largest of four products, in the Frobenius norm."""
    facts: dict[str, Any]  # what makes it void


def product_decision() -> ProductDecision:
    """The decision of this machine: the one that is kept, else a new one, which is then kept.

    Nothing is decided, or kept, where the caller has set a precision for PyTorch: that stays.
    """
    return _given() or _decided(_file())


def renewed_product_decision() -> ProductDecision:
    """Measure again and keep the result."""
    if given := _given():
        return given
    measured = _measured()
    keep(asdict(measured), _file(), anew=True, what=_what(measured))
    _decided.cache_clear()
    return measured


@contextmanager
def float32_products() -> Iterator[None]:
    """Within it this process's products in float32 on a CPU are those of the library that was decided for.

    Several may be open at once, in several threads.
    """
    switch = _Switch.here()
    if switch is None or product_decision().library != ONEDNN:
        yield
        return
    with switch.on():
        yield


@contextmanager
def short_attention(tokens: int, dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Within it PyTorch's attention is whole products, where that is faster: in float32 by oneDNN, texts being short.

    A backward pass that computes activations again has to be inside too.

    Args:
        tokens: of the longest text, padding included.
        dtype: of the states, where autocast is off.
        device: likewise; nothing changes on any but a CPU.
    """
    switch = _Switch.here()
    wide = dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    slower = device.type == "cpu" and wide and tokens <= SHORT_TEXTS
    if switch is None or not switch.open or not slower:
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


class _Switch:
    """PyTorch's leave to give products in float32 to oneDNN; on while anybody is inside."""

    def __init__(self, settings: Any) -> None:
        self.settings, self.open, self._lock = settings, 0, threading.Lock()

    @staticmethod
    @cache
    def here() -> _Switch | None:
        """Of this process; None with a PyTorch that was built without oneDNN."""
        onednn: Any = torch.backends.mkldnn
        return _Switch(onednn.matmul) if onednn.is_available() else None

    @contextmanager
    def on(self) -> Iterator[None]:
        with self._lock:
            if not self.open:
                self._before = self.settings.fp32_precision
                self.settings.fp32_precision = "bf16"
            self.open += 1
        try:
            yield
        finally:
            with self._lock:
                self.open -= 1
                if not self.open:
                    self.settings.fp32_precision = self._before


def _given() -> ProductDecision | None:
    """What is not to be measured: PyTorch has no choice, the caller has made it, or it is made and in force."""
    switch = _Switch.here()
    if switch is None:
        return ProductDecision(BLAS, {}, {}, {})
    if switch.open:
        return ProductDecision(ONEDNN, {}, {}, {})
    set_to = switch.settings.fp32_precision
    return None if set_to in _UNSET else ProductDecision(f"as set for PyTorch: {set_to}", {}, {}, {})


def _file() -> Path:
    return measurement_file("float32-products", processor_facts())


@cache
def _decided(place: Path) -> ProductDecision:
    damaged = place.exists()
    kept = _read(place)
    if kept is None:
        measured = _measured()
        keep(asdict(measured), place, anew=damaged, what=_what(measured))
        kept = _read(place) or measured
    return kept


def _what(measured: ProductDecision) -> str:
    return f"which library multiplies in float32 here ({measured.library})"


def _read(place: Path) -> ProductDecision | None:
    """The decision in a file; None if there is none, or it is damaged."""
    try:
        read = ProductDecision(**json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return read if read.library in {BLAS, ONEDNN} else None


def _measured() -> ProductDecision:
    switch = _Switch.here()
    assert switch is not None, "asked only where there is a choice"
    seconds, errors = _seconds_and_errors(switch)
    gflops = {name: round(2e-9 * _TOKENS * _WIDTH * _INNER / value, 1) for name, value in seconds.items()}
    faster = gflops[ONEDNN] > LEAST_GAIN * gflops[BLAS]
    library = ONEDNN if faster and errors[ONEDNN] < MOST_ERROR * errors[BLAS] else BLAS
    return ProductDecision(library, gflops, errors, processor_facts())


def _seconds_and_errors(switch: _Switch) -> tuple[dict[str, float], dict[str, float]]:
    """The least CPU time of a product on one thread, taken in turns, and the largest error, by library.

    The products are those of the forward pass, of both gradients, and of many small matrices at once.
    """
    random, threads = torch.Generator().manual_seed(0), torch.get_num_threads()
    x, w, g = (torch.randn(*of, generator=random) for of in ((_TOKENS, _WIDTH), (_INNER, _WIDTH), (_TOKENS, _INNER)))
    heads = [one.view(32, 32, -1) for one in (x, w[:_TOKENS])]
    pairs = [(x, w.T), (g, w), (g.T, x), (heads[0], heads[1].transpose(1, 2))]
    truth = [left.double() @ right.double() for left, right in pairs]
    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {BLAS: nullcontext, ONEDNN: switch.on}
    seconds, errors = dict.fromkeys(ways, math.inf), dict.fromkeys(ways, 0.0)
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _, (name, way) in product(range(_REPEATS), ways.items()):
                with way():
                    start = time.thread_time()
                    torch.matmul(x, w.T)
                    seconds[name] = min(seconds[name], time.thread_time() - start)
            for name, way in ways.items():
                with way():
                    found = [left @ right for left, right in pairs]
                errors[name] = max(float((a - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True))
    finally:
        torch.set_num_threads(threads)
    return seconds, errors
