"""What is lost when a classifier leaves: size, F1, probabilities and time of its ONNX graph and of that with 8 bits.

    python bench/export.py --data FOLDER --models FOLDER FOLDER [--lora] [--texts 200] [--out out/export]

A bag of words, a probe of each model and of all-MiniLM-L6-v2 (from its package), and if asked a short LoRA of the first
model, on the same task; each is exported with --int8 and compared on test texts with the classifier as it was run, on
one thread.  Runs and exports are kept in --out, so the command goes on where it was.  The table goes to
docs/results/export.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnxruntime
import torch
import transformers

from pages import write_page
from prompting import small_task
from tokenworth.adaptation import AdaptResult, adapt
from tokenworth.adaptation.export.export_run import export_run
from tokenworth.adaptation.export.export_settings import ExportSettings
from tokenworth.tasks import Task
from tokenworth.tasks.split import sample

PAGE = Path(__file__).parents[1] / "docs" / "results" / "export.md"
ENCODER = "all-minilm-l6-v2"
LORA = {"steps": 24, "rank": 8}
TRAIN = 300
HEADS = ("classifier", "computed", "MB", "weighted F1", "largest difference", "same class", "time")


def main() -> None:
    """Run and export what is not there yet, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--task", default="emotion")
    parser.add_argument("--out", type=Path, default=Path("out/export"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--lora", action="store_true", help="also a short LoRA of the first model")
    parser.add_argument("--texts", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = small_task(options.data / options.task, options.texts)
    task = replace(task, train=task.train.take(sample(task.train.labels, TRAIN, 0)))
    rows: list[dict[str, Any]] = []
    for name, route, model, dtype in classifiers(options):
        rows += exported(options, task, name, route, model, dtype)
        write_page(options.page, list(page_lines(task, rows, options)))


def classifiers(options: argparse.Namespace) -> Iterator[tuple[str, str, str | None, str]]:
    """Name, route, model and number format of each."""
    first = str(options.models[0])
    yield "bow", "bow", None, "float64"
    for model in (ENCODER, *map(str, options.models)):
        yield f"probe {Path(model).name}", "probe", model, "float32"
    if options.lora:
        yield f"lora {Path(first).name}", "lora", first, "float32"


def exported(
    options: argparse.Namespace, task: Task, name: str, route: str, model: str | None, dtype: str
) -> list[dict[str, Any]]:
    """The classifier and its graphs, compared; made once."""
    folder = options.out / name.replace(" ", "-")
    kept = folder / "compared.json"
    if not kept.is_file():
        settings: dict[str, Any] = {"mislabelled": False} | (LORA if route == "lora" else {})
        settings |= {} if model is None else {"dtype": dtype}
        adapt(model, task, route, config=settings, out=folder / "run")
        how = ExportSettings(format="onnx", int8=True, texts=options.texts)
        compared = export_run(folder / "run", folder / "onnx", how).compared
        kept.write_text(json.dumps([asdict(row) for row in compared]), encoding="utf-8")
    facts = AdaptResult.load(folder / "run").facts
    read = f"{name}, layer {facts['layer']}, {facts['pooling']}" if route == "probe" else name
    return [{"classifier": read, "dtype": dtype, **row} for row in json.loads(kept.read_text(encoding="utf-8"))]


def page_lines(task: Task, rows: list[dict[str, Any]], options: argparse.Namespace) -> Iterator[str]:
    """The page."""
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    yield "# What an export loses"
    yield ""
    yield f"Task {task.name}: {len(task.train):,} training texts, {options.texts} test texts; {versions},"
    yield f"onnxruntime {onnxruntime.__version__}; one thread.  Graphs are float32, or have weights of 8 bits (dynamic,"
    yield "a scale a column; the head is left alone).  Largest difference: of a probability, from the classifier as it"
    yield "was run; same class: share of the texts; time: CPU seconds for these texts, of a graph as a share of"
    yield "the classifier's."
    yield ""
    names = " ".join(model.name for model in options.models)
    yield f"    python bench/export.py --data ../shared/data/tasks --models {names}"
    yield ""
    yield f"| {' | '.join(HEADS)} |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for row in rows:
        yield f"| {' | '.join(cells(row, rows))} |"


def cells(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """One line of the table."""
    own = next(other for other in rows if other["classifier"] == row["classifier"])
    forms = {"tokenworth": f"here, {row['dtype']}", "model.onnx": "ONNX", "model.int8.onnx": "ONNX, 8 bits"}
    size = f"{row['megabytes']:.1f}" if row["megabytes"] else ""
    figures = [size, f"{row['weighted_f1']:.3f}", f"{row['largest']:.1e}" if row is not own else ""]
    agreed = f"{row['same']:.3f}" if row is not own else ""
    time = f"{row['cpu_seconds']:.1f} s" if row is own else f"{row['cpu_seconds'] / own['cpu_seconds']:.2f}"
    return [row["classifier"], forms[row["form"]], *figures, agreed, time]


if __name__ == "__main__":
    main()
