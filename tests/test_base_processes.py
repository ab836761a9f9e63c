"""How a process that was in a group ends."""

import pytest

from commands import script

_PROGRAM = """
import atexit
import torch.distributed as dist
from tokenworth.base.processes import leave_processes

atexit.register(print, "asked to be called at the end")
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
try:
    {last}
finally:
    leave_processes()
"""


@pytest.mark.parametrize(
    ("last", "code", "said"),
    [
        ("pass", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('why')", 1, "why\n"),
        ("raise ValueError('why')", 1, "ValueError: why\n"),
    ],
)
def test_a_process_of_a_group_ends_as_python_would(tmp_path, last, code, said):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM.format(last=last), encoding="utf-8")
    found = script(program, cwd=tmp_path)
    assert (found.code, found.out) == (code, "asked to be called at the end\n")
    assert found.err.endswith(said)
    assert ("Traceback" in found.err) == ("ValueError" in last)
