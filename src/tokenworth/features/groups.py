"""How many layers' context moments fit into memory at once, and so how many passes are needed."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_BYTES_HELD, _BYTES_PASSING = 16, 24
"""Per D^2: C0 and C1 of each layer in float64; the products of a batch, of one layer at a time."""
_SHARE_OF_FREE = 0.6


def layer_groups(layers: tuple[int, ...], width: int, memory: int) -> list[tuple[int, ...]]:
    """Layers in as few equal groups as keep their moments within some bytes; one layer at least is in each."""
    at_once = max(1, int((memory / width**2 - _BYTES_PASSING) // _BYTES_HELD))
    n_groups = -(-len(layers) // at_once)
    size = -(-len(layers) // n_groups)
    return [layers[start : start + size] for start in range(0, len(layers), size)]


def moment_bytes(n_layers: int, width: int) -> int:
    """Bytes that the context moments of some layers take while batches are added."""
    return (_BYTES_HELD * n_layers + _BYTES_PASSING) * width**2


def moment_memory(device: torch.device) -> int:
    """Bytes that moments may take on a device: a share of what is free there now."""
    if device.type == "cuda":
        return int(_SHARE_OF_FREE * torch.cuda.mem_get_info(device)[0])
    return int(_SHARE_OF_FREE * free_memory())


def free_memory() -> int:
    """Bytes of main memory that are free, within the limit of the control group where there is one."""
    free = _available()
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else max(0, min(free, limit - used))


def _available() -> int:
    listing = Path("/proc/meminfo")
    if listing.is_file():
        lines = dict(line.split(":", 1) for line in listing.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # neither Linux nor POSIX
        return 8 * 10**9


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None
