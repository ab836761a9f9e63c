"""tokenworth trace along checkpoints that no run of ours left: lists, patterns, revisions of a hub id."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tokenworth as tw
from commands import tokenworth
from planted import planted_task, rows_of, write_rows
from tokenworth.encode.text_loss import loss_of
from tokenworth.errors import BackboneError, SettingError
from tokenworth.report import write_report
from tokenworth.settings import make
from tokenworth.tracing import CheckpointChoice, Trace, read_run
from tokenworth.tracing.checkpoint_sources import default_folder, split_places
from tokenworth.tracing.token_counts import count_tokens, without_count
from traces import SHORT, write_hub, write_run

pytestmark = pytest.mark.formats
HUB_ID = "someone/tiny"
ADAPTING = {"adapt": "last", "config": {**SHORT, "steps": 3}}
SAME = ("tokens", "probe_f1", "lora_f1", "bow_f1", "scratch_f1", "best_layer", "logme", "text_bits_per_byte")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """RUN of ours, the same checkpoints under names of others, the same in a hub's cache, a task and a text."""
    home = tmp_path_factory.mktemp("checkpoints")
    places = write_run(home / "run", (1000, 8000)) / "checkpoints"
    for tokens, step in ((1000, 10), (8000, 80)):
        shutil.copytree(places / f"tokens-{tokens}", home / "theirs" / f"step{step}")
    write_hub(home / "cache", HUB_ID, {f"step{step}": home / "theirs" / f"step{step}" for step in (10, 80)})
    write_rows(home / "reviews.csv", rows_of(planted_task(40, 30)))
    (home / "held_out.txt").write_text("\n\n".join(planted_task(30, 30).test.texts))
    return home


