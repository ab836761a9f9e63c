"""Standard output that cannot take what is written, and options and variables that are refused before anything is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "tokenworth"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams and devices are those of POSIX")


def ended(*arguments, stdout=subprocess.PIPE, **variables):
    """A command in a process of its own: only there are the streams those of the system."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [*COMMAND, *arguments], stdout=stdout, stderr=subprocess.PIPE, env=environment, timeout=120, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("arguments", [["tasks"], ["tasks", "--json"]], ids=["table", "json"])
def test_a_full_device_is_one_sentence(arguments):
    with Path("/dev/full").open("w") as full:
        done = ended(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "tokenworth: standard output cannot be written (No space left on device); results go to a folder with --out"
    ]


def test_a_reader_that_has_left_is_no_failure_to_tell():
    process = subprocess.Popen([*COMMAND, "tasks", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_letters_that_the_stream_has_not_are_escaped():
    done = ended("tasks", "--狐", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (2, b"")
    assert "\\u72d0" in done.stderr.decode("ascii")


def test_closed_output_takes_nothing():
    """The process begins without a standard output, as after `>&-` in a shell."""
    script = f"exec '{sys.executable}' -m tokenworth tasks >&-"
    done = subprocess.run(["/bin/sh", "-c", script], stderr=subprocess.PIPE, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
