"""What `auto` stands for in tests: said by TESTS_AUTO, so that both formats are tested on any machine.

The product knows nothing of the variable: tests write the decision where the product keeps its own.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tokenworth.base.number_format as formats

AUTO = os.environ.get("TESTS_AUTO", "float32")
"""float32 or bfloat16."""


def decide(folder: Path, dtype: str = AUTO) -> Path:
    """Make ``folder``, a cache folder, one in which this machine has decided for a format; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / formats.decision_file().name
    facts = {"dtype": dtype, "gflops": None, "measured": "", "facts": {"said by": "the tests"}}
    place.write_text(json.dumps(facts))
    return place


ROUNDINGS = 8
"""Units in the last place that a few layers may be off, as a share of the norm of all values."""


def unit(dtype: str) -> float:
    """A unit in the last place of 1."""
    return float(torch.finfo(getattr(torch, dtype)).eps)


def assert_near(found: Any, wanted: Any, dtype: str, roundings: float = ROUNDINGS) -> None:
    """``found``, computed in a format, is what ``wanted`` says but for the format's rounding."""
    found, wanted = (np.asarray(one, dtype=np.float64) for one in (found, wanted))
    assert found.shape == wanted.shape
    apart = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    most = roundings * unit(dtype)
    assert apart < most, f"{apart:.2g} apart in {dtype}, not below {most:.2g}"
