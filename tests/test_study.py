"""Studies: cells that are their own keys, run once whatever happens, by one command or several."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import tokenworth.training.loop as training
from commands import tokenworth
from number_formats import decide
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.adaptation.storage.adapt_result import RESULT
from tokenworth.backbones import load_backbone
from tokenworth.backbones.loading.loader import identity
from tokenworth.base.locks import BusyError
from tokenworth.encode.text_loss import loss_of
from tokenworth.errors import SettingError
from tokenworth.study import StudyStore, by_route, cell_table, load_study, read_table, run_local
from tokenworth.study.cell_run import Keys, keyed_cells, run_cell, task_of

pytestmark = pytest.mark.formats

SMALL = """
backbones: [llama]
tasks: [reviews.csv]
routes: [assess, bow, probe, lora]
seeds: [0]
settings: {steps: 4, lr: 0.001, mislabelled: false}
axes: {rank: [2, 4]}
"""


@pytest.fixture
def home(tmp_path):
    model_at(tmp_path)
    write_rows(tmp_path / "reviews.csv", rows_of(planted_task(60, 40)))
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def test_a_cell_is_made_once_and_only_of_what_matters(home):
    cells = load_study(home / "small.yaml").cells()
    counted = {route: sum(cell.route == route for cell in cells) for route in ("assess", "bow", "probe", "lora")}
    assert counted == {"assess": 1, "bow": 1, "probe": 1, "lora": 2}  # rank matters to LoRA alone
    bow = next(cell for cell in cells if cell.route == "bow")
    assert bow.backbone is None
    assert bow.settings == {"mislabelled": False}


def test_keys_are_of_contents_and_not_of_places(home, tmp_path):
    study = load_study(home / "small.yaml")
    keys = {str(cell): Keys(study).of(cell) for cell in study.cells()}
    assert len(set(keys.values())) == len(keys)
    moved = home / "elsewhere"
    moved.mkdir()
    for name in ("llama", "reviews.csv", "small.yaml"):
        shutil.move(home / name, moved / name)
    again = load_study(moved / "small.yaml")
    assert [Keys(again).of(cell) for cell in again.cells()] == list(keys.values())
    model_at(moved / "new", seed=3)
    shutil.rmtree(moved / "llama")
    shutil.move(moved / "new" / "llama", moved / "llama")
    changed = load_study(moved / "small.yaml")
    other = {str(cell): Keys(changed).of(cell) for cell in changed.cells()}
    same = {name for name, key in other.items() if key == keys[name]}
    assert same == {name for name in keys if " bow " in name}


@pytest.mark.parametrize("name", ["", "@random"])
def test_the_identity_of_a_backbone_is_its_fingerprint_without_loading(home, name):
    assert identity(f"{home / 'llama'}{name}", seed=2) == load_backbone(f"{home / 'llama'}{name}", seed=2).fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: [a]\nroutes: [lorra, bw]\nsettings: {stps: 1}", r"3 mistakes:\n.*'lorra'.*\n.*'bw'.*\n.*'steps'"),
        ("tasks: [a]\nroutes: [bow]\nbackbone: [x]", "did you mean 'backbones'"),
        ("tasks: [a]\nroutes: [lorra]", "choose from assess, published, count, bow"),
        ("tasks: [a]\nroutes: [lora]", "needs backbones"),
        ("tasks: [a]", "needs routes"),
        ("tasks: [a]\nroutes: [bow]\naxes: {rnk: [1]}", "did you mean 'rank'"),
        ("tasks: [a]\nroutes: [bow]\naxes: {rank: 1}", "must be a list of values"),
        ("tasks: {a: 1}\nroutes: [bow]", "tasks must be a list"),
        ("tasks: [null]\nroutes: [bow]", r"tasks must be a list of names, not \[None\]"),
        ("tasks: [a]\nroutes: {bow: 3}", "the route bow takes settings, such as 'lr: 0.001', not 3"),
        ("tasks: [a]\nroutes: {bow: {seeds: [x]}}", r"seeds of the route bow must be .*, not \['x'\]"),
        (
            "tasks: [a]\nroutes: [bow]\nseeds: [1.5]",
            r"seeds must be a list, and each value in it a whole number, not \[1.5\]",
        ),
        ("tasks: [a]\nroutes: [bow]\nseeds: []", "seeds must be"),
        ("tasks: [a]\nroutes: [bow]\ndata: [a]\nmax_texts: 0", r"2 mistakes:\n.*data must be text.*\n.*max_texts"),
        ("tasks: [a]\nroutes: [bow]\nvariants: {a: {source: 1}}", "variant a may say"),
        ("tasks: [a]\nroutes: [bow]\nsettings: {max_length: 0, eval_steps: 0}", r"2 mistakes:\n.*at least 1"),
    ],
)
def test_mistakes_in_a_study_file_are_named(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(SettingError, match=message):
        load_study(tmp_path / "study.yaml")


def test_one_value_stands_for_a_list_of_it(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "name: 1\ntasks: a.csv\nroutes: {bow: {seeds: 3}, probe: }\nbackbones: m\nseeds: 2"
    )
    study = load_study(tmp_path / "one.yaml")
    assert study.name == "1"
    assert [(cell.route, cell.seed) for cell in study.cells()] == [("probe", 2), ("bow", 3)]


def test_a_study_runs_and_is_read_as_a_table(home):
    study, ended = load_study(home / "small.yaml"), []
    counts = run_local(study, home / "out", workers=2, report=lambda cell, state: ended.append(state))
    assert counts == {"finished": 5}
    assert ended == ["finished"] * 5
    stamps = {path: path.stat().st_mtime_ns for path in (home / "out").rglob("*.json")}
    assert run_local(study, home / "out", workers=2) == {"finished": 5}
    assert not list((home / "out").rglob("*.safetensors")), "figures are kept, networks are not"
    assert {path: path.stat().st_mtime_ns for path in (home / "out").rglob("*.json")} == stamps, "nothing ran again"
    table = cell_table(study, home / "out")
    assert set(table["state"]) == {"finished"}
    assert table[table["route"] == "lora"]["weighted_f1"].between(0, 1).all()
    assert table[table["route"] == "assess"]["hscore"].notna().all()
    shutil.rmtree(home / "llama")
    assert len(read_table(home / "out")) == 5  # without study file, texts or weights
    wide = by_route(read_table(home / "out"))
    assert set(wide["setting rank"]) == {2, 4, "any"}
    assert wide["bow"].notna().all()


@pytest.mark.parametrize("day", ["float32", "bfloat16"])
def test_workers_see_the_variables_of_now(home, monkeypatch, day):
    """The server that cells are forked from stays; since it was started auto may stand for another format."""
    monkeypatch.setenv("TOKENWORTH_CACHE", str(home / day))
    decide(home / day, day)
    assert run_local(load_study(home / "small.yaml").only(["lora"]), home / "out", workers=1) == {"finished": 2}
    places = list((home / "out").glob(f"cells/*/run/{RESULT}"))
    assert [json.loads(place.read_text())["facts"]["products_in"] for place in places] == [day] * 2


@pytest.mark.slow
def test_a_failed_cell_keeps_its_error_and_can_be_tried_again(home):
    (home / "small.yaml").write_text(SMALL + "max_texts: 40\n")
    study = load_study(home / "small.yaml").only(["assess", "bow", "probe"])
    weights = home / "llama" / "model.safetensors"
    whole = weights.read_bytes()
    config = json.loads((home / "llama" / "config.json").read_text())
    (home / "llama" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    told = []
    counts = run_local(study, home / "out", workers=2, report=lambda cell, state: told.append(state))
    assert counts == {"finished": 1, "failed": 2}
    assert [state.split(":")[0] for state in sorted(told)] == ["failed", "failed", "finished"]
    assert all("tensors that config.json asks for" in state for state in told if state != "finished")
    table = cell_table(study, home / "out")
    assert table[table["state"] == "failed"]["error"].str.contains("tensors that config.json asks for").all()
    assert run_local(study, home / "out", workers=2)["failed"] == 2, "not tried again unless asked"
    (home / "llama" / "config.json").write_text(json.dumps(config))
    assert weights.read_bytes() == whole
    run_local(study, home / "out", workers=2, retry_failed=True)
    table = cell_table(study, home / "out")
    assert list(table[table["state"] != "finished"]["error"]) == []


def test_a_cell_that_is_run_by_another_is_left_alone(home):
    study = load_study(home / "small.yaml")
    cell = next(cell for cell in study.cells() if cell.route == "bow")
    key, store = Keys(study).of(cell), StudyStore(home / "out")
    with store.claimed(key, cell):
        assert store.state(key) == "running"
        with pytest.raises(BusyError):
            run_cell(study, cell, key, home / "out")
    assert store.state(key) == "interrupted"
    run_cell(study, cell, key, home / "out")
    assert store.state(key) == "finished"


def begun_elsewhere(path, **changed):
    """As a cell that another machine began and did not end."""
    record = json.loads(path.read_text())
    if changed == {"identity": "text"}:  # as an earlier version wrote it
        record["state"].update(changed)
    else:
        (record.get("state", {}).get("identity") or record).update(changed)
    record.pop("digest", None)  # as if it had been written so
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("name", "changed", "anew"),
    [
        ("checkpoints/step-00000003/state.json", {"PyTorch": "2.0"}, True),
        ("checkpoints/step-00000003/state.json", {"identity": "text"}, True),
        ("run.json", {"model": "/somewhere/else/llama"}, True),
        ("run.json", {}, False),
    ],
)
def test_a_cell_begun_on_another_machine_ends_with_equal_numbers(home, monkeypatch, caplog, name, changed, anew):
    study = load_study(home / "small.yaml")
    cell = next(cell for cell in study.cells() if cell.route == "lora")
    cell.settings["checkpoint_seconds"] = 0
    key, store, step = Keys(study).of(cell), StudyStore(home / "out"), training.Loop._step

    def cut(self):
        if self.learner.position.step == 3:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(training.Loop, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        run_cell(study, cell, key, home / "out")
    monkeypatch.setattr(training.Loop, "_step", step)
    begun_elsewhere(store.run_folder(key) / name, **changed)
    run_cell(study, cell, key, home / "out")
    run_cell(study, cell, key, home / "whole")
    found, whole = (json.loads((home / one / "cells" / key / "run" / RESULT).read_text()) for one in ("out", "whole"))
    assert (found["resumed_from_step"] == 0) is anew
    assert ("begins anew" in caplog.text) is anew
    assert found["training"]["losses"] == whole["training"]["losses"]
    assert found["metrics"] == whole["metrics"]


def test_a_cell_begun_in_another_format_goes_on_in_it(home, monkeypatch, caplog, auto):
    """Two machines, or one that has decided anew, share a folder: the cell's numbers are those of one format."""
    study = load_study(home / "small.yaml")
    cell = next(cell for cell in study.cells() if cell.route == "lora")
    cell.settings["checkpoint_seconds"] = 0
    key, step = Keys(study).of(cell), training.Loop._step

    def cut(self):
        if self.learner.position.step == 3:
            raise KeyboardInterrupt
        step(self)

    auto("bfloat16")
    monkeypatch.setattr(training.Loop, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        run_cell(study, cell, key, home / "two machines")
    monkeypatch.setattr(training.Loop, "_step", step)
    run_cell(study, cell, key, home / "narrow machine")
    auto("float32")
    run_cell(study, cell, key, home / "two machines")
    found, whole = (
        json.loads((home / name / "cells" / key / "run" / RESULT).read_text())
        for name in ("two machines", "narrow machine")
    )
    assert (found["resumed_from_step"], found["facts"]["products_in"]) == (3, "bfloat16")
    assert found["training"]["losses"] == whole["training"]["losses"]
    assert found["metrics"] == whole["metrics"]
    assert "begins anew" not in caplog.text


def test_the_text_loss_of_a_cell_is_in_its_format(home, auto):
    model_at(home, lm_head=True)
    study = load_study(home / "small.yaml")
    cell = next(cell for cell in study.cells() if cell.route == "assess")
    cell.settings["dtype"] = "float32"
    auto("bfloat16")
    run_cell(study, cell, "0" * 24, home / "out")
    kept = json.loads((home / "out" / "cells" / ("0" * 24) / "run" / "text_loss.json").read_text())
    texts = task_of(study, cell).train.texts
    wide, narrow = (loss_of(cell.backbone, texts, dtype=dtype, seed=cell.seed) for dtype in ("float32", "bfloat16"))
    assert kept == wide
    assert kept["nll"] != narrow["nll"]


def begin(home, out, study="small.yaml"):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tokenworth", "study", "run", study, "--workers", "2", "--out", out]
    return subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


@pytest.mark.slow
def test_two_commands_and_a_kill_lose_nothing_and_do_nothing_twice(home):
    """Two writers in one folder, one of them killed with all its processes while it works."""
    (home / "small.yaml").write_text(SMALL.replace("seeds: [0]", "seeds: [0, 1]"))
    study, store = load_study(home / "small.yaml"), StudyStore(home / "out")
    first, second = begin(home, "out"), begin(home, "out")
    limit = time.monotonic() + 120
    while not any(store.is_finished(key) for key in store.begun()) and time.monotonic() < limit:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    second.wait(timeout=200)
    assert run_local(study, home / "out", workers=1) == {"finished": 10}
    runs = [json.loads(path.read_text()) for path in (home / "out").rglob("result.json")]
    assert len(runs) == 8
    whole = run_local(study, home / "whole", workers=2)
    assert whole == {"finished": 10}
    columns = ["key", "weighted_f1", "log_loss"]
    one, other = (read_table(home / name)[columns].sort_values("key") for name in ("out", "whole"))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


@pytest.mark.slow
def test_cells_end_with_their_command(home):
    """Ended by a signal to itself alone, which its cells do not get."""
    (home / "long.yaml").write_text(
        SMALL.replace("steps: 4", "steps: 100000").replace("[assess, bow, probe, lora]", "[lora]")
    )
    study, store = load_study(home / "long.yaml"), StudyStore(home / "out")
    keys = [key for _, key in keyed_cells(study)]
    command = begin(home, "out", "long.yaml")
    waited_for(lambda: "running" in map(store.state, keys))
    command.terminate()
    command.wait()
    waited_for(lambda: "running" not in map(store.state, keys))
    assert "interrupted" in map(store.state, keys)


def waited_for(condition, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(home):
    (home / "tiny.yaml").write_text("tasks: [reviews.csv]\nroutes: [bow]\n")
    done = tokenworth("study", "run", "tiny.yaml", "--out", "reviews.csv", cwd=home)
    assert done.code == 1
    assert "reviews.csv/cells cannot be written (Not a directory)" in done.err
    study = load_study(home / "tiny.yaml")
    (key,) = (key for _, key in keyed_cells(study))
    (home / "out" / "study" / "tiny" / "cells").mkdir(parents=True)
    (home / "out" / "study" / "tiny" / "cells" / key).touch()  # where its cell should lie
    done = tokenworth("study", "run", "tiny.yaml", cwd=home)
    assert (done.code, done.out.strip()) == (1, "1 waiting")
    assert "1 of 1 cells did not end; the same command goes on with them" in done.err
    assert f"{key} cannot be written" in done.err


def test_the_command_line(home):
    (home / "tiny.yaml").write_text(
        "tasks: [reviews.csv, nowhere.csv, no.csv]\nroutes: [bow, lora]\nbackbones: [none]\n"
    )
    done = tokenworth("study", "run", "tiny.yaml", cwd=home)
    assert done.code == 2
    assert all(name in done.err for name in ("nowhere.csv", "no.csv", "none is no folder")), "all mistakes at once"
    assert not (home / "out").exists(), "before anything runs"
    (home / "tiny.yaml").write_text("tasks: [reviews.csv]\nroutes: [bow]\n")
    assert tokenworth("study", "run", "tiny.yaml", cwd=home).out.strip() == "1 finished"
    assert json.loads(tokenworth("study", "status", "tiny.yaml", "--json", cwd=home).out)["states"] == {"finished": 1}
    assert json.loads(tokenworth("study", "tables", "tiny.yaml", "--json", cwd=home).out)[0]["bow"] > 0.5
    shown = tokenworth("study", "tables", "tiny.yaml", cwd=home)
    assert "means over seeds" in shown.out, shown.err
    assert tokenworth("study", "export", "tiny.yaml", "cells.csv", cwd=home).code == 0
    assert len(pd.read_csv(home / "cells.csv")) == 1
    (home / "reviews.csv").unlink()
    assert tokenworth("study", "status", "tiny.yaml", cwd=home).code == 2, "a study file is read with its texts"
    folder = "out/study/tiny"
    assert json.loads(tokenworth("study", "status", folder, "--json", cwd=home).out)["states"] == {"finished": 1}
    assert json.loads(tokenworth("study", "tables", folder, "--json", cwd=home).out)[0]["bow"] > 0.5
    seconds = tokenworth("study", "tables", folder, "--metric", "seconds", "--json", cwd=home)
    assert json.loads(seconds.out)[0]["bow"] > 0, "any figure of the cells"
    refused = tokenworth("study", "tables", folder, "--metric", "acuracy", cwd=home)
    assert (refused.code, "no figure 'acuracy'; did you mean 'accuracy'?" in refused.err) == (2, True)
    assert "--only" in tokenworth("study", "tables", folder, "--only", "bow", cwd=home).err