@pytest.fixture
def hub(home, monkeypatch):
    """The cache is the one that the library looks into."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for module in ("huggingface_hub", "huggingface_hub._snapshot_download"):
        monkeypatch.setattr(f"{module}.constants.HF_HUB_CACHE", str(home / "cache" / "hub"))
    return home


@pytest.fixture(scope="module")
def traced(home):
    """Along the run of ours."""
    return tw.trace(home / "run", planted_task(40, 30), cache=False, **ADAPTING)


def figures(trace):
    return [[row[name] for name in SAME] for row in trace.rows]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("tokens-1000", 1000),
        ("run/checkpoints/tokens_12_070_912", 12_070_912),
        ("wikinovels-14m-1Mtokens", 1_000_000),
        ("stage1-step1000-tokens4B", 4_000_000_000),
        ("ingredient-2.5Btokens", 2_500_000_000),
        ("2T-tokens", 2_000_000_000_000),
        ("step1000", 2_097_152_000),
        ("out/checkpoint-500", 500 * 2_097_152),
        ("global_step3", 3 * 2_097_152),
        ("step2k", 2000 * 2_097_152),
    ],
)
def test_tokens_are_read_from_names(name, tokens):
    assert count_tokens([name], CheckpointChoice(tokens_per_step=2_097_152)) == [tokens]


@pytest.mark.parametrize(
    ("names", "choice", "tokens"),
    [
        (["seen(4)B", "seen(12)B"], {"pattern": r"seen\((\d+)\)"}, [4, 12]),
        (["tokens4B", "tokens12B"], {"pattern": r"tokens(\d+)B"}, [4 * 10**9, 12 * 10**9]),
        (["v2/it-5", "v2/it-50"], {"pattern": r"-(\d+)", "tokens_per_step": 100}, [500, 5000]),
        (["early", "late"], {"tokens": "1003520,12.1M"}, [1_003_520, 12_100_000]),
        (["early", "late"], {"tokens": [5, 2_000_000_000]}, [5, 2 * 10**9]),
        (["step0"], {}, [0]),
    ],
)
def test_tokens_as_a_pattern_or_numbers_say(names, choice, tokens):
    assert count_tokens(names, make(CheckpointChoice, choice, "a trace has")) == tokens


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("seen.csv", "checkpoint,tokens\nearly,1000\nfolder/late,8k\nother,1\n"),
        ("seen.yaml", "early: 1_000\nfolder/late: 8k\n"),
    ],
)
def test_tokens_from_a_table(tmp_path, file, content):
    (tmp_path / file).write_text(content)
    choice = CheckpointChoice(tokens=(str(tmp_path / file),))
    assert count_tokens(["some/early", "folder/late"], choice) == [1000, 8000]
    with pytest.raises(SettingError, match=r"the tokens seen by a, b are unknown; .*seen"):
        count_tokens(["a", "early", "b"], choice)


def test_a_table_without_the_columns_is_told(tmp_path):
    (tmp_path / "seen.csv").write_text("name,count\na,1\n")
    with pytest.raises(SettingError, match="line 2: the columns checkpoint and tokens are needed; it has name, count"):
        count_tokens(["a"], CheckpointChoice(tokens=(str(tmp_path / "seen.csv"),)))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({}, "the names of a/step10, a/step20 say steps and not tokens; give tokens_per_step"),
        ({"tokens": ("1",)}, "tokens are given for 1 checkpoints and there are 3: a/step10, a/step20, final"),
        ({"tokens": ("1", "few", "-3")}, "the tokens seen by a/step20, final are unknown"),
        ({"tokens_per_step": 5}, "the tokens seen by final are unknown; give --tokens N,N"),
        ({"pattern": r"step(\d)0"}, "the tokens seen by final are unknown; the pattern 'step"),
    ],
)
def test_unknown_tokens_name_every_checkpoint(choice, words):
    with pytest.raises(SettingError) as caught:
        count_tokens(["a/step10", "a/step20", "final"], CheckpointChoice(**choice))
    assert words in str(caught.value)


@pytest.mark.parametrize("pattern", ["step", "(", r"(a)(\d)"])
def test_a_pattern_has_one_group(pattern):
    with pytest.raises(SettingError, match="is no regular expression with one group"):
        CheckpointChoice(pattern=pattern)


def test_two_ways_to_say_tokens_are_one_too_many():
    with pytest.raises(SettingError, match="leave out pattern and tokens_per_step"):
        CheckpointChoice(tokens=("1",), tokens_per_step=3)


def test_what_is_left_of_a_name():
    assert without_count("wikinovels-14m-1Mtokens") == "wikinovels-14m"
    assert without_count("step10") == without_count("tokens-5") == ""


def test_a_folder_a_pattern_and_a_list_are_the_same(home):
    by_steps, folder = CheckpointChoice(tokens_per_step=100), home / "theirs"
    runs = [
        read_run(places, by_steps) for places in (folder, str(folder / "step*"), [folder / "step80", folder / "step10"])
    ]
    ours = read_run(home / "run")
    for run in runs:
        assert run.tokens == [1000, 8000]
        assert [one.fingerprint for one in run.checkpoints] == [one.fingerprint for one in ours.checkpoints]
        assert [one.name for one in run.checkpoints] == ["step10", "step80"]
        assert run.name == "theirs"
        assert "no record" in run.notes[-1]
    assert "6 FLOPs a parameter are assumed" in runs[0].notes[0]


def test_where_a_trace_goes(home):
    theirs = home / "theirs"
    assert default_folder(home / "run") == home / "run" / "trace"
    assert default_folder([theirs / "step10", theirs / "step80"]) == Path("out/trace/theirs")
    assert default_folder("someone/tiny", ("a",)) == Path("out/trace/someone-tiny")


def test_what_of_a_command_line_is_a_checkpoint(home):
    early, late = (str(home / "theirs" / name) for name in ("step10", "step80"))
    assert split_places([early, late, "sst2", "a.csv"]) == ([early, late], ["sst2", "a.csv"])
    assert split_places([early, "sst2"]) == (early, ["sst2"])
    assert split_places([str(home / "run"), "sst2"]) == (str(home / "run"), ["sst2"])
    assert split_places(["someone/tiny", early]) == ("someone/tiny", [early])


THREE = {"tokens": ("1", "2", "3")}


@pytest.mark.parametrize(
    ("places", "choice", "error", "words"),
    [
        ("a b", {"tokens": ("5", "5")}, SettingError, ["/a and ", "/b have seen 5 tokens; give each checkpoint once"]),
        ("a b a", THREE, SettingError, ["/a is given more than once"]),
        ("a none no", {}, SettingError, ["/none, ", "/no: no folder with a config.json, so no checkpoint"]),
        ("a wide wider", THREE, BackboneError, ["/wide is of another configuration than a: ", "48", "/wider is", "64"]),
        (
            "a words b",
            THREE,
            BackboneError,
            ["/words has another tokenizer than a, so that tokens are not of one kind"],
        ),
        (
            "a bare empty",
            THREE,
            BackboneError,
            ["/bare cannot be read (", "; the checkpoint ", "/empty cannot be read"],
        ),
    ],
)
def test_mistakes_name_the_checkpoints(home, tmp_path, places, choice, error, words):
    names = places.split()
    for name in {*names} - {"none", "no"}:
        shutil.copytree(home / "theirs" / "step10", tmp_path / name)
    for name, width in (("wide", 48), ("wider", 64)):
        if name in names:
            path = tmp_path / name / "config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_size": width}))
    for name in {"bare", "empty"} & {*names}:
        (tmp_path / name / "model.safetensors").unlink()
    if "words" in names:
        path = tmp_path / "words" / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        tokenizer["model"]["vocab"]["another"] = 63
        path.write_text(json.dumps(tokenizer))
    with pytest.raises(error) as caught:
        read_run([tmp_path / name for name in names], CheckpointChoice(**choice))
    assert [part for part in words if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_a_run_is_no_number():
    with pytest.raises(SettingError, match="run must be a folder, a hub id or a list of folders, not 5"):
        tw.trace(["a", 5], "reviews.csv")


def test_a_setting_left_to_its_default_is_no_other_configuration(home, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(home / "theirs" / "step10", tmp_path / name)
    path = tmp_path / "b" / "config.json"
    stated = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in stated.items() if name != "attention_dropout"}))
    assert read_run([tmp_path / "a", tmp_path / "b"], CheckpointChoice(tokens=("1", "2"))).tokens == [1, 2]


def test_revisions_of_a_hub_id(hub, traced):
    """Read through the library's cache, with the numbers of the same weights in folders."""
    trace = tw.trace(
        HUB_ID, planted_task(40, 30), revisions="step80,step10", tokens_per_step=100, cache=False,
        out=hub / "of_hub", **ADAPTING,
    )  # fmt: skip
    assert figures(trace) == figures(traced)
    assert trace.run["name"] == HUB_ID
    assert "folder" not in trace.run
    assert [row["name"] for row in trace.checkpoints] == ["step10", "step80"]
    assert all(math.isnan(row["train_loss"]) for row in trace.checkpoints)
    assert "step80" in write_report(trace, hub / "of_hub" / "page.html").read_text(encoding="utf-8")


