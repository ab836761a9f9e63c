"""tokenworth decide and tokenworth trace."""

from __future__ import annotations

from contextlib import nullcontext

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.adapt_commands import ConfigFile, wished
from tokenworth.cli.assess_commands import TASK, loaded_task, say_assessing
from tokenworth.cli.console import print_result, say, write_page
from tokenworth.cli.options import Given, Options, Output, takes
from tokenworth.decision.decide_settings import DecideCall
from tokenworth.endpoints.endpoint_settings import DEFAULTS
from tokenworth.report.terminal.progress import progress_report
from tokenworth.tracing.trace_settings import TraceCall

_OF_PROMPTS = ("shots", "examples", "chat", *(name for name in DEFAULTS if name != "budget"))
_OF_ROUTES = Options(
    AdaptConfig, "protocol", "steps", "lr", "batch", "rank", "max_length", *_OF_PROMPTS, defaults=False
)


@takes(Options(DecideCall, but=("max_length", "long")), _OF_ROUTES, TASK, Output)
def decide(task: str, models: list[str], /, *, config: ConfigFile = None, options: Given) -> None:
    from tokenworth.base.locks import claimed

    settings = {"config": wished(config, options), **options.of(DecideCall)}
    with claimed(options.out) if options.out is not None else nullcontext():
        loaded = loaded_task(task, options)
        from tokenworth.decision import decide as run

        with progress_report(quiet=options.quiet) as progress:
            result = run(loaded, models, started=say_assessing, progress=progress, **settings)
        write_page(result, options.out)
    print_result(result, json=options.json)


@takes(TraceCall, Options(AdaptConfig, "steps", "lr", "batch", "rank", defaults=False), WeightChoice, Output)
def trace(run: str, tasks: list[str], /, *, config: ConfigFile = None, options: Given) -> None:
    from tokenworth.report import write_report
    from tokenworth.tracing import trace as make
    from tokenworth.tracing.checkpoint_sources import default_folder, split_places
    from tokenworth.tracing.trace_result import PAGE

    checkpoints, others = split_places([run, *tasks])
    place = options.out or default_folder(checkpoints, options.get("revisions", ()))
    with progress_report(quiet=options.quiet) as progress:
        result = make(
            checkpoints, others, config=wished(config, options), started=say, progress=progress, **options.of(TraceCall)
        )
    say(f"report: {write_report(result, place / PAGE)}")
    print_result(result, json=options.json)
