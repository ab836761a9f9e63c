"""The command line in processes of its own, one or several.

They are forked from a server that has imported the libraries (processes.py).  That the command starts from nothing too
is what test_cli_process sees, and under torchrun the tests of several processes.
"""

import os
import runpy
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from processes import forked

_PLAIN = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "40"}
_LIMIT = 300


def tokenworth(*arguments, cwd):
    """Exit code and what was printed; a narrow terminal, no network, one thread."""
    return _ended([_started(arguments, cwd, {})])[0]


def ending(*arguments, cwd, code=0):
    """The same of a command that must end with a code, and without a traceback."""
    found = tokenworth(*arguments, cwd=cwd)
    assert found.code == code, found.err
    assert "Traceback" not in found.err
    return found


def script(file, *arguments, cwd):
    """The same of a Python file."""
    return _ended([_started(arguments, cwd, {}, file)])[0]


def together(size, *arguments, cwd):
    """The same command in several processes that know of each other as torchrun's do: what each of them said."""
    group = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank, **group} for rank in range(size)]
    return _ended([_started(arguments, cwd, rank) for rank in ranks])


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _started(arguments, cwd, more, file=None):
    environment = {**os.environ, **_PLAIN, **{name: str(value) for name, value in more.items()}}
    folder = TemporaryDirectory()
    printed = [Path(folder.name) / name for name in ("out", "err")]
    process = forked(_run, list(map(str, arguments)), str(cwd), printed, file, environment=environment)
    process.start()
    return process, folder, printed


def _ended(started):
    found = []
    for process, folder, printed in started:
        process.join(_LIMIT)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"a command has not ended after {_LIMIT} s")
        with folder:
            out, err = (path.read_bytes().decode() for path in printed)
        found.append(SimpleNamespace(code=process.exitcode, out=out, err=err))
    return found


def _run(arguments, cwd, printed, file):
    """What the process does: take the place of a fresh one, then call what the console script calls, or run a file."""
    os.chdir(cwd)
    for stream, path in zip((sys.stdout, sys.stderr), printed, strict=True):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    sys.argv = ["tokenworth" if file is None else str(file), *arguments]
    if file is not None:
        runpy.run_path(str(file), run_name="__main__")
        return

    from tokenworth.cli import main

    main()
