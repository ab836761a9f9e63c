"""What the commands say: bad input in one sentence each, options that are misused, lists, and progress.

Run in this process; exit codes are those of main(), which is all that a new process would add.
"""

import io
import json
import shutil
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from rich.progress import Progress
from safetensors.torch import load_file, save_file

import tokenworth.report.terminal.progress as console
from planted import planted_task, rows_of, write_rows
from small_models import WORDS, write_folder
from tokenworth.backbones import PACKAGED
from tokenworth.backbones import PUBLISHED as BACKBONES
from tokenworth.cli import main
from tokenworth.tasks import PUBLISHED as TASKS


@pytest.fixture
def tokenworth(monkeypatch, capsys):
    """Runs a command line: exit code and what it wrote."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tokenworth", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        streams = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code or 0, out=streams.out, err=streams.err)

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("task") / "reviews.csv", rows_of(planted_task(40, 20)))


def assess(tokenworth, task, model, *options):
    return tokenworth("assess", task, "--model", model, "--dtype", "float32", "--layers", "last", *options)


def sentence(done, code=1):
    """The one line a failing command ends with."""
    assert done.code == code, done.err
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("tokenworth: ")
    return lines[0].removeprefix("tokenworth: ")


# --- tasks that cannot be used


A, B = [(f"{word} w1", "a") for word in WORDS[:9]], [(f"{word} w2", "b") for word in WORDS[:9]]


@pytest.mark.parametrize(
    ("rows", "options", "parts"),
    [
        ([*A, *B], ["--text", "body"], ["has no column 'body'; its columns are 'text', 'label'"]),
        ([*A, *B], ["--label", "stars"], ["has no column 'stars'; its columns are 'text', 'label'"]),
        ([*A, *B], ["--group", "author"], ["has no column 'author'"]),
        (A, [], ["every row has the label 'a'", "a task needs two classes"]),
        ([*A, *B, ("w3", "c")], [], ["fewer than two training texts in class 'c'", "add texts, or remove or merge"]),
        ([*A, *B, ("w3", "")], [], ["reviews.csv, line 20: the label is missing"]),
        ([*A, *B], ["--test", "gone.csv"], ["gone.csv: no such file"]),
    ],
    ids=["text column", "label column", "group column", "one class", "lone text", "no label", "no test file"],
)
def test_a_task_that_cannot_be_used(tokenworth, model, tmp_path, rows, options, parts):
    said = sentence(assess(tokenworth, write_rows(tmp_path / "reviews.csv", rows), model, *options))
    for part in parts:
        assert part in said


def test_bytes_that_are_not_utf8(tokenworth, model, tmp_path):
    path = tmp_path / "old.csv"
    path.write_bytes("text,label\nfine,a\ncaf\xe9,b\n".encode("latin1"))
    said = sentence(assess(tokenworth, path, model))
    assert "old.csv, line 3: byte 0xe9" in said
    assert "iconv -f windows-1252 -t utf-8" in said


def test_a_test_label_that_train_never_saw(tokenworth, model, tmp_path):
    train = write_rows(tmp_path / "train.csv", [*A, *B])
    test = write_rows(tmp_path / "test.csv", [("w1", "a"), ("w2", "z")])
    said = sentence(assess(tokenworth, train, model, "--test", test))
    assert "test.csv, line 3: test label 'z' does not occur in train" in said


def test_empty_and_long_texts_are_counted(tokenworth, model, tmp_path):
    texts = [*A, *B, ("", "a"), (" ".join(WORDS), "b")]
    folder = tmp_path / "task"
    folder.mkdir()
    write_rows(folder / "train.csv", texts)
    write_rows(folder / "test.csv", texts)
    done = assess(tokenworth, folder, model, "--json")
    assert done.code == 0, done.err
    task = json.loads(done.out)["task"]
    assert task["counts"]["empty"] == {"train": 1, "test": 1}
    assert task["counts"]["overlap"] == 20
    assert any("1 training and 1 test texts are empty; they are kept" in note for note in task["notes"])
    assert {name: task["tokens"]["train"][name] for name in ("truncated", "empty", "max")} == {
        "truncated": 1, "empty": 1, "max": 40,
    }  # fmt: skip


# --- backbones that cannot be used


def damaged(model, tmp_path, change):
    folder = shutil.copytree(model, tmp_path / "damaged")
    change(folder / "model.safetensors")
    return folder


def _cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def _garbage(path):
    path.write_bytes(b"\xff" * 4000)


def _nan(path):
    weights = load_file(path)
    weights["layers.0.mlp.down_proj.weight"][3, 3] = torch.nan
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (_cut, ["damaged/model.safetensors is corrupted or cut short (", "fetch it again"]),
        (_garbage, ["damaged/model.safetensors is corrupted or cut short (4,000 bytes", "fetch it again"]),
        (
            _nan,
            [
                "the weights of ",
                "damaged are NaN or infinite in float32 (layers.0.mlp.down_proj.weight)",
                "fetch the files",
            ],
        ),
        (lambda path: path.unlink(), ["damaged has no weights", "@random"]),
        (lambda path: (path.parent / "tokenizer.json").unlink(), ["tokenizer"]),
    ],
    ids=["cut short", "garbage", "NaN", "no weights", "no tokenizer"],
)
def test_a_backbone_that_cannot_be_used(tokenworth, model, reviews, tmp_path, change, parts):
    said = sentence(assess(tokenworth, reviews, damaged(model, tmp_path, change)))
    for part in parts:
        assert part in said


def test_no_network_says_what_to_bring(tokenworth, reviews, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = sentence(assess(tokenworth, reviews, "nobody/such-model"))
    assert "nobody/such-model is no folder here" in said
    assert "bring a folder with config.json, model.safetensors and tokenizer.json" in said
    assert "https://huggingface.co/nobody/such-model" in said


def test_a_tokenizer_without_padding_token_works(tokenworth, reviews, tmp_path):
    assert assess(tokenworth, reviews, write_folder(tmp_path / "m", "llama", pad=None), "--json").code == 0


@pytest.mark.formats
def test_all_backbones_failing_is_a_failure(tokenworth, reviews, model, tmp_path):
    done = tokenworth("rank", reviews, tmp_path / "gone", damaged(model, tmp_path, _cut), "--quiet")
    assert done.code == 1
    assert len([line for line in done.out.splitlines() if "failed:" in line]) == 2
    last = done.err.splitlines()[-1]
    assert last.startswith("tokenworth: no backbone could be assessed: ")
    assert "gone" in last
    assert "cut short" in last


def test_rank_goes_on_after_a_failure(tokenworth, reviews, model, tmp_path):
    broken, missing = damaged(model, tmp_path, _cut), f"{tmp_path}/{'nowhere-' * 12}/at-all"
    done = tokenworth("rank", reviews, broken, model, missing, f"{model}@random", "--layers", "0", "--dtype", "float32")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert len([line for line in lines if "failed:" in line and "corrupted or cut short" in line]) == 1
    assert len([line for line in lines if "failed:" in line and f"there is no folder {missing}" in line]) == 1
    placed = [line.split()[:2] for line in lines if line.split()[:1] in (["1"], ["2"])]
    assert [place for place, _ in placed] == ["1", "2"]
    assert {name for _, name in placed} == {"llama", "llama@random"}
    announced = [line for line in done.err.splitlines() if line.startswith("assessing ")]
    assert announced == [f"assessing {name}" for name in (broken, model, missing, f"{model}@random")]


# --- misuse


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--layers", "99"], "layer 99 does not exist; this backbone has layers 0 (embedding output) to 3"),
        (["--layers", "top"], "layers 'top' are not understood; write all, last, 0,3,6 or 0-6"),
        (["--pooling", "foo"], "pooling 'foo' is not understood; choose one of auto, mean, last, cls, last+mean"),
        (["--prefix", "foo"], "prefix 'foo' is not understood; choose one of sum, mean"),
        (["--dtype", "foo"], "'foo'"),
        (["--device", "foo"], "choose one of auto"),
        (["--max-length", "1000"], "max_length 1000 exceeds the 40 tokens"),
        (["--test", "1.5"], "test = 1.5: give a share of the rows between 0 and 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_value_is_misuse(tokenworth, reviews, model, options, part):
    assert part in sentence(assess(tokenworth, reviews, model, *options), code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["assess", "x.csv", "--model", "m", "--nonsense"],
        ["assess", "x.csv"],
        ["assess", "x.csv", "--model", "m", "--max-texts", "1"],
        ["assess", "x.csv", "--model", "m", "--seed", "one"],
        ["rank", "x.csv"],
        ["frobnicate"],
    ],
    ids=" ".join,
)
def test_what_the_parser_refuses_is_misuse(tokenworth, arguments):
    done = tokenworth(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: tokenworth" in done.err


def test_rank_refuses_bad_values_before_it_starts(tokenworth, reviews, model):
    said = sentence(tokenworth("rank", reviews, model, "--pooling", "foo"), code=2)
    assert "pooling 'foo'" in said


@pytest.mark.parametrize("command", ["assess", "rank"])
def test_results_that_cannot_be_written(tokenworth, reviews, model, tmp_path, command):
    (tmp_path / "file").touch()
    arguments = [reviews, "--model", model] if command == "assess" else [reviews, model]
    said = sentence(tokenworth(command, *arguments, "--quiet", "--out", tmp_path / "file" / "below"))
    assert f"{tmp_path / 'file' / 'below'} cannot be written (Not a directory)" in said
    assert "--out" in said


def test_an_interrupted_command_is_a_failure(tokenworth, reviews, model, monkeypatch):
    def interrupt(*_args, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("tokenworth.assessment.assess_task.gather_features", interrupt)
    done = assess(tokenworth, reviews, model)
    assert done.code not in (0, 2)
    assert "Traceback" not in done.err


# --- what one may ask for


def test_options_reach_the_assessment(tokenworth, reviews, model, tmp_path):
    done = tokenworth(
        "assess", reviews, "--model", f"{model}@random", "--layers", "0,2", "--pooling", "last", "--prefix", "mean",
        "--dtype", "bfloat16", "--max-texts", "16", "--max-length", "5", "--batch-tokens", "64", "--seed", "3",
        "--conventions", "--drop-overlap", "--test", "0.5", "--text", "text", "--label", "label", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    wanted = {"layers": [0, 2], "pooling": "last", "prefix": "mean", "max_length": 5, "batch_tokens": 64,
              "conventions": True, "seed": 3}  # fmt: skip
    assert {name: found["settings"][name] for name in wanted} == wanted
    assert found["task"]["seed"] == 3
    assert found["task"]["texts"] == {"train": 16, "test": 16}
    assert found["backbone"]["random"]
    assert found["backbone"]["dtype"] == "bfloat16"
    assert "ntps_published" in found["layers"][0]
    assert any("removed because they also stand in test" in note for note in found["task"]["notes"])


def test_reasons_that_hold_for_several_layers_are_said_once(tokenworth, reviews, model):
    done = tokenworth("assess", reviews, "--model", model, "--pooling", "last+mean", "--dtype", "float32", "--quiet")
    said = [line for line in done.out.splitlines() if line.startswith("! ") and "changes the width" in line]
    assert len(said) == 3
    assert all(", layers 0 to 3: " in line for line in said)


def test_tasks_and_backbones_are_listed(tokenworth):
    tasks, backbones = {*TASKS, "docstrings", "docstring-kinds", "docstring-sections"}, {*BACKBONES, *PACKAGED}
    for command, known in (("tasks", tasks), ("backbones", backbones)):
        as_json = json.loads(tokenworth(command, "--json").out)
        assert {row["name"] for row in as_json} == known
        lines = tokenworth(command).out.splitlines()
        assert len(lines) == len(known) + 1  # one row a line, however wide, and the heads
        assert lines[0].startswith("name")
        assert {line.split()[0] for line in lines[1:]} == known


@pytest.mark.formats
def test_doctor_says_what_auto_would_choose(tokenworth, monkeypatch):
    facts = json.loads(tokenworth("doctor", "--json").out)
    assert facts["device auto"] in ("cpu", "cuda", "mps")
    assert facts["dtype auto"] in ("float32", "bfloat16")
    assert facts["torch"] == version("torch")  # torch.__version__ adds what it was built for
    monkeypatch.setenv("TOKENWORTH_DATA", "/data/tasks")
    lines = tokenworth("doctor").out.splitlines()
    assert lines.index("") == len(facts) - 1, "a line a fact, and below them what they mean"
    assert lines[-1].startswith("- ")
    assert facts["said"][0].startswith("A pass over 1,000 texts")
    assert "published tasks read from  /data/tasks" in lines


# --- progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(console, "perf_counter", clock)
    return clock


def test_without_a_terminal_progress_is_a_line_every_ten_seconds(clock, capsys):
    with console.progress_report(quiet=False) as report:
        for step in range(1, 26):  # a report a second, 40 tokens each
            report("train", 40 * step, 1000)
            clock.now += 1
        report("test", 500, 600)  # the first report of a part says nothing of its rate
        clock.now += 20
        report("test", 600, 600)
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.splitlines() == [
        "train: 44%, 40/s, 14 s left",
        "train: 84%, 40/s, 4 s left",
        "test: 100%, 5/s, 0 s left",
    ]


def test_on_a_terminal_progress_is_a_bar(clock, monkeypatch):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    whole = console._bar

    def on_screen():
        return Progress(*whole().columns, console=terminal, transient=True, auto_refresh=False)

    monkeypatch.setattr(console, "_bar", on_screen)
    with console.progress_report(quiet=False) as report:
        for part, total in (("train", 400), ("test", 200)):
            for done in (100, 200):
                report(part, done, total)
                clock.now += 2
        report.bar.refresh()
    assert "test" in screen.getvalue()
    assert "100%" in screen.getvalue()
    assert "50/s" in screen.getvalue()


def test_quiet_has_no_progress():
    with console.progress_report(quiet=True) as report:
        assert report is None
