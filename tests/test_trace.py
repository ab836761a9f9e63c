"""tokenworth trace: a run of small models, read, measured once, kept, and told as a page."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import tokenworth as tw
from browser import charts, chromium, complaints, cut_charts, open_page, requests, resize
from commands import tokenworth
from planted import planted_task, rows_of, write_rows
from report_results import PWNED
from tokenworth.backbones import account_of
from tokenworth.errors import BackboneError, SettingError, TokenworthError
from tokenworth.report import write_report
from tokenworth.tracing import Trace, read_run
from tokenworth.tracing.run_losses import read_losses
from tokenworth.tracing.trace_settings import budget, choose_adapted
from traces import SHORT, copy_checkpoint, planted_part, planted_run, planted_trace, rising, write_run

pytestmark = pytest.mark.formats


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A finished trace and its folder."""
    home = tmp_path_factory.mktemp("traced")
    run = write_run(home / "run")
    write_rows(home / "reviews.csv", rows_of(planted_task(60, 40)))
    return tw.trace(run, str(home / "reviews.csv"), config=SHORT, seeds=2), home


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}


def test_a_run_is_read_in_order_of_tokens(tmp_path):
    run = read_run(write_run(tmp_path / "run", (8000, 0, 1000)))
    assert run.tokens == [0, 1000, 8000]
    assert run.flops_per_token == 1e5
    assert run.parameters == 17_000
    assert run.losses.bits_at(0) == 4.0
    assert 3.2 < run.losses.bits_at(2000) < 3.9
    assert math.isnan(run.losses.bits_at(9000))
    assert run.notes == ("metrics.jsonl: 1 line(s) that are not JSON were passed over.",)
    assert len({one.fingerprint for one in run.checkpoints}) == 3


def test_a_folder_of_checkpoints_is_a_run_and_says_what_it_assumes(tmp_path):
    folder = write_run(tmp_path / "run", stated=False)
    run = read_run(folder / "checkpoints")
    counted = account_of(str(folder / "checkpoints" / "tokens-0"))
    assert run.flops_per_token == 6 * counted.parameters
    assert "6 FLOPs a parameter are assumed" in run.notes[0]
    assert math.isnan(run.losses.bits_at(0))


def test_an_interrupted_run_counts_what_it_wrote_last(tmp_path):
    rows = [{"tokens": 5, "loss": 3.0}, {"tokens": 9, "loss": 2.0}, {"tokens": 5, "loss": 2.5}, [1], {"tokens": 7}]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    losses = read_losses(tmp_path / "metrics.jsonl")
    assert losses.train == {5: 2.5, 9: 2.0}
    assert losses.bits_per_byte == {}


def breaks(name):
    """What may be wrong with a run."""

    def change(folder):
        place = folder / "checkpoints" / "tokens-1000"
        config = json.loads((place / "config.json").read_text())
        if name == "size":
            (place / "config.json").write_text(json.dumps(config | {"hidden_size": 48}))
        elif name == "cut":
            (place / "config.json").write_text("{")
        elif name == "weights":
            (place / "model.safetensors").unlink()
        elif name == "tokenizer":
            words = json.loads((place / "tokenizer.json").read_text())
            words["model"]["vocab"]["another"] = 63
            (place / "tokenizer.json").write_text(json.dumps(words))
        elif name == "empty":
            shutil.rmtree(folder / "checkpoints")
        elif name == "run.json":
            (folder / "run.json").write_text("{")

    return change


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("size", BackboneError, "tokens-1000 is of another configuration than tokens-0: hidden_size is 48 and was 32"),
        ("cut", BackboneError, "tokens-1000 cannot be read"),
        ("weights", BackboneError, "tokens-1000 cannot be read"),
        ("tokenizer", BackboneError, "tokens-1000 has another tokenizer than tokens-0"),
        ("empty", SettingError, "holds no checkpoints"),
        ("run.json", SettingError, "run.json holds no facts of a pretraining run"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_before_any_work(tmp_path, name, error, words):
    folder = write_run(tmp_path / "run", (0, 1000))
    breaks(name)(folder)
    with pytest.raises(error, match=words):
        tw.trace(folder, planted_task(20, 10))
    assert not (folder / "trace").exists()


def test_other_numbers_in_a_configuration_are_told_from_notes_of_the_library(tmp_path):
    folder = write_run(tmp_path / "run", (0, 1000))
    path = folder / "checkpoints" / "tokens-1000" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"transformers_version": "0", "dtype": "bfloat16"}))
    assert read_run(folder).tokens == [0, 1000]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [("ends", (0, 100, 10_000)), ("last", (10_000,)), ("all", (0, 10, 100, 9000, 10_000)), ("none", ()),
     ("9_000,0", (0, 9000))],
)  # fmt: skip
def test_which_checkpoints_are_adapted(wish, expected):
    assert choose_adapted(wish, [0, 10, 100, 9000, 10_000]) == expected


