"""What `auto` stands for in tests: said by TESTS_AUTO, so that both formats are tested on any machine.

The product knows nothing of the variable: tests write the decision where the product keeps its own.
"""

import json
import os
from pathlib import Path

from tokenworth.backbones import formats

AUTO = os.environ.get("TESTS_AUTO", "float32")
"""float32 or bfloat16."""


def decide(folder: Path, dtype: str = AUTO) -> Path:
    """Make ``folder``, a cache folder, one in which this machine has decided for a format; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / formats.decision_file().name
    facts = {"dtype": dtype, "gflops": None, "measured": "", "facts": {"said by": "the tests"}}
    place.write_text(json.dumps(facts))
    return place
