"""tokenworth trace."""

from __future__ import annotations

from pathlib import Path

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.adapt_commands import ConfigFile
from tokenworth.cli.console import print_result, progress_report, say
from tokenworth.cli.options import Given, Options, Output, takes
from tokenworth.tracing.trace_settings import TraceCall


@takes(TraceCall, Options(AdaptConfig, "steps", "lr", "batch", "rank", defaults=False), WeightChoice, Output)
def trace(run: Path, tasks: list[str], /, *, config: ConfigFile = None, given: Given) -> None:
    from tokenworth.report import write_report
    from tokenworth.settings import read_settings, with_changes
    from tokenworth.tracing import trace as make
    from tokenworth.tracing.trace_result import PAGE

    wished = with_changes({} if config is None else read_settings(config), given.of(AdaptConfig))
    with progress_report(quiet=given.quiet) as progress:
        result = make(run, tasks, config=wished, started=say, progress=progress, **given.of(TraceCall))
    say(f"report: {write_report(result, (given.out or run / 'trace') / PAGE)}")
    print_result(result, json=given.json)
