"""Several processes, really started: they merge to the numbers of one, uneven shares included, and fail together."""

import json
import os
import subprocess
import sys

import pytest
import torch

from commands import free_port
from passes import contents, run_pass, shared_pass, store_at
from planted import planted_task, rows_of, write_rows
from processes import forked
from small_models import write_folder
from tokenworth.features.layer_groups import moment_bytes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """What one process finds."""
    return run_pass(model, tmp_path_factory.mktemp("whole"))


def together(model, folder, size, kill=None, **settings):
    """Run a pass in several processes; kill them all so many seconds later, if asked."""
    port = free_port()
    ours = [forked(shared_pass, model, folder, rank, size, port, settings) for rank in range(size)]
    for process in ours:
        process.start()
    ours[0].join(kill or 100)
    for process in ours[1:]:
        process.join(0 if kill else 100)
    alive = [process for process in ours if process.is_alive()]
    for process in alive:
        process.kill()
        process.join()
    return not alive


def assert_equal(found, expected):
    """Features of the same batches are the same; sums differ by the order of addition and by the shift's rounding."""
    found, expected = contents(found), contents(expected)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        if name.startswith(("train", "test", "n_", "w ", "ww ")):
            assert torch.equal(found[name], tensor), name


def assert_moments_equal(found, expected):
    for layer in expected.settings.layers:
        ours, theirs = (one.context(layer).second_moments(center=True) for one in (found, expected))
        for a, b in zip(ours, theirs, strict=True):
            assert (a - b).norm() <= 1e-6 * b.norm()


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shard", [False, True], ids=["replicas", "sharded"])
def test_processes_merge_to_the_numbers_of_one(model, whole, tmp_path, size, shard):
    assert together(model, tmp_path, size, shard=shard)
    found = run_pass(model, tmp_path)
    assert found.facts["reused"], "one process finds what several have made"
    assert found.facts["processes"] == size
    assert found.facts["tokens"] == whole.facts["tokens"], "no row is counted twice"
    assert_equal(found, whole)
    assert_moments_equal(found, whole)


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True], ids=["replicas", "sharded"])
def test_more_processes_than_batches(model, tmp_path, shard):
    parts = {"train": ["w1 w2 w3", "w4 w5 w6 w7"], "test": ["w8 w9"]}
    assert together(model, tmp_path / "two", 2, parts=parts, batch_tokens=1000, shard=shard)
    found, one = (run_pass(model, tmp_path / name, parts=parts, batch_tokens=1000) for name in ("two", "one"))
    assert found.facts["reused"]
    assert_equal(found, one)
    assert_moments_equal(found, one)


def test_further_passes_of_several_processes(model, whole, tmp_path):
    memory = moment_bytes(2, 32)
    assert together(model, tmp_path, 2, memory=memory)
    found = run_pass(model, tmp_path)
    assert (found.facts["passes"], found.facts["processes"]) == (2, 2)
    assert_equal(found, whole)
    assert_moments_equal(found, whole)


def test_several_processes_killed_go_on(model, whole, tmp_path):
    """Paced, so that a fast machine is not done before the first kill."""
    paced, kills = {"memory": moment_bytes(2, 32), "checkpoint_seconds": 0.0, "seconds_a_batch": 0.05}, 0
    for seconds in (0.9, 1.0, 1.1, 1.2, 100):
        kills += not together(model, tmp_path, 2, kill=seconds, **paced)
    assert kills
    found = run_pass(model, tmp_path)
    assert found.facts["reused"]
    assert found.facts["tokens"] == 2 * whole.facts["tokens"]
    assert_equal(found, whole)
    assert_moments_equal(found, whole)


def test_what_fails_in_one_fails_in_all(model, tmp_path):
    name = run_pass(model, tmp_path).entry.folder.name
    store_at(tmp_path).clear()
    with store_at(tmp_path).writing(name):
        assert together(model, tmp_path, 2)
    said = [(tmp_path / f"failure-{rank}").read_text() for rank in (0, 1)]
    assert "another run is passing the same texts" in said[0]
    assert said[0] == said[1]


@pytest.mark.slow
def test_the_command_under_torchrun(model, tmp_path):
    reviews = write_rows(tmp_path / "reviews.csv", rows_of(planted_task()))
    command = ["assess", reviews, "--model", model, "--dtype", "float32", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(starter, name, *more):
        done = subprocess.run(
            [*starter, "-m", "tokenworth", *map(str, command), "--out", tmp_path / name, *more],
            env={**environment, "TOKENWORTH_CACHE": str(tmp_path / f"cache {name}")},
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # printed once, by one of them

    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    alone, shared = run([sys.executable], "alone"), run([sys.executable, *torchrun], "shared", "--shard")
    assert (tmp_path / "shared" / "report.html").is_file()
    assert shared["forward_pass"]["processes"] == 2
    for one, two in zip(alone["layers"], shared["layers"], strict=True):
        for score in ("probe_f1", "ntps", "hscore", "ar_r2", "retained_auc"):
            assert two[score] == pytest.approx(one[score], rel=1e-4), score
