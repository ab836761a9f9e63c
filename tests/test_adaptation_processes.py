"""Several processes, once really started by torchrun: the same batches, the same schedule, the numbers of one."""

import json
import os
import subprocess
import sys

import pytest

import tokenworth as tw
from commands import together, tokenworth
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.adaptation import load_classifier
from tokenworth.errors import SettingError

SETTINGS = "steps: 12\nlr: 0.001\nrank: 4\ndropout: 0\nlora_dropout: 0\nmislabelled: false\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    model_at(home, lm_head=True)
    write_rows(home / "reviews.csv", rows_of(planted_task(60, 40)))
    (home / "run.yaml").write_text(SETTINGS)
    return home


def command(route, out, *more):
    run = ["adapt", "reviews.csv", "--model", "llama", "--route", route, "--out", out, "--config", "run.yaml"]
    return [*run, "--dtype", "float32", "--json", *more]


def adapt(home, route, out, *more, processes=1):
    arguments = command(route, out, *more)
    for done in together(processes, *arguments, cwd=home) if processes > 1 else [tokenworth(*arguments, cwd=home)]:
        assert done.code == 0, done.err
    return json.loads((home / out / "result.json").read_text())


@pytest.mark.slow
@pytest.mark.formats
def test_torchrun_starts_what_the_other_tests_fork(home):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "tokenworth"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*start, *command("lora", "torchrun")], cwd=home, env=environment, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads((home / "torchrun" / "result.json").read_text())
    assert found["cost"]["processes"] == 2
    assert found["training"]["losses"] == adapt(home, "lora", "forked", processes=2)["training"]["losses"]


@pytest.mark.parametrize("route", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_processes_share_batches_and_find_the_numbers_of_one(home, route):
    """8 texts over 3 processes: uneven shares, one gradient; the schedule advances once a step."""
    one = adapt(home, route, f"one-{route}")
    three = adapt(home, route, f"three-{route}", processes=3)
    assert three["training"]["losses"] == pytest.approx(one["training"]["losses"], rel=1e-4)
    assert three["metrics"]["log_loss"] == pytest.approx(one["metrics"]["log_loss"], rel=1e-3)
    assert three["cost"]["processes"] == 3
    assert three["cost"]["tokens"] == one["cost"]["tokens"]


@pytest.mark.parametrize("route", [pytest.param("lora", marks=pytest.mark.slow), "full"])
def test_sharded_weights_find_the_numbers_of_one(home, route):
    """FSDP over two processes; the classifier that is saved is whole."""
    one = adapt(home, route, f"one-{route}")
    two = adapt(home, route, f"sharded-{route}", "--shard", processes=2)
    assert two["training"]["losses"] == pytest.approx(one["training"]["losses"], rel=1e-4)
    assert two["metrics"]["log_loss"] == pytest.approx(one["metrics"]["log_loss"], rel=1e-3)
    assert two["parameters"] == one["parameters"]
    assert len(load_classifier(home / f"sharded-{route}").predict(["w1 w2", "w3"])) == 2


def test_sharding_one_process_is_refused(home):
    with pytest.raises(SettingError, match="start them with torchrun"):
        tw.adapt(str(home / "llama"), planted_task(40), "full", config={"shard": True})


@pytest.mark.parametrize(
    "route", [pytest.param("bow", marks=pytest.mark.slow), "probe", pytest.param("prompt", marks=pytest.mark.slow)]
)
def test_routes_without_a_loop_end_in_every_process(home, route):
    assert adapt(home, route, f"two-{route}", processes=2)["metrics"]["accuracy"] >= 0.4