def test_the_ends_of_a_short_run():
    assert choose_adapted("ends", [0]) == (0,)
    assert choose_adapted("ends", [0, 5]) == (0, 5)
    assert choose_adapted("ends", [5]) == (5,)


def test_wishes_that_cannot_be_met():
    with pytest.raises(SettingError, match="'frst' is not understood; choose ends, last, all, none, or tokens"):
        choose_adapted("frst", [0, 10])
    with pytest.raises(SettingError, match="a checkpoint of 7 tokens; there are 0, 10"):
        choose_adapted("7", [0, 10])
    with pytest.raises(SettingError, match="did you mean 'steps'"):
        budget({"stps": 3}, None)
    with pytest.raises(SettingError, match="LoRA with long chunks would read something else; leave long out"):
        budget({"long": "chunks"}, None)


def test_a_task_is_given_once(tmp_path):
    folder = write_run(tmp_path / "run", (0,))
    with pytest.raises(SettingError, match="two of the tasks are called 'planted'"):
        tw.trace(folder, [planted_task(20, 10), planted_task(30, 10)])
    with pytest.raises(SettingError, match="at least one task"):
        tw.trace(folder, [])


def test_a_trace_says_all_there_is(traced):
    result, home = traced
    rows = result.table()
    assert list(rows["tokens"]) == [0, 1000, 8000]
    assert list(rows["flops"]) == [0, 1e8, 8e8]
    assert (
        rows[["probe_f1", "lora_f1", "scratch_f1", "bow_f1", "bits_per_byte", "logme", "last_ntps"]]
        .notna()
        .all(axis=None)
    )
    assert (rows["probe_f1_low"] <= rows["probe_f1"]).all()
    assert rows["bow_f1"].nunique() == rows["scratch_f1"].nunique() == 1
    (task,) = result.tasks
    assert {(one["route"], one["reference"]) for one in task["crossings"]} == {
        (route, reference) for route in ("probe", "lora") for reference in ("bow", "scratch", "both")
    }
    assert task["verdict"]["answer"] in ("yes", "no", "unclear", "without")
    assert task["costs"]["scratch"] > task["costs"]["lora"] > 0  # LoRA leaves most weights without gradients
    assert result.settings["config"]["steps"] == SHORT["steps"]
    saved = home / "run" / "trace"
    pd.testing.assert_frame_equal(pd.read_parquet(saved / "trace.parquet"), rows)
    assert json.loads(Trace.load(saved).to_json()) == json.loads(result.to_json())
    assert not list((saved / "work").glob("*"))
    with pytest.raises(TokenworthError, match="holds no trace"):
        Trace.load(home)


def test_the_probe_of_a_trace_is_that_of_assess(traced):
    result, home = traced
    alone = tw.assess(str(home / "run" / "checkpoints" / "tokens-1000"), str(home / "reviews.csv"))
    row = result.table().iloc[1]
    assert row["probe_f1"] == pytest.approx(alone.summary()["best_probe_f1"], abs=1e-9)
    assert row["best_layer"] == alone.best_layer
    assert row["logme"] == pytest.approx(alone.row()["logme"], rel=1e-6)
    assert row["bow_f1"] == pytest.approx(alone.summary()["bow_f1"], abs=1e-9)


def test_the_lora_of_a_trace_is_that_of_adapt(traced):
    result, home = traced
    task, settings = tw.load_task(str(home / "reviews.csv")), {**SHORT, "mislabelled": False}
    runs = [
        tw.adapt(str(home / "run" / "checkpoints" / "tokens-8000"), task, "lora", seed=seed,
                 config=settings).metrics["weighted_f1"]
        for seed in (0, 1)
    ]  # fmt: skip
    assert result.table().iloc[2]["lora_f1"] == pytest.approx(sum(runs) / 2, abs=1e-9)


def test_nothing_that_is_finished_is_made_again(traced):
    result, home = traced
    before = stamps(home / "run" / "trace")
    assert len(before) == 1 + 3 + 2 + 3 * 2  # bow, assessments, scratch, LoRA
    begun = []
    again = tw.trace(home / "run", str(home / "reviews.csv"), config=SHORT, seeds=2, started=begun.append)
    assert begun == []
    assert stamps(home / "run" / "trace") == before
    assert again.to_json() == result.to_json()


