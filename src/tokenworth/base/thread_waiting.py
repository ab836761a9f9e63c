"""How threads of PyTorch wait for each other where other programs have the processors."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

SPINS, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
SHORT_WAIT = 1000
"""Rounds before a thread that waits goes to sleep; 300,000 are the default of GCC's OpenMP, which PyTorch uses."""
LOAD = Path("/proc/loadavg")
"""Where Linux says how many processes and threads run."""
_LOOKS, _PAUSE = 5, 0.002


def wait_briefly_beside_others(load: Path = LOAD) -> None:
    """Let threads that wait go to sleep soon if another program computes now; to be called before PyTorch is loaded.

    A thread that waits for the others of a product keeps its processor busy, and where there are more threads to run
    than processors that is the one they need: beside one or two busy processes on two cores training and passes took
    1.5 to 1.9 times as long.  On an idle machine sleep costs LoRA 5 % (docs/benchmarks.md), so it is left alone.  No
    number changes.  Variables that the user has set stay; where the system does not tell what runs (macOS, Windows), or
    uses another OpenMP, nothing happens.
    """
    if SPINS not in os.environ and POLICY not in os.environ and others_compute(load):
        os.environ[SPINS] = str(SHORT_WAIT)


def others_compute(load: Path = LOAD) -> bool:
    """Whether more than this process was running at each of some looks, a few milliseconds apart; False if unknown."""
    running = []
    with suppress(OSError, ValueError, IndexError):
        for look in range(_LOOKS):
            time.sleep(_PAUSE if look else 0)
            running.append(int(load.read_text(encoding="ascii").split()[3].partition("/")[0]))
    return len(running) == _LOOKS and min(running) > 1
