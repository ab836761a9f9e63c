"""tokenworth demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from tokenworth.cli.console import print_result, say
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.report.terminal.progress import progress_report
from tokenworth.settings import Count, OutFolder
from tokenworth.tasks.task_source import TaskSource

_Out = Annotated[Path, said("Folder for model, results and report.", OutFolder)]
_Steps = Annotated[int, said("Training steps; the default takes a few minutes.", Count)]


@takes(Options(TaskSource, "max_texts", "seed"), Options(Output, "json", "quiet", "verbose"))
def demo(*, out: _Out = Path("demo"), steps: _Steps = 800, options: Given) -> None:
    from tokenworth.demo import Demo

    story = Demo(out=out, steps=steps, seed=options.get("seed", 0), say=say)
    with progress_report(quiet=options.quiet) as progress:
        task, model, ranking = replace(story, progress=progress).rank(options.get("max_texts"))
    print_result(ranking, json=options.json)
    story.follow_advice(task, model)
    say(f"report: {(out / 'report.html').resolve()}")
