"""The environment a result came from: versions and machine, recorded with every result."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tokenworth.base.float32_products import product_decision
from tokenworth.version import NUMERICS, __version__

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "peft", "accelerate", "scikit-learn", "numpy", "pandas")

_PROGRAM = "tokenworth"


def describe_environment() -> dict[str, Any]:
    """Versions of everything that touches the numbers, the machine in words, and the command where there was one."""
    command = command_line()
    return {
        **({} if command is None else {"command": command}),
        "tokenworth": __version__,
        "numerics": NUMERICS,
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "system": platform.platform(terse=True),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "float32 products": product_decision().library,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def command_line() -> str | None:
    """The command of this package that runs here, as a shell takes it; None where Python calls the package itself."""
    program, *words = sys.argv or [""]
    place = Path(program)
    ours = place.stem == _PROGRAM or (place.name == "__main__.py" and place.parent.name == _PROGRAM)
    return shlex.join([_PROGRAM, *words]) if ours else None


def version_of(environment: Mapping[str, Any]) -> str | None:
    """The version of the numbers a result has: results of two of them are not averaged, those of two releases are.

    Of results that were made before numbers had a version, the version of the program.
    """
    version, numerics = environment.get("tokenworth"), environment.get("numerics")
    return version if numerics is None else f"numbers {numerics}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
