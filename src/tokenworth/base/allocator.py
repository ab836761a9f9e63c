"""The C library's allocator, told to keep what training frees.

A step on a CPU frees and asks again for the same large blocks.  glibc gives blocks of this size back to the system,
which hands them out anew page by page, each cleared first: 2 to 7 % of a step (docs/benchmarks.md).
"""

from __future__ import annotations

import ctypes
import platform

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h
_KEPT = 2**31 - 1
_LARGEST_BLOCKS = (2**30, 2**25)
"""The second where an older glibc refuses the first."""


def keep_freed_memory(device: torch.device) -> bool:
    """Let this process keep freed memory for its next blocks, for good; whether it does.

    Nothing happens for other devices, whose memory PyTorch keeps itself, and with other C libraries.
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    from_heap = any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST_BLOCKS)
    return bool(from_heap and mallopt(_TRIM_THRESHOLD, _KEPT))
