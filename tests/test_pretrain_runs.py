"""Whole pretraining runs: exact resume after kill -9, several processes, experts, pages, and what stops a run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from commands import tokenworth
from corpora import config_of, run_file
from processes import forked
from tokenworth.base.locks import BusyError, only_writer
from tokenworth.base.processes import leave_processes
from tokenworth.errors import SettingError
from tokenworth.pretraining import PretrainError, PretrainPage, pretrain
from tokenworth.pretraining.metrics_log import read_journal
from tokenworth.scaling_laws import read_runs
from tokenworth.training.loop import Loop


def losses(run):
    return [row["loss"] for row in read_journal(run / "metrics.jsonl") if "loss" in row]


def weights(run, tokens=2560):
    return AutoModelForCausalLM.from_pretrained(run / "checkpoints" / f"tokens-{tokens}").state_dict()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def whole(home):
    """A run of 20 steps that nothing disturbs."""
    pretrain(config_of(home), home / "whole")
    return home / "whole"


def test_a_run_learns_and_leaves_plain_checkpoints(whole):
    page = PretrainPage.load(whole)
    run, found = page.run, losses(whole)
    assert run.finished
    assert len(found) == 20
    assert sum(found[-3:]) < 0.9 * sum(found[:3])
    assert found[0] == pytest.approx(5.7, abs=0.6)  # nats of 300 pieces known nothing of
    names = sorted(int(path.name.split("-")[1]) for path in (whole / "checkpoints").iterdir())
    assert names == [0, 512, 1536, 2560]
    folder = whole / "checkpoints" / "tokens-2560"
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.num_parameters() == run.parameters["total"]
    assert tokenizer("the cat")["input_ids"]
    assert {"one", "two"} == set(run.held_out)
    looks = [row["held_out"]["one"]["bits_per_byte"] for row in page.journal if "held_out" in row]
    assert len(looks) == 4
    assert looks[-1] < looks[0]
    assert run.samples[0]["prompt"] == "the cat"


def test_flops_are_those_of_the_products(home, whole):
    """6 FLOPs a parameter in a product and token, and attention: 12 T D a layer for all pairs of places."""
    run = PretrainPage.load(whole).run
    matrices = run.parameters["non_embedding"] - 5 * 32 + 300 * 32
    assert run.train_flops_per_token == pytest.approx(6 * matrices + 2 * 12 * 32 * 32, rel=1e-6)


def test_a_finished_run_is_read_and_not_made_again(home, whole):
    before = (whole / "metrics.jsonl").stat().st_mtime_ns
    assert pretrain(config_of(home), whole).finished
    assert (whole / "metrics.jsonl").stat().st_mtime_ns == before


def test_another_run_in_the_folder_is_refused_with_the_difference(home, whole):
    with pytest.raises(SettingError, match=r"lr was 0\.01 and is 0\.02"):
        pretrain(config_of(home, lr=0.02), whole)


# -- interruption -------------------------------------------------------------------------------------------------


LONG = 150 * 128


def _run(home, out, seconds_a_step=0.0):
    """Paced, a fast machine is not done before it is killed."""
    config = config_of(home, checkpoint_seconds=0, tokens=LONG)
    pretrain(config, out, progress=lambda *_: time.sleep(seconds_a_step))


def test_killed_at_random_moments_the_run_ends_with_equal_numbers(home):
    """A checkpoint after every step; killed wherever it is: losses, figures and weights are equal, bit for bit."""
    rng, kills, out, whole = random.Random(0), 0, home / "killed", home / "long"
    pretrain(config_of(home, tokens=LONG), whole)
    while kills < 6:
        process = forked(_run, home, out, 0.02)
        process.start()
        _wait_for(out / "state", process)
        process.join(rng.uniform(0.0, 1.2))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), "it failed by itself"
        if (out / "run.json").is_file() and json.loads((out / "run.json").read_text())["finished"]:
            break
    _run(home, out)
    assert kills >= 3
    assert losses(out) == losses(whole)
    looks = [[row for row in read_journal(one / "metrics.jsonl") if "held_out" in row] for one in (out, whole)]
    assert looks[0] == looks[1]
    for name, value in weights(whole, LONG).items():
        assert torch.equal(weights(out, LONG)[name], value)


def _wait_for(place, process):
    while process.is_alive() and not place.exists():
        time.sleep(0.01)


def test_a_loss_that_is_no_number_stops_before_the_update(home, monkeypatch):
    kept = Loop._passes

    def poisoned(self, own):
        found = kept(self, own)
        if self.learner.position.step == 3:
            next(iter(self.learner.parameters.values())).grad.fill_(float("nan"))
        return found

    monkeypatch.setattr(Loop, "_passes", poisoned)
    with pytest.raises(PretrainError, match=r"step 4: the loss is .* nothing was updated"):
        pretrain(config_of(home), home / "nan")
    monkeypatch.undo()
    assert len(losses(home / "nan")) == 3


def test_a_run_goes_on_in_the_format_it_was_begun_in(home, monkeypatch, auto):
    config = replace(config_of(home), training=replace(config_of(home).training, checkpoint_seconds=0, dtype="auto"))
    narrow = replace(config, training=replace(config.training, dtype="bfloat16"))
    kept = Loop._step

    def cut(self):
        if self.learner.position.step == 7:
            raise KeyboardInterrupt
        kept(self)

    auto("bfloat16")
    monkeypatch.setattr(Loop, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, home / "begun narrow")
    monkeypatch.setattr(Loop, "_step", kept)
    auto("float32")
    with pytest.raises(SettingError, match="dtype was 'bfloat16' and is 'float32'"):
        pretrain(replace(config, training=replace(config.training, dtype="float32")), home / "begun narrow")
    assert pretrain(config, home / "begun narrow").resumed_from_step == 7
    pretrain(narrow, home / "whole narrow")
    assert losses(home / "begun narrow") == losses(home / "whole narrow")
    other = weights(home / "whole narrow")
    assert all(torch.equal(value, other[name]) for name, value in weights(home / "begun narrow").items())


@pytest.mark.parametrize(("dtype", "why"), [("float16", "underflows"), ("float64", "kept in float32")])
def test_formats_that_weights_cannot_learn_in_are_refused(home, dtype, why):
    config = config_of(home)
    with pytest.raises(SettingError, match=f"dtype {dtype} .*{why}.*; choose bfloat16"):
        pretrain(replace(config, training=replace(config.training, dtype=dtype)), home / dtype)
    assert not (home / dtype / "started.json").exists()


def test_out_of_memory_halves_the_micro_batch_and_changes_no_number(home, whole, monkeypatch):
    kept = Loop._passes

    def short(self, own):
        if self.learner.position.micro_batch > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return kept(self, own)

    monkeypatch.setattr(Loop, "_passes", short)
    run = pretrain(config_of(home), home / "short")
    assert run.micro_batch == 1
    assert losses(home / "short") == pytest.approx(losses(whole), rel=1e-4)


def test_activation_checkpointing_changes_no_number(home, whole):
    pretrain(config_of(home, activation_checkpointing=True), home / "checkpointed")
    assert losses(home / "checkpointed") == pytest.approx(losses(whole), rel=1e-5)


def test_runs_that_share_shards_pack_once_and_find_the_same(home, whole):
    for name in ("first", "second"):
        pretrain(replace(config_of(home), shards=str(home / "shared")), home / name)
        assert losses(home / name) == losses(whole)
        assert not (home / name / "shards").exists()
    with only_writer(home / "shared", ""), pytest.raises(BusyError, match="another run is packing"):
        pretrain(replace(config_of(home), shards=str(home / "shared")), home / "third")


# -- several processes --------------------------------------------------------------------------------------------


GROUPED = {"layers": 1, "width": 32, "heads": 4, "kv_heads": 2}
WAYS = {
    "replicas": {},
    "fsdp2": {"shard": True},
    "ring": {"ring": True},
    "ring of grouped heads": {"ring": True, "model": GROUPED},
}


_PROGRAM = """
import pathlib, test_pretrain_runs
home = pathlib.Path({home!r})