def test_revisions_that_are_missing_are_all_named(hub):
    with pytest.raises(BackboneError, match=r"^step7, step8 of someone/tiny: someone/tiny is .* cannot be reached"):
        read_run(HUB_ID, CheckpointChoice(revisions=("step10", "step7", "step8")))
    with pytest.raises(SettingError, match="revisions are those of one hub id"):
        read_run(hub / "run", CheckpointChoice(revisions=("step10",)))


def test_a_list_from_random_weights_with_held_out_losses(home, traced):
    places, text = [str(home / "theirs" / name) for name in ("step10", "step80")], home / "held_out.txt"
    begun = []
    options = {
        "tokens": "1000,8000", "random_start": True, "texts": text, "adapt": "none", "cache": False,
        "out": home / "listed", "started": begun.append,
    }  # fmt: skip
    trace = tw.trace(places, planted_task(40, 30), **options)
    assert [row["tokens"] for row in trace.rows] == [0, 1000, 8000]
    assert [row["probe_f1"] for row in trace.rows[1:]] == [row["probe_f1"] for row in traced.rows]
    twin = tw.assess(f"{places[0]}@random", planted_task(40, 30), cache=False)
    assert trace.rows[0]["probe_f1"] == pytest.approx(twin.summary()["best_probe_f1"], abs=1e-9)
    texts = text.read_text().split("\n\n")
    for row, place in zip(trace.checkpoints, (f"{places[0]}@random", *places), strict=True):
        assert row["bits_per_byte"] == pytest.approx(loss_of(place, texts)["bits_per_byte"], rel=1e-9)
        assert math.isnan(row["train_loss"])
    assert trace.run["held_out_sources"] == ["held_out.txt"]
    assert any("random weights drawn here" in note for note in trace.notes)
    assert any("Training loss, wall time and energy of this pretraining are not known" in note for note in trace.notes)
    assert "random weights" in {row.get("name") for row in trace.checkpoints}
    begun.clear()
    tw.trace(places, planted_task(40, 30), **options)
    assert begun == []


def command(home, out):
    return [
        "trace", str(home / "theirs" / "step10"), str(home / "theirs" / "step80"), str(home / "reviews.csv"),
        "--tokens-per-step", "100", "--random-start", "--adapt", "none", "--out", str(out),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_list_goes_on_after_a_kill(home, tmp_path):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenworth", *command(home, tmp_path / "out")], cwd=tmp_path, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    cells, deadline = tmp_path / "out" / "cells", time.monotonic() + 240
    while not list(cells.glob("*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    assert 0 < len(kept) < 4
    done = tokenworth(*command(home, tmp_path / "out"), cwd=tmp_path)
    assert done.code == 0, done.err
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert [row["tokens"] for row in Trace.load(tmp_path / "out").rows] == [0, 1000, 8000]
    assert (tmp_path / "out" / "trace.html").stat().st_size > 1_000_000
    assert "random weights drawn here" in done.out + done.err


def test_the_command_line_reads_revisions_from_hf_home(home):
    """In a process that starts from nothing, as the library reads HF_HOME when it is imported."""
    arguments = ["trace", HUB_ID, "reviews.csv", "--revisions", "step10,step99,step80,step98"]
    done = subprocess.run(
        [sys.executable, "-m", "tokenworth", *arguments], cwd=home, capture_output=True, text=True, check=False,
        env={**os.environ, "HF_HOME": str(home / "cache"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("tokenworth: step99, step98 of someone/tiny: ")
