"""What models are called: the model and how far it was trained, not the folder that its checkpoint lies in."""

import json
import re
import shutil

import pytest

import tokenworth as tw
from commands import tokenworth
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.backbones.model_names import model_name
from tokenworth.study.grid import Cell
from tokenworth.study.results_table import names_by_contents

pytestmark = pytest.mark.formats
SMALL = "small after 8,000 tokens"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("out/small/checkpoints/tokens-819200", "small after 819,200 tokens"),
        ("out/small/checkpoints/tokens-819200@random", "small@random"),
        ("reviews-lora/checkpoint-500", "reviews-lora at step 500"),
        ("/runs/pythia/step1000", "pythia at step 1,000"),
        ("/runs/pythia/global_step3/", "pythia at step 3"),
        ("small/epoch_2", "small after epoch 2"),
        ("small/checkpoints/best", "small/best"),
        ("out/lora/adapter", "lora/adapter"),
        ("~/.cache/huggingface/hub/models--Qwen--Qwen2-0.5B/snapshots/c540970f9e29518b", "Qwen/Qwen2-0.5B"),
        ("tokens-1000", "tokens-1000"),
        ("/tokens-1000", "tokens-1000"),
        ("models/llama", "llama"),
        ("models/llama@random", "llama@random"),
        ("models/mamba-step-by-step", "mamba-step-by-step"),
        ("Qwen/Qwen2-0.5B", "Qwen2-0.5B"),
        ("smollm2-135m", "smollm2-135m"),
        ("weights/tiny-Q4_K.gguf", "tiny-Q4_K.gguf"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_model_is_called_what_people_call_it(place, name):
    assert model_name(place) == name


def test_checkpoints_of_one_run_stay_apart_in_a_study():
    places = ["a/small/checkpoints/tokens-0", "a/small/checkpoints/tokens-8000", "b/small/checkpoints/tokens-8000"]
    cells = [Cell(task="t", backbone=place, route="probe", seed=0, settings={}) for place in places]
    names = names_by_contents((cell, ("t", str(n))) for n, cell in enumerate(cells))
    assert names.backbone[places[0]] == "small after 0 tokens"
    assert len(set(names.backbone.values())) == 3
    assert str(cells[1]).startswith(f"t {SMALL} probe")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A pretraining run with one checkpoint, as far as its folders go."""
    folder = tmp_path_factory.mktemp("names")
    model_at(folder)
    place = folder / "small" / "checkpoints"
    place.mkdir(parents=True)
    shutil.move(folder / "llama", place / "tokens-8000")
    write_rows(folder / "reviews.csv", rows_of(planted_task(60, 40)))
    return folder


CHECKPOINT = "small/checkpoints/tokens-8000"


def test_a_ranking_and_a_decision_name_the_model(home):
    ranking = tw.rank(str(home / "reviews.csv"), [str(home / CHECKPOINT), f"{home / CHECKPOINT}@random"])
    assert {row["name"] for row in ranking.rows} == {SMALL, "small@random"}
    told = tokenworth("decide", "reviews.csv", CHECKPOINT, "--max-length", 32, "--out", "decision", cwd=home)
    decision = tw.Decision.load(home / "decision")
    assert {row["model"] for row in decision.options} == {None, SMALL}
    page = (home / "decision" / "report.html").read_text(encoding="utf-8")
    assert SMALL in page
    shown = page.partition("</script>")[2] or page
    for text in (told.out, *decision.sentences, *decision.warnings):
        assert "tokens-8000" not in text
    assert f">{CHECKPOINT}<" not in re.sub("<pre.*?</pre>", "", shown, flags=re.DOTALL), "but in the command"


def test_a_run_a_comparison_and_the_index_name_the_model(home):
    tokenworth("adapt", "reviews.csv", "--model", CHECKPOINT, "--route", "probe", "--out", "runs/probe", cwd=home)
    tokenworth("adapt", "reviews.csv", "--route", "bow", "--out", "runs/bow", cwd=home)
    result = json.loads((home / "runs" / "probe" / "result.json").read_text(encoding="utf-8"))
    assert result["backbone"]["name"] == SMALL
    assert "tokens-8000" not in " ".join(result["sentences"])
    compared = tokenworth("compare", "runs/bow", "runs/probe", cwd=home).out
    assert "tokens-8000" not in compared
    tokenworth("index", "runs", cwd=home)
    assert SMALL in (home / "runs" / "index.html").read_text(encoding="utf-8")


def test_a_trace_of_the_folder_of_checkpoints_is_named_after_its_run(home):
    from tokenworth.tracing.checkpoint_sources import find_checkpoints

    for run in (home / "small", home / "small" / "checkpoints", [str(home / CHECKPOINT)]):
        assert find_checkpoints(run).name == "small"
