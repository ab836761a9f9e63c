"""What this processor is, and which instruction sets it has."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch


def processor_facts() -> dict[str, Any]:
    """What the speed and the rounding of products depend on: the processor, torch, and how torch may use it."""
    return {
        "processor": processor_name(),
        "torch": torch.__version__,
        "torch uses": torch.backends.cpu.get_cpu_capability(),
        "onednn limit": os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "",
    }


def processor_name() -> str:
    """Name, family, model and stepping, as far as the system tells them."""
    kernel = _kernel_facts()
    names = ("model name", "cpu family", "model", "stepping")
    return " ".join([platform.machine(), *(kernel[name] for name in names if name in kernel)])


def cpu_flags() -> set[str]:
    """Instruction sets of this CPU, from torch where its version tells them, else from the kernel."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        return {flag for flag, there in capabilities().items() if there is True}
    return set(_kernel_facts().get("flags", "").split())


@cache
def _kernel_facts() -> dict[str, str]:
    """What the kernel says of the first processor; with many of them its file takes long to read."""
    text = ""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
