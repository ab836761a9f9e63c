"""What is written and printed: links are not followed, disks are full, data drives neither terminal nor spreadsheet."""

import io
import json
import os
import resource
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from rich.text import Text

from planted import planted_task, rows_of, write_rows
from small_models import write_folder
from tokenworth.adaptation import adapt
from tokenworth.adaptation.storage.prediction_table import spreadsheet_safe, write_predictions
from tokenworth.base.atomic_files import read_table, whole_folder, write_json, write_table, write_text
from tokenworth.base.locks import only_writer
from tokenworth.cli import main
from tokenworth.corpus.engine.shard_store import whole, write_arrays
from tokenworth.encode import FeatureFile
from tokenworth.errors import TaskError, TokenworthError
from tokenworth.report.pages.rendering import write_page
from tokenworth.report.terminal.printable import Printable, PrintableStream, printable
from tokenworth.report.terminal.tables import plain_table, show
from tokenworth.scores.storage import save_moments
from tokenworth.tasks import load_task

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u202eevil"
SEEN = "[2J]0;owned31mevil"

# --- links


def _folder(path):
    with whole_folder(path, "it", "make room") as part:
        (part / "file").write_text("new")


WRITERS = {
    "text": (lambda path: write_text(path, "new"), ".part"),
    "table": (lambda path: write_table(path, pd.DataFrame({"a": [1]})), ".part"),
    "predictions.csv": (lambda path: write_predictions(pd.DataFrame({"a": [1]}), path), ".part"),
    "page": (lambda path: write_page("<html>", path), ".tmp"),
    "moments": (lambda path: save_moments(path, "k", {"a": torch.ones(1)}, {}), ".part"),
    "facts": (lambda path: write_json(path, {"a": 1}), ".part"),
    "corpus": (lambda path: whole(path, lambda part: part.write_text("new")), f".{os.getpid()}.part"),
}
FOLDERS = {
    "folder": (_folder, ".part"),
    "arrays": (lambda path: write_arrays(path, {"a": np.ones(1)}), f".{os.getpid()}.part"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_link_that_was_planted_is_not_followed(tmp_path, name):
    write, ending = WRITERS[name]
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / (name + ending)).symlink_to(victim)
    (tmp_path / name).symlink_to(victim)
    write(tmp_path / name)
    assert victim.read_text() == "precious"
    assert not (tmp_path / name).is_symlink()
    assert not (tmp_path / (name + ending)).exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_link_to_a_folder_is_not_followed(tmp_path, name):
    write, ending = FOLDERS[name]
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    (tmp_path / (name + ending)).symlink_to(victim)
    (tmp_path / name).symlink_to(victim)
    write(tmp_path / name)
    assert [path.name for path in victim.iterdir()] == ["precious"]
    assert (tmp_path / name).is_dir()
    assert not (tmp_path / name).is_symlink()


def test_links_in_the_places_of_features_and_locks(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "mean.npy.tmp").symlink_to(victim)
    FeatureFile.create(tmp_path, "mean", [0], 2, 3)
    (tmp_path / ".lock").symlink_to(victim)
    with pytest.raises(TokenworthError, match="cannot be written"), only_writer(tmp_path, ""):
        pass
    assert victim.read_text() == "precious"


# --- full disks


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_folder(home / "llama", "llama")
    write_rows(home / "reviews.csv", rows_of(planted_task(40, 20)))
    documents = [f"{text} number {i}" for i, (text, _) in enumerate(rows_of(planted_task(400, 100)))]
    (home / "texts.txt").write_text("\n\n".join(documents))
    (home / "corpus.yaml").write_text("name: c\nsources: {a: texts.txt}\nstages: {normalise: {}}\n")
    (home / "study.yaml").write_text("name: s\nbackbones: [llama]\ntasks: [reviews.csv]\nroutes: [bow]\n")
    (home / "tokenizer.yaml").write_text("kind: bpe\nvocabulary: 262\nsources: {a: texts.txt}\n")
    (home / "pretrain.yaml").write_text(
        "sources: {a: texts.txt}\ntokenizer: {kind: bpe, vocabulary: 262}\nmodel: {layers: 1, width: 16, heads: 2}\n"
        "training: {tokens: 4096, context: 32, batch: 4}\n"
    )
    return home


COMMANDS = {
    "bow": ["adapt", "reviews.csv", "--route", "bow", "--out", "OUT"],
    "full": ["adapt", "reviews.csv", "--model", "llama", "--route", "full", "--steps", "2", "--out", "OUT"],
    "assess": ["assess", "reviews.csv", "--model", "llama", "--out", "OUT", "--cache", "OUT/cache"],
    "pretrain": ["pretrain", "pretrain.yaml", "--out", "OUT"],
    "corpus": ["corpus", "build", "corpus.yaml", "--out", "OUT"],
    "study": ["study", "run", "study.yaml", "--out", "OUT", "--workers", "1"],
    "tokenizer": ["tokenizer", "train", "tokenizer.yaml", "--out", "OUT"],
}


def _on_a_full_disk(home, out, name, most_bytes):
    """The command where no file may have more bytes; its streams are pipes, which have no such limit."""
    arguments = [word.replace("OUT", str(out)) for word in COMMANDS[name]]
    # Python itself leaves half a .pyc where there is no room, and fails on it the next time.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tokenworth", *arguments, *(["--quiet"] if name != "tokenizer" else [])],
        cwd=home, env=environment, capture_output=True, text=True, timeout=300, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )  # fmt: skip


