"""Freed memory that is kept: what the system has to hand out again, counted in pages."""

import platform
import subprocess
import sys

import pytest
import torch

from tokenworth.base.machine import keep_freed_memory

COUNTED = """
import resource, sys, torch
from tokenworth.base.machine import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory(torch.device("cpu"))
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(30):
    if step == 20:  # the heap has found its size
        before = faults()
    torch.ones(16_000_000)
print(faults() - before)
"""


def faults(how):
    ended = subprocess.run([sys.executable, "-c", COUNTED, how], capture_output=True, check=True, text=True)
    return int(ended.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_blocks_are_handed_out_once():
    """Ten times 64 MB are 156,250 pages of 4 kB."""
    found = {how: faults(how) for how in ("plain", "kept")}
    assert found["kept"] < 1000
    assert found["plain"] > 10 * max(found["kept"], 1)


def test_other_devices_are_left_alone():
    assert not keep_freed_memory(torch.device("meta"))
