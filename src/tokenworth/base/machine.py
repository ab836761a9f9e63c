"""What the machine lets this process use: processors, memory that is free, within the limits it was given; a folder.

A container or a batch job may use less than the machine has.  Its limits are those of control groups, of version 2
(memory.max, cpu.max) or 1 (memory.limit_in_bytes, cpu.cfs_quota_us), its own and those of every group above it.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CACHE = "TOKENWORTH_CACHE"
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_OWN_GROUPS, _MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)  # files of a group, by version: its limit, what it uses, and what of that the kernel takes back (pages only read)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h
_LARGEST_BLOCKS = (2**30, 2**25)  # the second where an older glibc refuses the first


def cache_folder() -> Path:
    """What is kept between runs lies here: TOKENWORTH_CACHE, else tokenworth below the user's cache folder."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return Path(os.environ.get(CACHE) or caches / "tokenworth")


def processors() -> int:
    """Processors this process may use: those it is tied to, as far as its groups' share of time goes."""
    tied = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([tied, *(math.ceil(share) for share in _shares_of_time())]))


def free_memory() -> int:
    """Bytes of main memory that can be had without swapping, within the limits of the control groups."""
    import psutil

    return max(0, min([int(psutil.virtual_memory().available), *_left_in_groups()]))


def memory() -> int:
    """Bytes of main memory that this process may have at most: the machine's, within the limits of its groups."""
    import psutil

    return min([int(psutil.virtual_memory().total), *_limits_of_groups()])


def free_on(device: torch.device) -> int:
    """Bytes that are free on a device: a graphics card's own, else the machine's."""
    if device.type != "cuda":
        return free_memory()
    import torch

    return int(torch.cuda.mem_get_info(device)[0])


def keep_freed_memory(device: torch.device) -> bool:
    """Let this process keep freed memory for its next blocks, for good; whether it does.

    A training step on a CPU frees and asks again for the same large blocks.  glibc gives blocks of this size back to
    the system, which hands them out anew page by page, each cleared first: 2 to 7 % of a step (docs/benchmarks.md).
    Nothing happens for other devices, whose memory PyTorch keeps itself, and with other C libraries.
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    from_heap = any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST_BLOCKS)
    return bool(from_heap and mallopt(_TRIM_THRESHOLD, 2**31 - 1))


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or the machine had no memory left."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()  # the CPU allocator raises a plain RuntimeError
    return any(phrase in text for phrase in _OUT_OF_MEMORY)


def _shares_of_time() -> Iterator[float]:
    """Seconds of processors a second, of every group that limits them."""
    for folder in _groups("cpu"):
        older = [_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        quota, period = (_number(text) for text in (_text(folder / "cpu.max").split() or older)[:2])
        if quota and period:
            yield quota / period


def _left_in_groups() -> Iterator[int]:
    """Bytes left below every limit there is."""
    for folder in _groups("memory"):
        for limit_name, used_name, given_back in _LIMITS:
            limit, used = _number(_text(folder / limit_name)), _number(_text(folder / used_name))
            if limit is not None and used is not None:
                yield limit - used + _stated(folder / "memory.stat", given_back)


def _limits_of_groups() -> Iterator[int]:
    texts = (_text(folder / name) for folder in _groups("memory") for name, *_ in _LIMITS)
    yield from (limit for text in texts if (limit := _number(text)) is not None)


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's groups and of those above them, as far as they can be seen from here."""
    for line in _text(_OWN_GROUPS).splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = _MOUNTED / controller if controllers else _MOUNTED
        inner = root / path.strip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(root) and folder.is_dir())


def _stated(path: Path, name: str) -> int:
    lines = (line.split() for line in _text(path).splitlines())
    return next((int(words[1]) for words in lines if len(words) == 2 and words[0] == name), 0)


def _number(text: str) -> int | None:
    """None where there is no limit: "max", -1, or no such file."""
    return int(text) if text.strip().isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
