"""SIGINT and SIGTERM: one line, the exit code that shells know, within seconds, and no process left behind."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

import commands
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.base.interruption import sentence
from tokenworth.corpus.engine.engines import Local

LINE = "tokenworth: interrupted; the same command goes on from what it has kept on disk"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    model_at(home)
    write_rows(home / "reviews.csv", rows_of(planted_task(40, 20)))
    (home / "long.yaml").write_text(
        "name: long\nbackbones: [llama]\ntasks: [reviews.csv]\nroutes: [full]\nseeds: [0, 1]\n"
        "settings: {steps: 1000000, batch: 4, checkpoint_seconds: 0.0}\n"
    )
    return home


def _until(there):
    """Wait for it, but not for ever."""
    for _ in range(1200):
        if there():
            return
        time.sleep(0.1)
    raise TimeoutError("the command has not come so far")


def _interrupted(home, number, there, *arguments):
    """A command that gets a signal when something is there; what it said, and the processes it had."""
    started = commands._started(arguments, home, {})
    _until(there)
    process = psutil.Process(started[0].pid)
    children = process.children(recursive=True)
    os.kill(started[0].pid, number)
    return commands._ended([started])[0], children


@pytest.mark.formats
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_ends_in_one_line_and_goes_on(home, tmp_path, number, code):
    arguments = ["adapt", "reviews.csv", "--model", "llama", "--route", "full", "--steps", 1000000, "--batch", 4,
                 "--checkpoint-seconds", 0, "--out", tmp_path / "run", "--quiet"]  # fmt: skip
    checkpoints = tmp_path / "run" / "checkpoints"
    done, _ = _interrupted(home, number, lambda: any(checkpoints.glob("step-*[0-9]")), *arguments)
    assert (done.code, done.out, done.err.splitlines()) == (code, "", [LINE])
    assert any(checkpoints.glob("step-*[0-9]"))


@pytest.mark.slow
@pytest.mark.formats
def test_a_study_takes_its_workers_with_it(home, tmp_path):
    """Once its workers ran on for up to 51 s, and so did the command, without a word."""
    begun = lambda: len(list(tmp_path.glob("cells/*/run/checkpoints/step-*[0-9]"))) >= 2  # noqa: E731
    arguments = ["study", "run", "long.yaml", "--workers", 2, "--out", tmp_path, "--quiet"]
    done, children = _interrupted(home, signal.SIGTERM, begun, *arguments)
    assert (done.code, done.err.splitlines()) == (143, [LINE])
    assert len(children) >= 2
    _until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))


def test_what_hangs_in_a_library_is_ended_too(tmp_path):
    code = (
        "import hashlib, tokenworth.cli.app as app\n"
        "app._run = lambda _words: (print('begun', flush=True), hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1))\n"
        "app.main()"
    )
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, "pretrain"], cwd=tmp_path, **streams) as process:
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err.decode().splitlines()) == (143, [LINE])


def _sleep(seconds):
    time.sleep(seconds)


def test_an_engine_that_is_closed_now_does_not_wait_for_its_jobs():
    """They would take ten minutes."""
    engine = Local(2)
    jobs = engine.map(_sleep, [(0.01,), (600,), (600,)])
    next(jobs)
    engine.close(now=True)


def test_workers_of_a_corpus_end_with_a_killed_command():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_cli_interruption import Local, _sleep\n"
        "jobs = Local(2).map(_sleep, [(0.01,), (600,), (600,)]); next(jobs); print('begun', flush=True); next(jobs)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"begun\n"
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
    assert len(children) >= 3
    _until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))


def test_what_keeps_nothing_promises_nothing():
    assert sentence(["predict", "run", "texts.csv"]) == "interrupted"
    assert sentence(["--help"]) == "interrupted"
    assert sentence(["corpus", "build", "x.yaml"]).endswith("goes on from what it has kept on disk")