def test_a_run_that_went_on_costs_only_its_new_checkpoints(traced, tmp_path):
    _, home = traced
    shutil.copytree(home / "run", tmp_path / "run")
    copy_checkpoint(tmp_path / "run", 1000, 64_000)
    path = tmp_path / "run" / "trace" / "cells"
    damaged = next(file for file in path.iterdir() if '"kind": "bow"' in file.read_text())
    damaged.write_text(damaged.read_text()[:100])
    begun = []
    found = tw.trace(
        tmp_path / "run", str(home / "reviews.csv"), config=SHORT, seeds=2, adapt="last", started=begun.append
    )
    assert begun == []  # the weights of 64,000 are those of 1,000: what was found of them is of their content
    assert [row["tokens"] for row in found.rows] == [0, 1000, 8000, 64_000]
    assert [row["lora_f1"] is None for row in found.rows] == [True, True, True, False]
    assert found.rows[1]["probe_f1"] == found.rows[3]["probe_f1"]
    assert {one["route"] for one in found.tasks[0]["fits"]} == set()


def test_without_adaptation_the_bag_of_words_is_what_there_is_to_beat(tmp_path):
    run = write_run(tmp_path / "run", (0, 1000))
    found = tw.trace(run, planted_task(40, 30), adapt="none", cache=False)
    assert {one["reference"] for one in found.tasks[0]["crossings"]} == {"bow"}
    assert found.table()["scratch_f1"].isna().all()
    assert "scratch" not in found.tasks[0]["references"]
    write_report(found, tmp_path / "page.html")


def test_the_length_of_loras_settings_is_that_of_the_assessments(tmp_path):
    run = write_run(tmp_path / "run", (0, 1000))
    write_rows(tmp_path / "reviews.csv", rows_of(planted_task(60, 40)))
    named = {"in_config": {"config": {"max_length": 4}}, "asked": {"max_length": 4}, "whole": {}}
    found = {
        name: [(row["probe_f1"], row["ntps"]) for row in tw.trace(
            run, str(tmp_path / "reviews.csv"), adapt="none", out=tmp_path / name, cache=False, **given
        ).rows]
        for name, given in named.items()
    }  # fmt: skip
    assert found["in_config"] == found["asked"]
    assert found["in_config"] != found["whole"]


def test_a_trace_stays_in_the_format_it_was_begun_in(tmp_path, auto):
    """Its checkpoints are compared with each other, so one more is not computed in another format."""
    task, both = planted_task(40, 30), (0, 1000)
    auto("bfloat16")
    write_run(tmp_path / "run", both)
    whole = tw.trace(tmp_path / "run", task, adapt="none", cache=False).table()
    cells, weights = tmp_path / "run" / "trace" / "cells", read_run(tmp_path / "run").checkpoints[-1].fingerprint
    (last,) = [path for path in cells.iterdir() if json.loads(path.read_text())["cell"]["weights"] == weights]
    last.unlink()
    auto("float32")
    again = tw.trace(tmp_path / "run", task, adapt="none", cache=False).table()
    pd.testing.assert_series_equal(again["logme"], whole["logme"])
    assert json.loads(last.read_text())["found"]["dtype"] == "bfloat16"
    wide = tw.trace(tmp_path / "run", task, adapt="none", cache=False, out=tmp_path / "other").table()
    assert (wide["logme"] != whole["logme"]).any()


def begin(home):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tokenworth", "trace", "run", "reviews.csv", *OPTIONS]
    return subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


OPTIONS = ["--steps", "6", "--lr", "1e-3", "--rank", "4", "--seeds", "2"]


