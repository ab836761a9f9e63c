"""tokenworth decide."""

from __future__ import annotations

from contextlib import nullcontext

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.cli.adapt_commands import ConfigFile
from tokenworth.cli.assess_commands import TASK, say_assessing
from tokenworth.cli.console import print_result, progress_report, write_page
from tokenworth.cli.options import Given, Options, Output, takes
from tokenworth.decision.decide_settings import DecideCall
from tokenworth.tasks.task_source import TaskSource


@takes(Options(DecideCall, but=("max_length",)), TASK, Output,
       Options(AdaptConfig, "steps", "lr", "batch", "rank", "max_length", defaults=False))  # fmt: skip
def decide(task: str, models: list[str], /, *, config: ConfigFile = None, given: Given) -> None:
    from tokenworth.base.locks import claimed
    from tokenworth.decision import decide as run
    from tokenworth.settings import read_settings, with_changes
    from tokenworth.tasks import load_task

    wished = with_changes({} if config is None else read_settings(config), given.of(AdaptConfig))
    with claimed(given.out) if given.out is not None else nullcontext():
        loaded = load_task(task, **given.of(TaskSource))
        with progress_report(quiet=given.quiet) as progress:
            result = run(
                loaded, models, config=wished, started=say_assessing, progress=progress, **given.of(DecideCall)
            )
        write_page(result, given.out)
    print_result(result, json=given.json)
