"""tokenworth doctor: what this machine has, what `auto` would choose on it, and what an assessment would take."""

from __future__ import annotations

from typing import Annotated

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.assessment.assessment_settings import AssessCall
from tokenworth.cli.adapt_commands import ConfigFile
from tokenworth.cli.console import print_lines
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError
from tokenworth.tasks.task_source import TaskSource

_Model = Annotated[str | None, said("Forecast an assessment of this backbone.")]
_Task = Annotated[str | None, said("On this task.")]
_Wanted = Annotated[str | None, said("Also forecast lora, full, contrastive or scratch.")]
_Measured = Annotated[bool, said("Measure anew which number format dtype auto stands for.")]
_ROUTE = Options(AdaptConfig, "protocol", "steps", "batch", "rank", "long")
_FORECAST = Options(AssessCall, "max_length", "dtype", "device", "memory_gb", "tokenizer")


@takes(TaskSource, _FORECAST, _ROUTE, Options(Output, "json"))
def doctor(
    *, model: _Model = None, task: _Task = None, route: _Wanted = None, measure_formats: _Measured = False,
    config: ConfigFile = None, options: Given,
) -> None:  # fmt: skip
    from tokenworth.report.terminal.machine_facts import forecast_facts, machine_facts
    from tokenworth.report.terminal.machine_words import sentences, this_machine

    facts = machine_facts(measure_anew=measure_formats)
    if (model is None) != (task is None) or (route is not None and model is None):
        raise SettingError("a forecast needs both --model and --task")
    if model is not None and task is not None:
        from tokenworth.adaptation import make_config
        from tokenworth.adaptation.forecast.route_forecast import forecast_run
        from tokenworth.assessment.assessment_forecast import forecast_assessment
        from tokenworth.tasks import load_task

        source, settings = options.of(TaskSource), options.of(AssessCall)
        most = source.pop("max_texts", None)
        loaded = load_task(task, **source)
        loaded = loaded.sample(most) if most is not None else loaded
        facts |= forecast_facts("forecast", forecast_assessment(model, loaded, **settings), raw=options.json)
        if route is not None:
            wished = make_config(config, **options.of(AdaptConfig), max_length=settings.get("max_length"))
            where = {name: value for name, value in settings.items() if name in ("device", "dtype", "tokenizer")}
            facts |= forecast_facts(route, forecast_run(model, loaded, route, wished, **where), raw=options.json)
    width, said = max(map(len, facts)), sentences(this_machine())
    lines = (f"{name:<{width}}  {'-' if value is None else value}" for name, value in facts.items())
    print_lines(facts | {"said": said}, [*lines, "", *(f"- {sentence}" for sentence in said)], json=options.json)
