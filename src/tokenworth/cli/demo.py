"""tokenworth demo: pretrain a small decoder, assess it beside its random twin, decide, adapt, report.  Offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import tokenworth.cli.options as options
from tokenworth.cli.assessing import print_result
from tokenworth.cli.console import progress_report, say, set_verbosity

if TYPE_CHECKING:
    from tokenworth.tasks import Task

_ROUTE_STEPS = 300
"""Of a learned route: what a demo can wait for."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for model, results and report.")] = Path("demo"),
    max_texts: options.MaxTexts = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.", show_default="a few minutes")] = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Offline: pretrain a small model on installed packages' docstrings, ask what it bought, follow the advice."""
    from tokenworth.assessment import rank
    from tokenworth.pretrain import TinyConfig, package_texts, pretrain_tiny
    from tokenworth.report import write_report
    from tokenworth.tasks import load_task

    set_verbosity(verbose=verbose)
    say("docstrings: building the task from installed packages", quiet=quiet)
    task = load_task("docstrings", seed=seed)
    documents = package_texts(exclude=[*task.train.texts, *task.test.texts], seed=seed)
    config = TinyConfig(seed=seed) if steps is None else TinyConfig(seed=seed, steps=steps)
    folder = out / "model"
    with progress_report(quiet=quiet) as progress:
        pretrain_tiny(
            documents,
            folder,
            config,
            log=lambda line: say(line, quiet=quiet),
            progress=progress and (lambda step, steps, _loss: progress("pretrain", step, steps)),
        )
        result = rank(
            task,
            [str(folder), f"{folder}@random"],
            max_texts=max_texts,
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
    _follow(task, folder, out, max_texts, seed, quiet=quiet)
    say(f"report: {page.resolve()}", quiet=quiet)


def _follow(task: Task, folder: Path, out: Path, max_texts: int | None, seed: int, *, quiet: bool) -> None:
    """Ask which route is worth its cost, and run the one that is advised."""
    from tokenworth.adaptation import adapt
    from tokenworth.decision import decide
    from tokenworth.report import write_report

    say("deciding: what each route would bring and cost", quiet=quiet)
    config = {"steps": _ROUTE_STEPS, "lr": 1e-3, "mislabelled": False}
    decision = decide(task, [str(folder)], config=config, max_texts=max_texts, seed=seed, out=out / "decision")
    write_report(decision, out / "decision" / "report.html")
    for sentence in decision.sentences:
        say(f"- {sentence}", quiet=quiet)
    advised = decision.recommended
    if advised is not None:
        model = None if advised["model"] is None else str(folder)
        run = adapt(model, task, advised["route"], seed=seed, config=config, out=out / "adapted")
        write_report(run, out / "adapted" / "report.html")
        say(f"{advised['route']}: weighted F1 {run.metrics['weighted_f1']:.3f}, in {out / 'adapted'}", quiet=quiet)
