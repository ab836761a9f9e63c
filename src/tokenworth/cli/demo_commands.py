"""tokenworth demo."""

from __future__ import annotations

from pathlib import Path

from tokenworth.cli.console import print_result, say
from tokenworth.cli.options import Given, Options, Output, takes
from tokenworth.demo.demo_settings import DemoCall
from tokenworth.report.terminal.progress import progress_report


@takes(DemoCall, Options(Output, "json", "quiet", "verbose"))
def demo(*, options: Given) -> None:
    from tokenworth.demo import run_demo

    call = DemoCall(**options.of(DemoCall))
    with progress_report(quiet=options.quiet) as progress:
        story = run_demo(call, say, progress)
    print_result(story, json=options.json)
    say(f"report: {(Path(call.out) / 'report.html').resolve()}")
