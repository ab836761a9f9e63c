"""What tasks and backbones are called: two that end alike are told apart, one that was moved stays one."""

import shutil
from types import SimpleNamespace

import pytest

import tokenworth as tw
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.assessment.short_names import names_apart, short_names
from tokenworth.decision.calibration import calibration_of
from tokenworth.study import load_study, read_table, run_local
from tokenworth.study.grid import Cell
from tokenworth.study.results_table import names_by_contents

pytestmark = pytest.mark.formats


def test_as_much_of_a_path_as_tells_apart():
    found = short_names(["/a/llama", "/b/llama", "/c/x", "Qwen/Q", "llama", "/d/c/x/y"])
    assert found == {
        "/a/llama": "a/llama", "/b/llama": "b/llama", "/c/x": "x", "Qwen/Q": "Q", "llama": "llama", "/d/c/x/y": "y",
    }  # fmt: skip
    assert short_names(["x", "/x", "./x"]) == {"x": "x", "/x": "/x", "./x": "./x"}


def test_backbones_keep_their_own_name_unless_two_have_it():
    named = [SimpleNamespace(backbone={"name": name}) for name in ("llama", "llama", "Qwen/Qwen2-0.5B")]
    found = names_apart(named, ["runs/a/llama", "runs/b/llama", "Qwen/Qwen2-0.5B"])
    assert found == ["a/llama", "b/llama", "Qwen/Qwen2-0.5B"]


def cell(task, backbone, route="lora"):
    return Cell(backbone=backbone, task=task, route=route, seed=0, settings={})


def test_tasks_lose_their_ending_unless_it_tells():
    names = names_by_contents([(cell("a/reviews.csv", None), ("1", None)), (cell("a/reviews.tsv", None), ("2", None))])
    assert names.task == {"a/reviews.csv": "reviews.csv", "a/reviews.tsv": "reviews.tsv"}
    assert names_by_contents([(cell("a/reviews.csv", None), ("1", None))]).task == {"a/reviews.csv": "reviews"}


def test_a_model_that_was_moved_is_one_and_another_of_its_name_is_not():
    found = [
        (cell("sst2", "/old/llama"), ("t", "w")),
        (cell("sst2", "/new/llama"), ("t", "w")),
        (cell("sst2", "/new/llama", "scratch"), ("t", None)),
        (cell("sst2", "/third/llama", "scratch"), ("t", None)),
    ]
    assert set(names_by_contents(found).backbone.values()) == {"llama"}
    found.append((cell("sst2", "/else/llama"), ("t", "other")))
    names = names_by_contents(found).backbone
    assert names["/old/llama"] == names["/new/llama"] != names["/else/llama"]
    assert names["/third/llama"] not in (names["/old/llama"], names["/else/llama"]), "it may be either"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    for name, seed in (("one", 0), ("two", 4)):
        model_at(folder / name, seed=seed)
    write_rows(folder / "reviews.csv", rows_of(planted_task(60, 40)))
    settings = "routes: [assess, lora]\nsettings: {steps: 4, mislabelled: false}\n"
    (folder / "study.yaml").write_text(f"backbones: [one/llama, two/llama]\ntasks: [reviews.csv]\n{settings}")
    run_local(load_study(folder / "study.yaml"), folder / "study", workers=2)
    return folder


def test_two_backbones_of_one_name_are_not_averaged(home):
    table = read_table(home / "study")
    assert set(table["backbone"]) == {"one/llama", "two/llama"}
    cells = calibration_of([home / "study"]).set_index("backbone")
    assert cells.loc["one/llama", "probe_f1"] != cells.loc["two/llama", "probe_f1"]


@pytest.mark.parametrize(("assessed", "alike"), [([0, 1], False), ([0], True)])
def test_a_seed_is_described_by_the_texts_it_drew(home, tmp_path, assessed, alike):
    """Where they were assessed; else by those of the first seed."""
    text = (home / "study.yaml").read_text().replace(", two/llama]", "]").replace("one/", f"{home}/one/")
    text = text.replace("[reviews.csv]", f"[{home}/reviews.csv]")
    text = text.replace("[assess, lora]", f"{{assess: {{seeds: {assessed}}}, lora: }}\nseeds: [0, 1]\nmax_texts: 30")
    (tmp_path / "study.yaml").write_text(text)
    run_local(load_study(tmp_path / "study.yaml"), tmp_path / "study", workers=2)
    cells = calibration_of([tmp_path / "study"]).set_index("seed")
    assert sorted(cells.index) == [0, 1]
    assert (cells.loc[0, "log_texts"], cells.loc[0, "task"]) == (cells.loc[1, "log_texts"], cells.loc[1, "task"])
    assert (cells.loc[0, "bow_f1"] == cells.loc[1, "bow_f1"]) == alike


def test_a_study_goes_on_in_another_place(home, tmp_path):
    for name in ("one", "two", "study", "reviews.csv"):
        move = shutil.copytree if (home / name).is_dir() else shutil.copy
        move(home / name, tmp_path / name)
    text = (home / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text.replace("[assess, lora]", "[assess, lora, full]"))
    assert run_local(load_study(tmp_path / "study.yaml"), tmp_path / "study", workers=2) == {"finished": 6}
    cells = calibration_of([tmp_path / "study"])
    assert sorted(cells["route"]) == ["full", "full", "lora", "lora"]
    assert set(cells["task"]) == {"reviews"}
    assert cells.groupby("backbone").size().tolist() == [2, 2]


def test_a_link_has_the_name_that_was_given_to_it(home, tmp_path):
    (tmp_path / "my-model").symlink_to(home / "one" / "llama")
    shutil.copy(home / "reviews.csv", tmp_path)
    (tmp_path / "study.yaml").write_text("backbones: [my-model]\ntasks: [reviews.csv]\nroutes: [assess]\n")
    run_local(load_study(tmp_path / "study.yaml"), tmp_path / "study")
    assert set(read_table(tmp_path / "study")["backbone"]) == {"my-model"}
    backbone = tw.assess(str(tmp_path / "my-model"), str(tmp_path / "reviews.csv"), layers=[1]).backbone
    assert backbone["name"] == "my-model"


def test_a_decision_between_two_backbones_of_one_name(home):
    models = [str(home / name / "llama") for name in ("one", "two")]
    found = tw.decide(str(home / "reviews.csv"), models, config={"steps": 20, "max_length": 32})
    rows = [row for row in found.options if row["route"] == "lora"]
    assert {row["model"] for row in rows} == {"one/llama", "two/llama"}
    assert rows[0]["f1"] != rows[1]["f1"]