class Kept:
    def __del__(self, file=home / "taken apart", write=pathlib.Path.write_text):
        write(file, "Python has been taken apart")

kept = Kept()
test_pretrain_runs.runs_of_two(home)
"""


def runs_of_two(home):
    """All ways one after the other, in each of the processes that torchrun has started."""
    for name in WAYS:
        pretrain(home / f"{name}.yaml", home / name)
    leave_processes()  # as the command does


@pytest.fixture(scope="module")
def two(home, whole):
    """Two processes, really started by torchrun, once for all ways: starting them is what takes long."""
    for name, way in WAYS.items():
        run_file(home, **way).rename(home / f"{name}.yaml")
    (home / "program.py").write_text(_PROGRAM.format(home=str(home)), encoding="utf-8")
    tests = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": tests}
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    done = subprocess.run(
        [*start, str(home / "program.py")], env=environment, capture_output=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return home


def test_processes_of_a_group_end_before_python_is_taken_apart(two):
    """Threads of the group live on, and one that lets go of a tensor then aborts its process."""
    assert not (two / "taken apart").exists()


@pytest.mark.parametrize("way", ["replicas", "fsdp2", "ring"])
def test_two_processes_find_the_numbers_of_one(two, whole, way):
    run = two / way
    assert losses(run) == pytest.approx(losses(whole), rel=1e-4)
    pages = [PretrainPage.load(one).run for one in (run, whole)]
    assert pages[0].train_flops_per_token == pages[1].train_flops_per_token
    last = [page.held_out["one"]["nll"] for page in pages]
    assert last[0] == pytest.approx(last[1], rel=1e-4)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-2, atol=2e-4)


def test_a_ring_of_grouped_heads_keeps_documents_apart(two, home):
    pretrain(config_of(home, model=GROUPED), home / "grouped")
    assert losses(two / "ring of grouped heads") == pytest.approx(losses(home / "grouped"), rel=1e-4)


@pytest.mark.parametrize("way", ["ring", "shard"])
def test_one_process_is_told_to_bring_others(home, way):
    with pytest.raises(SettingError, match="start them with torchrun"):
        pretrain(config_of(home, **{way: True}), home / "alone")


# -- other models -------------------------------------------------------------------------------------------------


def test_experts_are_trained_evenly_and_saved_as_mixtral(home):
    shape = {"layers": 2, "width": 32, "heads": 2, "experts": 4, "inner_width": 32}
    run = pretrain(config_of(home, model=shape), home / "experts")
    folder = home / "experts" / "checkpoints" / "tokens-2560"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert type(model).__name__ == "MixtralForCausalLM"
    assert run.parameters["active"] < run.parameters["total"] == model.num_parameters()
    found = losses(home / "experts")
    assert sum(found[-3:]) < 0.9 * sum(found[:3])


def test_a_run_goes_on_from_a_checkpoint(home, whole):
    folder = str(whole / "checkpoints" / "tokens-2560")
    again = pretrain(config_of(home, model=folder), home / "on")
    assert losses(home / "on")[0] < losses(whole)[3]
    assert again.tokenizer["vocabulary"] == 300
    with pytest.raises(SettingError, match="reads 32 tokens, less than the context of 64"):
        pretrain(config_of(home, model=folder, context=64), home / "longer")


def test_finished_runs_are_a_table_for_a_scaling_law(home, whole):
    table = read_runs(home)
    run = PretrainPage.load(whole).run
    rows = table[(table["parameters"] == run.parameters["total"]) & (table["loss"] == run.held_out["one"]["nll"])]
    assert len(rows) >= 1
    assert set(rows["flops"]) == {run.train_flops_per_token * 2560}
    with pytest.raises(SettingError, match="no finished pretraining runs"):
        read_runs(home / "whole")


# -- command line -------------------------------------------------------------------------------------------------


def test_the_command_trains_reports_and_prints(tmp_path):
    run_file(tmp_path)
    done = tokenworth("pretrain", "run.yaml", "--out", "run", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "bits a byte" in done.out
    assert (tmp_path / "run" / "report.html").is_file()
    refused = tokenworth("pretrain", "run.yaml", "--out", "run", "--tokens", "2000", cwd=tmp_path)
    assert refused.code == 2
    assert "tokens was 2560 and is 2000" in refused.err


OLDER = {
    "normalisation": "layernorm",
    "norm_place": "post",
    "feed_forward": "gelu",
    "bias": True,
    "positions": "learned",
}


def test_a_command_of_its_own_trains_the_parts_of_2017_and_another_measures_them(tmp_path):
    """In processes that have loaded no model of ours before: the Auto classes must learn of it in time."""
    run_file(tmp_path, model={"layers": 2, "width": 32, "heads": 2, **OLDER})
    done = tokenworth("pretrain", "run.yaml", "--out", "run", cwd=tmp_path)
    assert done.code == 0, done.err
    last = tmp_path / "run" / "checkpoints" / "tokens-2560"
    assert json.loads((last / "config.json").read_text())["normalisation"] == "layernorm"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["samples"][0]["prompt"] == "the cat"
    measured = tokenworth("measure", "positions", last, "one.txt", "--json", cwd=tmp_path)
    assert measured.code == 0, measured.err
