"""The command line as a user meets it: a process, its exit code, its files and its two streams.

Starting one costs seconds, so each run here answers several questions; messages are tested in test_cli_messages.
"""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from planted import planted_task, rows_of, write_rows
from small_models import write_folder

COMMAND = [sys.executable, "-c", "from tokenworth.cli import main; main()"]
PWNED = "<script>window.pwned=1</script>"


def tokenworth(*arguments, cwd):
    """Streams are pipes, as in a script."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "40"}
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, timeout=300, check=False
    )
    return SimpleNamespace(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with reviews.csv, one class of which has a hostile name, and a model with a long path."""
    home = tmp_path_factory.mktemp("home")
    task = planted_task(60, 40)
    names = {"class 0": PWNED, "class 1": "good"}
    write_rows(home / "reviews.csv", [(text, names[label]) for text, label in rows_of(task)])
    folder = home / ("a-long-name-" * 8) / "model"
    folder.parent.mkdir()
    write_folder(folder, "llama")
    return home, folder


@pytest.fixture(scope="module")
def assessed(home):
    folder, model = home
    return tokenworth(
        "assess", "reviews.csv", "--model", model, "--dtype", "float32", "--out", "results/of a run", cwd=folder
    ), folder / "results" / "of a run"  # fmt: skip


def test_assess_writes_its_three_files(assessed):
    done, out = assessed
    assert done.code == 0, done.err
    assert {path.name for path in out.iterdir()} == {"assessment.json", "layers.parquet", "report.html"}
    data = json.loads((out / "assessment.json").read_text(encoding="utf-8"))
    assert len(pd.read_parquet(out / "layers.parquet")) == len(data["layers"]) == 4
    assert data["task"]["label_names"] == [PWNED, "good"]


def test_a_hostile_class_name_is_text_in_the_report(assessed):
    page = (assessed[1] / "report.html").read_text(encoding="utf-8")
    assert "window.pwned=1" in page
    assert PWNED not in page


def test_assess_prints_a_table_and_sentences_and_nothing_wraps(assessed):
    done, out = assessed
    lines = done.out.splitlines()
    rows = [line.split() for line in lines if line.lstrip("* ")[:1].isdigit()]
    assert [row[0].lstrip("*") for row in rows] == ["0", "1", "2", "3"]
    assert {len(row) for row in rows} == {10}
    assert sum("*" in row[0] for row in rows) == 1
    first = next(i for i, line in enumerate(lines) if line.startswith("- "))
    data = json.loads((out / "assessment.json").read_text(encoding="utf-8"))
    assert [line[2:] for line in lines[first:] if line.startswith("- ")] == data["sentences"]
    assert all(line.startswith(("- ", "! ")) for line in lines[first:])
    assert "\x1b" not in done.out


def test_words_about_the_work_go_to_standard_error(assessed):
    done, out = assessed
    assert "report" not in done.out
    assert f"report: {out.relative_to(out.parents[1]) / 'report.html'}" in done.err.splitlines()


def test_json_alone_on_standard_output_and_quiet_is_silent(home, assessed):
    folder, model = home
    done = tokenworth(
        "rank", "reviews.csv", model, "gone/at/all", f"{model}@random", "--layers", "0-1", "--dtype", "float32",
        "--out", "ranked", "--json", "--quiet", cwd=folder,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    ranking = json.loads(done.out)
    assert [row["rank"] for row in ranking["rows"]] == [1, 2, None]
    assert "there is no folder gone/at/all" in ranking["rows"][2]["failed"]
    assert {path.name for path in (folder / "ranked").iterdir()} == {"ranking.json", "ranking.parquet", "report.html"}
    # The same seed in another process gives the same numbers.
    saved = json.loads((assessed[1] / "assessment.json").read_text(encoding="utf-8"))
    found = next(each for each in ranking["assessments"] if each["backbone"]["name"] == "model")
    for name in ("ntps", "ntps_chance", "retained_auc_low", "hscore", "probe_accuracy", "cv_loss"):
        assert [row[name] for row in found["layers"]] == [row[name] for row in saved["layers"][:2]]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["gone.csv"], 1, "tokenworth: gone.csv: no such file or folder; "),
        (["reviews.csv", "--test", "1.5"], 2, "tokenworth: test = 1.5: give a share of the rows between 0 and 1"),
    ],
    ids=["failed", "misused"],
)
def test_an_error_is_one_line_and_an_exit_code(home, arguments, code, sentence):
    folder, model = home
    done = tokenworth("assess", *arguments, "--model", model, "--dtype", "float32", cwd=folder)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(sentence)
    assert len(done.err.splitlines()) == 1


def test_alone_it_says_where_to_begin(tmp_path):
    done = tokenworth(cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    for command in ("demo", "assess reviews.csv --model MODEL", "decide reviews.csv MODEL", "doctor", "--help"):
        assert f"tokenworth {command}" in done.out
    assert max(map(len, done.out.splitlines())) <= 120


def test_commands_and_options_are_completed_in_a_shell(tmp_path):
    (tmp_path / "completion.sh").write_text(tokenworth("completion", "bash", cwd=tmp_path).out, encoding="utf-8")
    asked = """
    source completion.sh
    COMP_WORDS=(tokenworth ass) COMP_CWORD=1; _tokenworth; echo "${COMPREPLY[@]}"
    COMP_WORDS=(tokenworth assess --poo) COMP_CWORD=2; _tokenworth; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["assess", "--pooling"], done.stderr


@pytest.mark.parametrize("words", [["decide", "m"], ["rank", "m"], ["assess", "--model", "m"]])
def test_a_mistake_in_the_task_is_told_before_what_computes_is_loaded(words, tmp_path):
    command = [words[0], "none.csv", *words[1:]]
    code = (
        "import sys; from tokenworth.cli import main; sys.argv[0] = 'tokenworth'\n"
        "try: main()\nfinally: print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "none.csv: no such file or folder" in done.stderr
    assert done.stdout.strip() == "[]"