@pytest.mark.slow
def test_the_command_line_goes_on_after_a_kill(traced, tmp_path):
    """Killed when the first part is kept; the same command ends with the numbers of an undisturbed run."""
    result, home = traced
    write_run(tmp_path / "run")
    shutil.copy(home / "reviews.csv", tmp_path)
    process, cells = begin(tmp_path), tmp_path / "run" / "trace" / "cells"
    deadline = time.monotonic() + 240
    while not list(cells.glob("*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = stamps(tmp_path / "run" / "trace")
    assert kept
    done = tokenworth("trace", "run", "reviews.csv", *OPTIONS, cwd=tmp_path)
    assert done.code == 0, done.err
    after = stamps(tmp_path / "run" / "trace")
    assert {path: after[path] for path in kept if path.suffix == ".json"} == {
        path: stamp for path, stamp in kept.items() if path.suffix == ".json"
    }
    found = Trace.load(tmp_path / "run" / "trace")
    assert found.rows == json.loads(result.to_json())["rows"]
    assert (tmp_path / "run" / "trace" / "trace.html").stat().st_size > 1_000_000
    assert "reviews" in done.out
    assert result.sentences[0] in done.out
    assert not [line for line in done.err.splitlines() if "Warning" in line]


def test_json_and_mistakes_of_the_command_line(traced):
    _, home = traced
    done = tokenworth("trace", "run", "reviews.csv", *OPTIONS, "--json", "--quiet", cwd=home)
    assert done.code == 0
    assert json.loads(done.out)["run"]["tokens"] == 8000
    assert done.err == ""
    wrong = tokenworth("trace", "run", "reviews.csv", "--adapt", "12", "--out", "elsewhere", cwd=home)
    assert wrong.code == 2
    assert wrong.err == "tokenworth: --adapt names a checkpoint of 12 tokens; there are 0, 1000, 8000\n"


@pytest.mark.parametrize("tokens", [[0], [5000], [0, 12_345], [700, 800, 900]])
def test_short_runs_have_a_page_too(tokens, tmp_path):
    run = planted_run(tokens)
    part = planted_part(run, probe=lambda _tokens: 0.6, bow=0.9, n_test=100)
    html = write_report(planted_trace([part], run), tmp_path / "trace.html").read_text(encoding="utf-8")
    assert part.task["verdict"]["answer"] == "no"
    assert part.task["fits"] == part.task["relations"] == []
    assert "Which score follows" not in html


def test_what_random_weights_do_as_well_is_said_to_gain_by_pretraining():
    part = planted_part(planted_run(), probe=rising(0.75, 0.05), bow=0.6)
    assert part.task["verdict"]["answer"] == "yes"
    assert "yes, though the linear probe is ahead of the bag of words" in part.task["sentences"][0]
    assert "tokens of pretraining add 0.1" in part.task["sentences"][0]


def test_a_folder_that_is_none():
    with pytest.raises(SettingError, match="nowhere is no folder"):
        read_run("nowhere")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three answers, one of them for a task with a hostile name."""
    run = planted_run()
    parts = [
        planted_part(run, probe=rising(0.55, 0.06), lora=rising(0.6, 0.1), name=PWNED),
        planted_part(run, probe=rising(0.55, 0.03), bow=0.9, name="no"),
        planted_part(run, probe=rising(0.55, 0.06), bow=0.74, name="unclear", seed=4),
        planted_part(run, probe=lambda _tokens: 0.8, bow=0.6, name="without", seed=1),
    ]
    trace = planted_trace(parts, run)
    return trace, write_report(trace, tmp_path_factory.mktemp("page") / "trace.html")


def test_the_answers_are_in_the_first_sentences(page):
    trace, _ = page
    assert [task["verdict"]["answer"] for task in trace.tasks] == ["yes", "no", "unclear", "without"]
    assert trace.sentences[0].startswith("10 M tokens of next-token pretraining were worth their cost on 1 of 4 tasks")
    yes, no, unclear, without = trace.sentences[1:]
    assert "yes, after about" in yes
    assert "From there on LoRA stays above both the bag of words and training from random weights" in yes
    assert "no, not within this run of 10 M tokens" in no
    assert "cannot tell" in unclear
    assert "already with random weights" in without
    fit = next(one for one in trace.tasks[0]["fits"] if one["route"] == "probe")
    assert fit["points"] == 7


def test_the_page_draws_switches_and_asks_for_nothing(page, tmp_path):
    _, path = page
    with chromium(tmp_path / "profile") as driver:
        open_page(driver, path)
        assert set(charts(driver)) == {f"chart-trace-{i}" for i in range(4)}
        assert all(charts(driver).values())
        text = "return document.querySelector('#chart-trace-0 .xtitle').textContent"
        ticks = (
            "return [...document.querySelectorAll('#chart-trace-0 .xtick text')].map((one) => one.textContent"
            ".replaceAll('\\u200b', ''))"
        )
        assert driver.execute_script(text) == "pretraining tokens"
        assert driver.execute_script(ticks) == ["0", "10 k", "100 k", "1 M", "10 M"]
        driver.find_element("css selector", "button[data-axis=flops]").click()
        resize(driver, width=1280)
        assert driver.execute_script(text) == "pretraining FLOPs"
        assert driver.execute_script(ticks) == ["0", "1012", "1013", "1014"]  # exponents stand raised
        driver.find_element("css selector", "button[data-axis=tokens]").click()
        resize(driver, width=1280)
        assert driver.execute_script(text) == "pretraining tokens"
        assert complaints(driver) == []
        assert requests(driver) == []
        assert driver.execute_script("return window.pwned") is None
        assert cut_charts(driver) == {1300: [], 800: [], 400: []}
        for width in (1280, 400):
            resize(driver, width=width)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
