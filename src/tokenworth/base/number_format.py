"""What `auto` means on this machine's processor: measured once, kept in the cache folder, the same for every process.

The flags of a processor do not tell: of two machines with the same (AVX512-BF16, no AMX) one multiplied 4.4 times as
fast in bfloat16 as in float32, the other 0.6 times.  So products are timed; and because the format changes the numbers,
the answer is a decision of the machine and not of a process: the first process that asks writes it down, and all others
read it.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch

from tokenworth.base.float32_products import float32_products
from tokenworth.base.kept_measurement import keep, measurement_file
from tokenworth.base.processor import cpu_flags, processor_facts

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # what `auto` chooses from
LEAST_GAIN = 1.5  # far from both measured gains; less would not repay the casts
_MARGIN = 1.15  # what a new measurement must exceed the threshold by to change a decision that stands
_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_TOKENS, _WIDTH, _INNER = 256, 768, 3072
"""The first product of the feed-forward part of a model of 768 coordinates, for the tokens of a small batch."""
_REPEATS = 9


@dataclass(frozen=True, slots=True)
class Decision:
    """The number format `auto` stands for on this processor, and the measurement it rests on."""

    dtype: str  # float32 or bfloat16
    gflops: dict[str, float] | None
    """10^9 FLOPs a second of CPU time on one thread, by format; None: the processor has no units for bfloat16."""
    measured: str  # when, UTC; empty if nothing was measured
    facts: dict[str, Any]  # what makes it void: processor, torch, and how torch may use the processor
    kept: str  # the file it is kept in; empty if nowhere

    @property
    def gain(self) -> float | None:
        """Rate in bfloat16 over that in float32."""
        return None if self.gflops is None else self.gflops["bfloat16"] / self.gflops["float32"]


def decision() -> Decision:
    """The decision of this machine: the one that is kept, else a new one, which is then kept.

    A process that has decided stays with it.  Of several that measure at once, the first to write decides for all.
    Where the folder cannot be written, each process decides for itself, and a warning says so.
    """
    return _decided(decision_file())


def renewed_decision() -> Decision:
    """Measure again and keep the result; the format only changes where the measurement is clear about it."""
    place = decision_file()
    renewed = _measured(before=_read(place))
    _decided.cache_clear()
    return renewed if renewed.gflops is None else _keep(renewed, place, anew=True)


def decision_file() -> Path:
    """Where the decision of this processor and this torch is kept; machines may share the folder."""
    return measurement_file("number-format", _facts())


@cache
def _decided(place: Path) -> Decision:
    damaged = place.exists()  # if it cannot be read now; what another process writes from here on is whole
    kept = _read(place)
    if kept is not None:
        return kept
    measured = _measured()
    return measured if measured.gflops is None else _keep(measured, place, anew=damaged)


def _read(place: Path) -> Decision | None:
    """The decision in a file; None if there is none, or it is damaged."""
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        read = Decision(kept["dtype"], kept["gflops"], kept["measured"], kept["facts"], str(place))
        valid = read.dtype in FORMATS and (read.gflops is None or float(read.gain or 0) > 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None
    return read if valid else None


def _keep(measured: Decision, place: Path, *, anew: bool) -> Decision:
    """Write a decision down; returns the one that stands then, which may be another process's."""
    record = {name: value for name, value in asdict(measured).items() if name != "kept"}
    if not keep(record, place, anew=anew, what=f"what dtype auto means here ({measured.dtype})"):
        return measured
    return _read(place) or replace(measured, kept=str(place))


def _measured(before: Decision | None = None) -> Decision:
    """Time products, where the processor has units for them; ``before`` is the decision that stands."""
    facts = _facts()
    if not facts["flags"]:
        return Decision("float32", None, "", facts, "")
    seconds = _product_seconds()
    gflops = {name: round(2e-9 * _TOKENS * _WIDTH * _INNER / seconds[name], 1) for name in FORMATS}
    margin = 1.0 if before is None else _MARGIN if before.dtype == "float32" else 1 / _MARGIN
    narrow = seconds["float32"] / seconds["bfloat16"] > LEAST_GAIN * margin
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Decision("bfloat16" if narrow else "float32", gflops, now, facts, "")


def _product_seconds() -> dict[str, float]:
    """The least CPU time of a product in each format, taken in turns, on one thread.

    CPU time of one thread does not count the time in which other work has the processor, and does not depend on how
    many threads this process was given; what disturbs it still (caches, clock) only adds, so the least is taken.
    """
    threads, seconds = torch.get_num_threads(), dict.fromkeys(FORMATS, math.inf)
    torch.set_num_threads(1)
    try:
        factors = {
            name: (torch.ones(_TOKENS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _INNER, dtype=dtype))
            for name, dtype in FORMATS.items()
        }
        with torch.inference_mode(), float32_products():
            for _, (name, (left, right)) in product(range(_REPEATS), factors.items()):
                start = time.thread_time()
                torch.matmul(left, right)
                seconds[name] = min(seconds[name], time.thread_time() - start)
    finally:
        torch.set_num_threads(threads)
    return seconds


def _facts() -> dict[str, Any]:
    """What a decision depends on."""
    return {**processor_facts(), "flags": sorted(_FLAGS & cpu_flags()), "float32": "by BLAS or by oneDNN"}
