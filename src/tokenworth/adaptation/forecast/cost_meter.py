"""What a run took: seconds by stage, peak memory, and energy where the machine reports it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from tokenworth.base.progress import StageClock

_RAPL = Path("/sys/class/powercap")


class Meter:
    """Reads the machine's counters before and after."""

    def __init__(self) -> None:
        self.clock = StageClock()
        self._joules = energy_joules()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def read(self) -> dict[str, Any]:
        """Seconds by stage and in all, peak bytes, joules (None where nothing reports them)."""
        after = energy_joules()
        joules = None if self._joules is None or after is None or after < self._joules else after - self._joules
        seconds = self.clock.seconds()
        return {
            "seconds": seconds.pop("total"),
            "stages": seconds,
            "peak_memory_bytes": peak_memory(),
            "peak_device_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
            "energy_joules": joules,
        }


def peak_memory() -> int | None:
    """Most bytes of main memory this process has ever held (the run's own peak or an earlier one)."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(held if sys.platform == "darwin" else held * 1024)


def energy_joules() -> float | None:
    """Energy counters of the processors (RAPL) and graphics cards (NVML), added up; None where neither can be read.

    They count the whole machine, other programs included.
    """
    known = [value for value in (_processors(), _cards()) if value is not None]
    return sum(known) if known else None


def _processors() -> float | None:
    places = sorted(_RAPL.glob("intel-rapl:[0-9]")) if _RAPL.is_dir() else []
    try:
        counted = [int((path / "energy_uj").read_text()) / 1e6 for path in places]
    except (OSError, ValueError):  # readable by the administrator alone on many systems
        return None
    return sum(counted) if counted else None


def _cards() -> float | None:
    if not torch.cuda.is_available() or find_spec("pynvml") is None:
        return None
    import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return float(sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles)) / 1e3
    except pynvml.NVMLError:
        return None
