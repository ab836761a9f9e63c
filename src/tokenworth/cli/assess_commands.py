"""tokenworth assess and tokenworth rank."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from tokenworth.assessment.assessment_settings import AssessCall, RankCall
from tokenworth.cli.console import is_main_process, print_result, say, write_page
from tokenworth.cli.options import Given, Options, Output, takes
from tokenworth.errors import TokenworthError
from tokenworth.report.terminal.progress import progress_report
from tokenworth.tasks.task_source import TaskSource

if TYPE_CHECKING:
    from tokenworth.tasks import Task

TASK = Options(TaskSource, but=("max_texts",))
"""How a task is read; a sample of it is drawn by the call that gets it."""


@takes(AssessCall, TASK, Output)
def assess(task: str, /, *, model: str, options: Given) -> None:
    loaded = loaded_task(task, options)
    from tokenworth.assessment import assess as run

    with progress_report(quiet=options.quiet) as progress:
        result = run(model, loaded, progress=progress, **options.of(AssessCall))
    if is_main_process():
        write_page(result, options.out)
        print_result(result, json=options.json)


@takes(RankCall, TASK, Output)
def rank(task: str, models: list[str], /, *, options: Given) -> None:
    from tokenworth.base.locks import claimed

    settings = options.of(RankCall)
    out = settings.pop("out", None)
    with claimed(out) if out is not None else nullcontext():
        loaded = loaded_task(task, options)
        from tokenworth.assessment import rank as run

        with progress_report(quiet=options.quiet) as progress:
            result = run(loaded, models, started=say_assessing, progress=progress, **settings)
        if is_main_process():
            if out is not None:
                result.save(out)
            write_page(result, out)
            print_result(result, json=options.json)
    if not result.assessments:
        reasons = "; ".join(str(row["failed"]) for row in result.rows)
        raise TokenworthError(f"no backbone could be assessed: {reasons}")


def loaded_task(task: str, options: Given) -> Task:
    """The task, called before what computes is imported: a mistake in it is told at once."""
    from tokenworth.tasks import load_task

    return load_task(task, **options.of(TaskSource))


def say_assessing(name: str) -> None:
    say(f"assessing {name}")
