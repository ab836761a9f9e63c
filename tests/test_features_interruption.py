"""kill -9 at any moment, a full disk, a damaged checkpoint: what was done stays done, and the numbers are the same."""

import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

from passes import contents, run_pass, slow_pass, store_at, texts_of
from planted import planted_task, rows_of, write_rows
from processes import forked, server
from small_models import write_folder
from tokenworth.errors import EncodeError
from tokenworth.features.layer_groups import moment_bytes

TWO_GROUPS = {"memory": moment_bytes(2, 32), "parts": texts_of(400, 100)}
KILLS = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


def start(model, folder, settings):
    """A slow pass in a process of its own, and the number of its batches so far."""
    batches = server().Value("i", 0)
    process = forked(slow_pass, model, folder, 0.02, batches, settings)
    process.start()
    return process, batches


def kill(process, batches, *, at=1, seconds=0.0):
    """Kill a process so long after so many batches; whether it was still alive."""
    limit = time.monotonic() + 60
    while batches.value < at and process.is_alive() and time.monotonic() < limit:
        time.sleep(0.001)
    process.join(seconds)
    alive = process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive


def test_killed_at_random_moments_the_pass_ends_with_equal_numbers(model, tmp_path):
    """Two groups of layers, so that kills fall into both passes and between them."""
    whole = contents(run_pass(model, tmp_path / "whole", **TWO_GROUPS))
    moments, killed, positions = random.Random(0), 0, set()
    while killed < KILLS:
        process, batches = start(model, tmp_path / "killed", TWO_GROUPS)
        assert kill(process, batches, seconds=moments.uniform(0, 0.12)), f"done after {killed} kills: make it slower"
        killed += 1
        positions |= {path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("checkpoint.safetensors")}
    last = run_pass(model, tmp_path / "killed", **TWO_GROUPS)
    assert not last.facts["reused"]
    assert last.facts["resumed_from_token"] > 0
    assert len(positions) > KILLS // 2, "most kills came after some progress"
    found = contents(last)
    for name, tensor in whole.items():
        assert torch.equal(found[name], tensor), name
    assert last.facts["tokens"] == 2 * last.entry.manifest["n_tokens"], "no batch is counted twice"


def test_a_pass_killed_halfway_does_not_start_over(model, tmp_path):
    assert kill(*start(model, tmp_path, {}), at=14)
    assert [one.state for one in store_at(tmp_path).kept()] == ["interrupted"]
    done = []
    features = run_pass(model, tmp_path, progress=lambda _part, tokens, total: done.append(tokens / total))
    assert done[0] > 0.2
    assert features.facts["resumed_from_token"] > 0.2 * features.facts["tokens"]


def test_halved_batches_stay_halved_after_an_interruption(model, tmp_path, monkeypatch):
    """Memory runs out once, then the pass is interrupted: what follows is what would have followed."""

    def pass_with(folder, stop_after=None):
        failed, batches = [], []
        update = torch.nn.Embedding.forward

        def scarce(self, ids):
            if ids.numel() > 40 and not failed:
                failed.append(True)
                raise torch.OutOfMemoryError("made up")
            return update(self, ids)

        def progress(_part, done, _total):
            batches.append(done)
            if stop_after and len(batches) == stop_after:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(torch.nn.Embedding, "forward", scarce)
            return run_pass(model, folder, progress=progress, checkpoint_seconds=0.0)

    whole = contents(pass_with(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        pass_with(tmp_path / "stopped", stop_after=5)
    resumed = run_pass(model, tmp_path / "stopped")
    assert resumed.facts["resumed_from_token"] > 0
    for name, tensor in contents(resumed).items():
        assert torch.equal(tensor, whole[name]), name


def test_a_damaged_checkpoint_begins_anew(model, tmp_path, caplog):
    expected = contents(run_pass(model, tmp_path / "whole"))
    _interrupt(model, tmp_path / "cut")
    (checkpoint,) = (tmp_path / "cut").rglob("checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:50])
    features = run_pass(model, tmp_path / "cut")
    assert "damaged, the pass begins anew" in caplog.text
    for name, tensor in contents(features).items():
        assert torch.equal(tensor, expected[name]), name


def _interrupt(model, folder, **settings):
    def progress(_part, done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pass(model, folder, progress=progress, checkpoint_seconds=0.0, **settings)


def pass_with_small_files(model, folder, limit, said):
    """No file may grow beyond a limit, as on a full disk; tells what the pass says."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.dont_write_bytecode = True  # Python itself would leave half a .pyc, and fail on it the next time
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        run_pass(model, folder, checkpoint_seconds=0.0)
    except EncodeError as error:
        said.put(str(error))


@pytest.mark.parametrize("limit", [10_000, 50_000], ids=["features", "checkpoint"])
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(model, tmp_path, limit):
    _interrupt(model, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("checkpoint.safetensors")}
    assert before
    folder = tmp_path if limit > 20_000 else tmp_path / "new"
    said = server().Queue()
    process = forked(pass_with_small_files, model, folder, limit, said)
    process.start()
    sentence = said.get(timeout=60)
    process.join()
    assert "cannot be written (" in sentence
    assert "make room" in sentence
    assert all(path.read_bytes() == content for path, content in before.items())
    assert run_pass(model, tmp_path).facts["resumed_from_token"] > 0


@pytest.mark.slow
def test_the_command_killed_and_given_again(model, tmp_path):
    reviews = write_rows(tmp_path / "reviews.csv", rows_of(planted_task(400, 200)))
    command = [
        sys.executable, "-m", "tokenworth.cli.app", "assess", str(reviews), "--model", str(model), "--dtype", "float32",
        "--batch-tokens", "16", "--checkpoint-seconds", "0", "--layers", "last", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    environment = {**os.environ, "TOKENWORTH_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while not list((tmp_path / "cache").rglob("checkpoint.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "out" / "assessment.json").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "an interrupted pass goes on at" in done.stderr
    assert (tmp_path / "out" / "assessment.json").is_file()