def _is_one_sentence(done):
    """A failure in one line that says what cannot be written and why."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("tokenworth: ")
    assert "cannot be written" in line
    assert "File too large" in line or "temporary directory" in line  # /tmp is full, too


@pytest.mark.parametrize("name", ["bow"])
def test_a_disk_that_is_full_at_the_first_file(home, tmp_path, name):
    """Once OSError 28 as a traceback."""
    _is_one_sentence(_on_a_full_disk(home, tmp_path / "out", name, 0))
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.slow
@pytest.mark.formats  # so that what auto means is known before the disk is full
@pytest.mark.parametrize("most_bytes", [0, 100, 3_000])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "study"])
def test_a_disk_that_is_full_sooner_or_later(home, tmp_path, name, most_bytes):
    _is_one_sentence(_on_a_full_disk(home, tmp_path / "out", name, most_bytes))


@pytest.mark.slow
@pytest.mark.formats  # so that what auto means is known before the disk is full
@pytest.mark.parametrize("most_bytes", [0, 100, 3_000])
def test_a_study_on_a_full_disk(home, tmp_path, most_bytes):
    done = _on_a_full_disk(home, tmp_path / "out", "study", most_bytes)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


# --- terminals


def test_printable_text_keeps_lines_and_every_script():
    assert printable("a\tb\nc") == "a\tb\nc"
    assert printable("हिन्दी 日本語 é 👩‍💻") == "हिन्दी 日本語 é 👩‍💻"
    assert printable(ESCAPES) == SEEN
    assert printable("\ud800") == "?"


@pytest.fixture
def tokenworth(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tokenworth", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_errors_do_not_drive_the_terminal(tokenworth, tmp_path):
    code, out, err = tokenworth("assess", tmp_path / f"no{ESCAPES}.csv", "--model", "x")
    assert (code, out) == (1, "")
    assert SEEN in err
    assert len(err.splitlines()) == 1
    for arguments in (["compare", ESCAPES, ESCAPES], ["backbones", ESCAPES], ["study", "status", ESCAPES], [ESCAPES]):
        code, out, err = tokenworth(*arguments)
        assert code
        assert not set(out + err) & set("\x1b\x07\x9b\x7f\u202e"), arguments


def test_predictions_printed_do_not_drive_terminal_or_spreadsheet(tokenworth, tmp_path):
    rows = [(text, {"class 0": ESCAPES, "class 1": "=1+1"}[label]) for text, label in rows_of(planted_task(40, 20))]
    adapt(None, load_task(str(write_rows(tmp_path / "t.csv", rows))), "bow", out=tmp_path / "run")
    write_rows(tmp_path / "new.csv", [(f"w10 w11 {ESCAPES}", ""), ("@w20 w21 w22", "")])
    code, out, err = tokenworth("predict", tmp_path / "run", tmp_path / "new.csv")
    assert code == 0, err
    assert not set(out) & set("\x1b\x07\x9b\x7f\u202e")
    printed = pd.read_csv(io.StringIO(out))
    assert printed["predicted"][0].endswith("31mevil")
    assert printed["predicted"][1] == "'=1+1"
    assert printed["text"][1] == "'@w20 w21 w22"
    code, out, _ = tokenworth("predict", tmp_path / "run", tmp_path / "new.csv", "--to", tmp_path / "p.jsonl")
    kept = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["predicted"] for row in kept] == [ESCAPES.replace("\u202e", ""), "=1+1"]


def test_styles_stay_where_there_is_a_terminal_and_escapes_of_data_do_not():
    table = plain_table("title")
    table.add_column(f"head {ESCAPES}")
    table.add_row(Text(f"cell {ESCAPES}"), style="bold")
    out = io.StringIO()
    show(table, Console(file=out, force_terminal=True, color_system="truecolor", width=80))
    assert "\x1b[1m" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
    assert SEEN in out.getvalue()
    assert list(Printable("x").__rich_console__(Console(), Console().options))


def test_a_stream_that_knows_only_ascii_gets_escapes():
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = PrintableStream(raw)
    assert stream.write("é\x1b") == 2
    stream.writelines(["a", "b"])
    raw.flush()
    assert raw.buffer.getvalue() == b"\\xe9ab"
    assert not hasattr(stream, "buffer")


# --- spreadsheets, and half pairs


def test_no_cell_is_a_formula_in_csv_and_all_are_as_they_were_elsewhere(tmp_path):
    table = pd.DataFrame(
        {"text": ["=1+1", "+cmd|' /C calc'!A0", "-2", "@x", "\tx", "plain", "a=b", ""], "f1": [-0.5] * 8}
    ).rename(columns={"f1": "=head"})
    safe = spreadsheet_safe(table)
    assert safe["text"].tolist() == ["'=1+1", "'+cmd|' /C calc'!A0", "-2", "'@x", "'\tx", "plain", "a=b", ""]
    assert list(safe.columns) == ["text", "'=head"]
    assert safe["'=head"].tolist() == [-0.5] * 8
    write_predictions(table, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet", "nothing"), table)
    write_predictions(table, tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv", dtype=str)["text"][0] == "'=1+1"


def test_half_a_character_in_a_class_name_is_said_before_any_work(tmp_path):
    """JSON can name it, UTF-8 cannot: once a UnicodeEncodeError when the run was done."""
    rows = rows_of(planted_task(40, 20))
    path = tmp_path / "half.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "label": f"{label}\udc00"}) for text, label in rows))
    with pytest.raises(TaskError, match=r"half\.jsonl, line 1: the label holds half a character"):
        load_task(str(path))


def test_half_a_character_elsewhere_is_written_as_a_question_mark(tmp_path):
    write_table(tmp_path / "t.parquet", pd.DataFrame({"a": pd.Series(["\ud800x", None], dtype=object)}))
    assert read_table(tmp_path / "t.parquet", "nothing")["a"][0] == "?x"
