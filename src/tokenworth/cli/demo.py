"""tokenworth demo: pretrain a small decoder, assess it beside its random-weights twin, write the report.  Offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tokenworth.cli.options as options
from tokenworth.cli.assessing import print_result
from tokenworth.cli.console import progress_report, say, set_verbosity


def demo(
    out: Annotated[Path, typer.Option(help="Folder for model, results and report.")] = Path("demo"),
    max_texts: options.MaxTexts = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.", show_default="a few minutes")] = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Offline: pretrain a small model on installed packages' docstrings, then ask what that pretraining bought."""
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
    say(f"report: {page.resolve()}", quiet=quiet)
