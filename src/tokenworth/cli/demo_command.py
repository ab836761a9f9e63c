"""tokenworth demo: pretrain a small decoder, assess it beside its random twin, decide, adapt, report.  Offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.assess_commands import print_result
from tokenworth.cli.console import progress_report, say, set_verbosity

if TYPE_CHECKING:
    from tokenworth.base.aliases import Progress
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


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for model, results and report.", parser=options.folder, metavar="PATH")
    ] = Path("demo"),
    max_texts: options.MaxTexts = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.", show_default="a few minutes")] = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Offline: pretrain a small model on installed packages' docstrings, ask what it bought, follow the advice."""
    from tokenworth.assessment import rank
    from tokenworth.pretraining import package_texts
    from tokenworth.report import write_report
    from tokenworth.tasks import load_task

    set_verbosity(verbose=verbose)
    say("docstrings: building the task from installed packages", quiet=quiet)
    task = load_task("docstrings", seed=seed)
    steps = steps or _STEPS
    room = min(_BYTES, steps * _STEP_BYTES)
    documents = package_texts(exclude=[*task.train.texts, *task.test.texts], seed=seed, max_bytes=room)
    task = task if max_texts is None else task.sample(max_texts, seed=seed)
    with progress_report(quiet=quiet) as progress:
        folder = _pretrained(documents, out / "pretrain", steps, seed, progress, quiet=quiet)
        result = rank(
            task,
            [str(folder), f"{folder}@random"],
            seed=seed,
            started=lambda name: say(f"assessing {name}", quiet=quiet),
            progress=progress,
        )
    result.save(out)
    for assessment, name in zip(result.assessments, ("first", "second"), strict=False):
        assessment.save(out / name)
        write_report(assessment, out / name / "report.html")
    page = write_report(result, out / "report.html")
    print_result(result, json=json)
    _follow(task, folder, out, seed, quiet=quiet)
    say(f"report: {page.resolve()}", quiet=quiet)


def _pretrained(
    documents: list[str], run: Path, steps: int, seed: int, progress: Progress | None, *, quiet: bool
) -> Path:
    """The last checkpoint of a small run on the documents."""
    import pandas as pd

    from tokenworth.base.atomic_files import write_table, writing
    from tokenworth.pretraining import PretrainPage, make_config, pretrain
    from tokenworth.report import write_report

    say(f"pretraining on {len(documents):,} documents", quiet=quiet)
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
    found = pretrain(config, run, progress=progress)
    write_report(PretrainPage.load(run), run / "report.html")
    bits = found.held_out["packages"]["bits_per_byte"]
    say(f"{found.parameters['total']:,} parameters, {bits:.3f} bits a byte on held-out documents", quiet=quiet)
    return run / "checkpoints" / f"tokens-{found.tokens}"


def _follow(task: Task, folder: Path, out: Path, seed: int, *, quiet: bool) -> None:
    """Ask which route is worth its cost, and run the one that is advised."""
    from tokenworth.adaptation import adapt
    from tokenworth.decision import decide
    from tokenworth.report import write_report

    say("deciding: what each route would bring and cost", quiet=quiet)
    config = {"steps": _ROUTE_STEPS, "lr": 1e-3, "mislabelled": False}
    decision = decide(task, [str(folder)], config=config, seed=seed, out=out / "decision")
    write_report(decision, out / "decision" / "report.html")
    for sentence in decision.sentences:
        say(f"- {sentence}", quiet=quiet)
    advised = decision.recommended
    if advised is not None:
        model = None if advised["model"] is None else str(folder)
        run = adapt(model, task, advised["route"], seed=seed, config=config, out=out / "adapted")
        write_report(run, out / "adapted" / "report.html")
        say(f"{advised['route']}: weighted F1 {run.metrics['weighted_f1']:.3f}, in {out / 'adapted'}", quiet=quiet)
