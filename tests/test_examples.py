"""The small scripts in examples/ stand alone, are short, and say what the package says.

The same first weights, order and dropout: what differs is the rounding of float32, in which the package's sums are
taken in another order.  The scripts' own sums over texts are in float64.
"""

import ast
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import tokenworth as tw
from commands import script, tokenworth
from planted import planted_task, rows_of, write_rows
from small_models import WORDS, write_folder, write_tokenizer

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = ("assess", "adapt", "pretrain", "decide")
LIBRARIES = {"numpy", "torch", "transformers", "safetensors"}
COLUMNS = ("ntps", "ntps_chance", "retained_auc", "k90", "ar_r2", "penalty", "cv_loss", "cv_accuracy", "probe_f1")
CARD, RATE = "h100", 0.3 * 989e12


def run(name, *arguments, out):
    """What a script wrote."""
    done = script(EXAMPLES / f"{name}.py", *arguments, cwd=EXAMPLES)
    assert done.code == 0, done.err
    return json.loads(out.read_text())


def cells():
    """The table that decide.py says is there."""
    return Path(__file__).parents[1] / re.search(r"\S+cells\.csv", source("decide"))[0]


def source(name):
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short_and_needs_only_the_libraries(name):
    assert len(source(name).splitlines()) < 220
    found = set()
    for node in ast.walk(ast.parse(source(name))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module)
    assert {module.partition(".")[0] for module in found} <= LIBRARIES | sys.stdlib_module_names
    assert f"python examples/{name}.py" in ast.get_docstring(ast.parse(source(name)))


def tied_model(folder):
    """A decoder whose embedding and head are one matrix, saved as the head alone: a base model alone lacks it."""
    write_folder(folder, "llama", lm_head=True, tie_word_embeddings=True)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights.pop("model.embed_tokens.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A small model, a task of three classes as a folder of two files, and what the package says of them."""
    folder = tmp_path_factory.mktemp("examples")
    model, planted = tied_model(folder / "llama"), planted_task(150, 60, 3, seed=1)
    rows, task = rows_of(planted), folder / "task"
    task.mkdir()
    for part, own in (("train", rows[:150]), ("test", rows[150:])):
        write_rows(task / f"{part}.csv", own)
    settings = {"hardware": CARD, "config": {"packing": False}, "dtype": "float32", "cache": False, "pooling": "mean"}
    decided = tw.decide(str(task), [str(model)], **settings)
    return SimpleNamespace(folder=folder, model=model, task=task, decided=decided, assessed=decided.assessments[0])


@pytest.fixture(scope="module")
def written(work):
    """What assess.py writes, and where."""
    out = work.folder / "small.json"
    return out, run("assess", work.task, work.model, "--out", out, out=out)


def test_assess_scores_every_layer_as_the_package_does(work, written):
    rows = written[1]["layers"]
    assert [row["layer"] for row in rows] == [0, 1, 2, 3]
    for row, theirs in zip(rows, work.assessed.layers, strict=True):
        for column in COLUMNS:
            assert row[column] == pytest.approx(theirs[column], abs=1e-5), (row["layer"], column)
    assert not any(np.isnan(row["retained_auc"]) for row in rows)


def test_assess_chooses_the_layer_and_compares_as_the_package_does(work, written):
    probes = {
        probe["kind"]: probe for probe in reversed(work.assessed.probes)
    }  # the first of a kind is the best layer's
    assert probes["bow"]["name"] == "bag of words (words)"  # the recipe that the script writes down
    assert written[1]["best_layer"] == work.assessed.best_layer
    for row in written[1]["probes"]:
        assert row["f1"] == pytest.approx(probes[row["kind"]]["f1"]), row["kind"]
    assert [row["kind"] for row in written[1]["probes"]] == ["majority", "bow", "ridge"]
    assert 0.5 < probes["bow"]["f1"] < 1


PLAIN = {"rank": 4, "packing": False, "dtype": "float32", "mislabelled": False, "lora_dropout": 0.0}
"""LoRA without dropout: the package draws once for maps that read one tensor, the script for each."""


@pytest.mark.parametrize("route", ["lora", "full", "scratch"])
def test_adapt_trains_as_the_package_does(work, route):
    rate = 1e-2 if route == "lora" else 1e-3
    config = {**PLAIN, "steps": 20, "lr": rate}
    theirs = tw.adapt(str(work.model), str(work.task), route, config=config, seed=3)
    options = ("--route", route, "--steps", 20, "--lr", rate, "--rank", 4, "--seed", 3, "--max-length", 40)
    options += ("--lora-dropout", 0.0)
    out = work.folder / f"{route}.json"
    ours = run("adapt", work.task, work.model, *options, "--out", out, out=out)
    np.testing.assert_allclose(ours["losses"], theirs.training["losses"], rtol=0, atol=5e-6)
    assert ours["losses"][-1] < ours["losses"][0]
    assert ours["weighted_f1"] == pytest.approx(theirs.metrics["weighted_f1"])
    assert ours["predictions"] == theirs.predictions["predicted"].tolist()
    assert ours["trainable"] == theirs.parameters["trainable"]


def test_adapt_leaves_the_pooler_of_an_encoder_out_as_the_package_does(work):
    encoder = write_folder(work.folder / "bert", "bert")
    config = {**PLAIN, "steps": 6, "lr": 1e-2}
    theirs = tw.adapt(str(encoder), str(work.task), "lora", config={**config, "pooling": "mean"})
    options = ("--steps", 6, "--lr", 1e-2, "--rank", 4, "--max-length", 40, "--pooling", "mean")
    options += ("--lora-dropout", 0.0)
    out = work.folder / "encoder.json"
    ours = run("adapt", work.task, encoder, *options, "--out", out, out=out)
    np.testing.assert_allclose(ours["losses"], theirs.training["losses"], rtol=0, atol=5e-6)
    assert ours["trainable"] == theirs.parameters["trainable"]


@pytest.mark.parametrize("pieces", ["bytes", "words"])
def test_pretrain_learns_as_the_command_does(tmp_path, pieces):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(5, 60))) + "\nsecond line, é" for _ in range(60)]
    (tmp_path / "documents.txt").write_text("\n\n".join(texts), encoding="utf-8")
    tokenizer = "{kind: bpe, vocabulary: 257}" if pieces == "bytes" else "words"
    write_tokenizer(tmp_path / "words")
    (tmp_path / "run.yaml").write_text(
        "sources: {documents: documents.txt}\nprompts: []\nseed: 5\n"
        f"tokenizer: {tokenizer}\n"
        "model: {layers: 2, width: 32, heads: 4, kv_heads: 2}\n"
        "training: {tokens: 4096, context: 32, batch: 8, lr: 0.01, warmup_share: 0.2, held_out_share: 0.2,\n"
        "           held_out_tokens: 300, trace_per_decade: 0, dtype: float32}\n"
    )
    done = tokenworth("pretrain", tmp_path / "run.yaml", "--out", tmp_path / "theirs", cwd=tmp_path)
    assert done.code == 0, done.err
    journal = [json.loads(line) for line in (tmp_path / "theirs" / "metrics.jsonl").read_text().splitlines()]
    model = {"layers": 2, "width": 32, "heads": 4, "kv-heads": 2}
    training = {"tokens": 4096, "context": 32, "batch": 8, "lr": 0.01, "warmup-share": 0.2, "held-out-share": 0.2}
    settings = {**model, **training, "held-out-tokens": 300, "seed": 5}
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    options += ["--tokenizer", tmp_path / "words"] if pieces == "words" else []
    out = tmp_path / "ours"
    ours = run("pretrain", tmp_path / "documents.txt", out, *options, out=out / "run.json")
    losses = [row["loss"] for row in journal if "loss" in row]
    assert len(losses) == 16
    np.testing.assert_allclose(ours["losses"], losses, rtol=0, atol=5e-6)
    for row, held in zip(ours["held_out"], (row["held_out"] for row in journal if "held_out" in row), strict=True):
        assert row == pytest.approx({name: held["documents"][name] for name in row}, rel=1e-6)
    assert losses[-1] < losses[0] - 0.5


