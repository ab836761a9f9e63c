"""tokenworth demo: pretrain a small decoder, assess it beside its random twin, decide, adapt, report.  Offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.cli.assess_commands import say_assessing
from tokenworth.cli.console import print_result, progress_report, say, write_page
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.settings import Count, OutFolder
from tokenworth.tasks.task_source import TaskSource

if TYPE_CHECKING:
    from tokenworth.tasks import Task

_STEPS = 800
"""Of pretraining: a number and no time budget, so that a seed gives the same model on a slower day."""
_TRAINING: dict[str, Any] = {
    "context": 128, "batch": 8, "lr": 6e-3, "warmup_share": 0.05, "held_out_share": 0.02, "trace_per_decade": 0,
}  # fmt: skip
_BYTES, _STEP_BYTES = 3_000_000, 20_000
"""Of documents, at most, and for each step: several times what it reads, as the tokenizer learns from them too."""
_ROUTE_STEPS = 300
"""Of a learned route: what a demo can wait for."""


@takes(Options(TaskSource, "max_texts", "seed"), Output)
def demo(
    *,
    out: Annotated[Path, said("Folder for model, results and report; by default demo.", OutFolder)] = Path("demo"),
    steps: Annotated[int, said("Training steps; by default 800, a few minutes.", Count)] = _STEPS,
    given: Given,
) -> None:
    from tokenworth.assessment import rank
    from tokenworth.pretraining import package_texts
    from tokenworth.tasks import load_task

    say("docstrings: building the task from installed packages")
    seed, most = given.get("seed", 0), given.get("max_texts")
    task = load_task("docstrings", seed=seed)
    room = min(_BYTES, steps * _STEP_BYTES)
    documents = package_texts(exclude=[*task.train.texts, *task.test.texts], seed=seed, max_bytes=room)
    task = task if most is None else task.sample(most, seed=seed)
    with progress_report(quiet=given.quiet) as progress:
        folder = _pretrained(documents, out / "pretrain", steps, seed, progress)
        models = [str(folder), f"{folder}@random"]
        result = rank(task, models, seed=seed, started=say_assessing, progress=progress)
    result.save(out)
    for assessment, name in zip(result.assessments, ("first", "second"), strict=False):
        assessment.save(out / name)
        write_page(assessment, out / name, said=False)
    page = write_page(result, out, said=False)
    print_result(result, json=given.json)
    _follow(task, folder, out, seed)
    say(f"report: {page.resolve()}")


def _pretrained(
    documents: list[str], run: Path, steps: int, seed: int, progress: Callable[[str, int, int], None] | None
) -> Path:
    """The last checkpoint of a small run on the documents."""
    import pandas as pd

    from tokenworth.base.atomic_files import write_table, writing
    from tokenworth.pretraining import PretrainPage, make_config, pretrain

    say(f"pretraining on {len(documents):,} documents")
    with writing(run) as place:
        write_table(place / "documents.parquet", pd.DataFrame({"text": documents}))
    config = make_config(
        {
            "sources": {"packages": str(run / "documents.parquet")},
            "tokenizer": {"vocabulary": 2048},
            "model": {"layers": 4, "width": 128, "heads": 4},
            "training": {**_TRAINING, "tokens": steps * _TRAINING["batch"] * _TRAINING["context"]},
            "seed": seed,
        }
    )
    trained = pretrain(config, run, progress=progress)
    write_page(PretrainPage.load(run), run, said=False)
    bits = trained.held_out["packages"]["bits_per_byte"]
    say(f"{trained.parameters['total']:,} parameters, {bits:.3f} bits a byte on held-out documents")
    return run / "checkpoints" / f"tokens-{trained.tokens}"


def _follow(task: Task, folder: Path, out: Path, seed: int) -> None:
    """Ask which route is worth its cost, and run the one that is advised."""
    from tokenworth.adaptation import adapt
    from tokenworth.decision import decide

    say("deciding: what each route would bring and cost")
    config = {"steps": _ROUTE_STEPS, "lr": 1e-3, "mislabelled": False}
    decision = decide(task, [str(folder)], config=config, seed=seed, out=out / "decision")
    write_page(decision, out / "decision", said=False)
    for sentence in decision.sentences:
        say(f"- {sentence}")
    advised = decision.recommended
    if advised is not None:
        model = None if advised["model"] is None else str(folder)
        run = adapt(model, task, advised["route"], seed=seed, config=config, out=out / "adapted")
        write_page(run, out / "adapted", said=False)
        say(f"{advised['route']}: weighted F1 {run.metrics['weighted_f1']:.3f}, in {out / 'adapted'}")
