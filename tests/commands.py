"""The command line in a process of its own, as a user starts it."""

import os
import subprocess
import sys
from types import SimpleNamespace


def tokenworth(*arguments, cwd):
    """Exit code and what was printed; a narrow terminal, no network, one thread."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "40"}
    command = [sys.executable, "-m", "tokenworth", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=300, check=False)
    return SimpleNamespace(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
