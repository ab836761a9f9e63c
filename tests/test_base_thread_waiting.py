"""Threads that wait beside other programs: the variable that lets them sleep is set then, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokenworth.base.thread_waiting import POLICY, SHORT_WAIT, SPINS, wait_briefly_beside_others


@pytest.fixture
def load(tmp_path, monkeypatch):
    for name in (SPINS, POLICY):
        monkeypatch.setenv(name, "")  # so that what a test leaves there is taken away after it
        monkeypatch.delenv(name)
    return tmp_path / "loadavg"


@pytest.mark.parametrize(("running", "spins"), [(1, None), (2, str(SHORT_WAIT)), (17, str(SHORT_WAIT))])
def test_threads_sleep_soon_where_more_than_this_process_runs(load, running, spins):
    load.write_text(f"1.82 1.61 1.99 {running}/107 20636\n")
    wait_briefly_beside_others(load)
    assert os.environ.get(SPINS) == spins


@pytest.mark.parametrize("name", [SPINS, POLICY])
def test_what_the_user_has_set_stays(load, monkeypatch, name):
    monkeypatch.setenv(name, "active" if name == POLICY else "77")
    load.write_text("0.00 0.00 0.00 4/107 20636\n")
    before = dict(os.environ)
    wait_briefly_beside_others(load)
    assert dict(os.environ) == before


@pytest.mark.parametrize("text", [None, "", "no numbers", "0.00 0.00 0.00"])
def test_a_system_that_does_not_tell_is_left_alone(load, text):
    if text is not None:
        load.write_text(text)
    wait_briefly_beside_others(load)
    assert SPINS not in os.environ


@pytest.mark.skipif(not Path("/proc/loadavg").is_file(), reason="this system does not tell how many processes run")
def test_the_command_line_asks_before_pytorch_is_there(tmp_path):
    """`sitecustomize` notes the variable at the moment torch is first asked for, in the process of a real command."""
    noted = tmp_path / "noted"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Note:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'torch': open({str(noted)!r}, 'w').write(os.environ.get({SPINS!r}, 'none'))\n"
        "sys.meta_path.insert(0, Note())\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in (SPINS, POLICY)}
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        command = [
            sys.executable,
            "-m",
            "tokenworth",
            "adapt",
            str(tmp_path / "none"),
            "--model",
            "none",
            "--route",
            "lora",
        ]
        subprocess.run(command, env={**kept, "PYTHONPATH": paths}, check=False, capture_output=True)
    finally:
        busy.kill()
        busy.wait()
    assert noted.read_text() == str(SHORT_WAIT)
