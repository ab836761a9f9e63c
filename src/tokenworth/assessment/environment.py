"""The environment a result came from: versions and machine, recorded with every result."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from tokenworth.version import __version__

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "peft", "accelerate", "scikit-learn", "numpy", "pandas")


def describe_environment() -> dict[str, Any]:
    """Versions of everything that touches the numbers, and the machine in words."""
    return {
        "tokenworth": __version__,
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "system": platform.platform(terse=True),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
