"""The Ray engine on a real local cluster: same numbers, a worker killed in the middle, a pass shared by workers."""

import subprocess
import sys

import pandas as pd
import pytest

from number_formats import decide
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.errors import SettingError
from tokenworth.study import StudyStore, load_study, read_table, run_local, run_on_ray
from tokenworth.study.study_store import unfinished

pytestmark = pytest.mark.formats

ray = pytest.importorskip("ray", reason="an extra: pip install tokenworth[ray]")

SMALL = """
backbones: [llama]
tasks: [reviews.csv]
routes: [assess, bow, probe, lora]
seeds: [0]
settings: {steps: 4, lr: 0.001, mislabelled: false}
axes: {rank: [2, 4]}
"""
COLUMNS = ["key", "weighted_f1", "log_loss", "ntps", "hscore"]


@pytest.fixture
def home(tmp_path):
    model_at(tmp_path)
    write_rows(tmp_path / "reviews.csv", rows_of(planted_task(60, 40)))
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def numbers(folder, columns=tuple(COLUMNS)):
    return read_table(folder)[list(columns)].sort_values("key").reset_index(drop=True)


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_an_address_that_does_not_answer(home):
    with pytest.raises(SettingError, match=r"127\.0\.0\.1:9 does not answer"):
        run_on_ray(load_study(home / "small.yaml"), home / "ray", address="127.0.0.1:9")


@pytest.mark.slow
def test_numbers_are_those_of_the_local_engine(home, cluster):
    study, ended = load_study(home / "small.yaml"), []
    assert run_on_ray(study, home / "ray", report=lambda cell, state: ended.append(state)) == {"finished": 5}
    assert ended == ["finished"] * 5
    assert run_local(study, home / "local", workers=2) == {"finished": 5}
    pd.testing.assert_frame_equal(numbers(home / "ray"), numbers(home / "local"))


@pytest.mark.slow
def test_a_pass_shared_by_two_workers_finds_the_same(home, cluster, monkeypatch):
    write_rows(home / "reviews.csv", rows_of(planted_task(60, 40, seed=1)))  # of other texts no pass is kept
    study = load_study(home / "small.yaml").only(["assess"])
    monkeypatch.setenv("TOKENWORTH_CACHE", str(home / "cache"))
    decide(home / "cache")
    assert run_on_ray(study, home / "ray", pass_workers=2) == {"finished": 1}
    assert run_local(study, home / "local", workers=1) == {"finished": 1}
    columns = ["ntps", "hscore", "logme", "probe_accuracy"]
    shared, alone = (read_table(home / name).sort_values("key")[columns] for name in ("ray", "local"))
    pd.testing.assert_frame_equal(shared.reset_index(drop=True), alone.reset_index(drop=True), rtol=1e-4)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing(home, cluster):
    (home / "small.yaml").write_text(SMALL.replace("steps: 4", "steps: 120"))
    study = load_study(home / "small.yaml").only(["lora"])
    store, killer = StudyStore(home / "ray"), _kill_when_there_is("cells/*/run/run.json", "ray::_work", home / "ray")
    try:
        assert run_on_ray(study, home / "ray") == {"finished": 2}
    finally:
        killer.wait(timeout=60)
    assert killer.returncode == 0, "a worker was killed while its cell ran"
    assert run_local(study, home / "local", workers=2) == {"finished": 2}
    pd.testing.assert_frame_equal(numbers(home / "ray", COLUMNS[:3]), numbers(home / "local", COLUMNS[:3]))
    assert len(store.begun()) == 2


KILLER = """
import os, signal, sys, time
from pathlib import Path
import psutil
limit = time.monotonic() + 60
while time.monotonic() < limit:
    if list(Path(sys.argv[1]).glob(sys.argv[2])):
        for process in psutil.process_iter(["cmdline"]):
            if " ".join(process.info["cmdline"] or []).startswith(sys.argv[3]):  # and not this process itself
                os.kill(process.pid, signal.SIGKILL)
                sys.exit(0)
    time.sleep(0.02)
sys.exit(1)
"""


def _kill_when_there_is(file, worker, folder):
    return subprocess.Popen([sys.executable, "-c", KILLER, str(folder), file, worker])


@pytest.mark.slow
def test_a_pass_goes_on_after_the_death_of_one_of_its_workers(home, cluster, monkeypatch):
    """The others wait for what never comes; all of them begin again."""
    write_rows(home / "reviews.csv", rows_of(planted_task(3000, 400, seed=2)))
    study = load_study(home / "small.yaml").only(["assess"])
    monkeypatch.setenv("TOKENWORTH_CACHE", str(home / "cache"))
    decide(home / "cache")
    killer = _kill_when_there_is("cells/*/run/text_loss.json", "ray::_Member.assess", home / "ray")
    assert run_on_ray(study, home / "ray", pass_workers=2) == {"finished": 1}
    assert killer.wait(timeout=60) == 0, "a worker was killed while the pass was made"
    assert run_local(study, home / "local", workers=1) == {"finished": 1}
    columns = ["ntps", "hscore", "logme", "probe_accuracy"]
    shared, alone = (read_table(home / name)[columns] for name in ("ray", "local"))
    pd.testing.assert_frame_equal(shared, alone, rtol=1e-4)


@pytest.mark.slow
def test_two_shared_passes_at_once_do_not_wait_for_each_other(home, cluster):
    """Two processors, two passes of two workers each: half of each at a time would be neither."""
    model_at(home / "other", seed=4)
    (home / "small.yaml").write_text(SMALL.replace("[llama]", "[llama, other/llama]"))
    study = load_study(home / "small.yaml").only(["assess"])
    assert run_on_ray(study, home / "ray", pass_workers=2) == {"finished": 2}


def test_more_workers_of_a_pass_than_processors(home, cluster):
    study = load_study(home / "small.yaml")
    with pytest.raises(SettingError, match=r"3 workers cannot share .* on 2 processors; give --pass-workers at most 2"):
        run_on_ray(study, home / "ray", pass_workers=3)
    assert not (home / "ray").exists()


@pytest.mark.slow
@pytest.mark.parametrize("pass_workers", [1, 2])
def test_a_worker_without_the_files_keeps_the_sentence(home, cluster, monkeypatch, pass_workers):
    """The driver saw the weights, the worker does not."""
    route = "lora" if pass_workers == 1 else "assess"
    study = load_study(home / "small.yaml").only([route, "bow"])

    def then_hidden(cells, store, **settings):
        (home / "llama").rename(home / "elsewhere")
        return unfinished(cells, store, **settings)

    monkeypatch.setattr("tokenworth.study.ray_engine.unfinished", then_hidden)
    failed = 2 if route == "lora" else 1
    assert run_on_ray(study, home / "ray", pass_workers=pass_workers) == {"finished": 1, "failed": failed}
    store = StudyStore((home / "ray").resolve())
    errors = [store.error(key)["message"] for key in store.begun() if store.error(key)]
    assert len(errors) == failed
    assert all("llama" in message for message in errors)
    assert all("\n" not in message and "ray::" not in message for message in errors)