def test_decide_predicts_costs_and_advises_as_the_package_does(work):
    theirs, out, assessment = work.decided, work.folder / "decision.json", work.folder / "assessed" / "assessment.json"
    work.assessed.save(assessment.parent)
    ours = run("decide", work.task, work.model, assessment, cells(), "--rate", RATE, "--out", out, out=out)
    assert [row["route"] for row in ours["options"]] == [row["route"] for row in theirs.options]
    for row, other in zip(ours["options"], theirs.options, strict=True):
        for name in row.keys() & other.keys() - {"route"}:
            assert row[name] == pytest.approx(other[name], rel=1e-9, abs=1e-12), (row["route"], name)
    assert ours["recommended"]["route"] == theirs.recommended["route"]
    kept = {row["route"]: row["f1_kept"] for row in theirs.options}
    assert {row["route"]: row["kept"] for row in ours["options"]} == pytest.approx(kept, abs=2e-3), "4,000 draws"
    plan = theirs.settings["plan"]["llama"]
    trained = {row["route"]: row for row in ours["options"] if row["route"] in plan}
    assert {route: {"steps": row["steps"], "lr": row["lr"]} for route, row in trained.items()} == plan
    assert {"flops", "seconds", "f1_low", "f1_high"} <= trained["lora"].keys()


def test_decide_reads_what_assess_writes(work, written):
    out = work.folder / "small-decision.json"
    ours = run("decide", work.task, work.model, written[0], cells(), "--rate", RATE, "--out", out, out=out)
    measured = {row["route"]: row["f1"] for row in ours["options"] if "f1_low" not in row}
    assert measured == {"bow": written[1]["probes"][1]["f1"], "probe": written[1]["probes"][2]["f1"]}
    assert all(row["f1_low"] < row["f1"] < row["f1_high"] for row in ours["options"] if "f1_low" in row)
