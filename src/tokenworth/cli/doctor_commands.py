"""tokenworth doctor: what this machine has, what `auto` would choose on it, and what an assessment would take."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.assessment.assessment_settings import AssessCall
from tokenworth.cli.adapt_commands import ConfigFile
from tokenworth.cli.backbones_commands import in_words
from tokenworth.cli.console import print_json, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError
from tokenworth.tasks.task_source import TaskSource

if TYPE_CHECKING:
    import torch

_FORECAST = Options(AssessCall, "max_length", "dtype", "device", "memory_gb", "tokenizer")


@takes(Options(TaskSource, "data", "max_texts"), _FORECAST, Options(AdaptConfig, "steps", "batch", "rank"),
       Options(Output, "json"))  # fmt: skip
def doctor(
    *,
    model: Annotated[str | None, said("Forecast an assessment of this backbone.")] = None,
    task: Annotated[str | None, said("On this task.")] = None,
    route: Annotated[str | None, said("Also forecast lora, full or scratch.")] = None,
    measure_formats: Annotated[bool, said("Measure anew which number format dtype auto stands for.")] = False,
    config: ConfigFile = None,
    given: Given,
) -> None:
    facts = _machine(measure_anew=measure_formats)
    if (model is None) != (task is None) or (route is not None and model is None):
        raise SettingError("a forecast needs both --model and --task")
    if model is not None and task is not None:
        from tokenworth.adaptation import make_config
        from tokenworth.adaptation.forecast.route_forecast import forecast_run
        from tokenworth.assessment.assessment_forecast import forecast_assessment
        from tokenworth.tasks import load_task

        source, settings = given.of(TaskSource), given.of(AssessCall)
        most = source.pop("max_texts", None)
        loaded = load_task(task, **source)
        loaded = loaded.sample(most) if most is not None else loaded
        facts |= _shown("forecast", forecast_assessment(model, loaded, **settings), raw=given.json)
        if route is not None:
            wished = make_config(config, **given.of(AdaptConfig), max_length=settings.get("max_length"))
            where = {name: value for name, value in settings.items() if name in ("device", "dtype", "tokenizer")}
            facts |= _shown(route, forecast_run(model, loaded, route, wished, **where), raw=given.json)
    if given.json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        tell(f"{name:<{width}}  {value if value is not None else '-'}")


def _machine(*, measure_anew: bool) -> dict[str, Any]:
    from tokenworth.backbones import resolve_device
    from tokenworth.base.machine import free_memory, memory
    from tokenworth.base.versions import describe_environment
    from tokenworth.features import default_store

    device, store = resolve_device("auto"), default_store()
    return {
        **describe_environment(),
        "device auto": str(device),
        **_auto_format(device, measure_anew=measure_anew),
        "memory": f"{memory() / 1e9:.0f} GB, {free_memory() / 1e9:.0f} GB of it free",
        "disk free here": f"{shutil.disk_usage('.').free / 1e9:.0f} GB",
        "passes kept in": f"{store.root} (up to {store.max_bytes / 1e9:g} GB)",
        "published tasks read from": os.environ.get("TOKENWORTH_DATA") or "the hub (TOKENWORTH_DATA is not set)",
        "hub": "offline (HF_HUB_OFFLINE)" if os.environ.get("HF_HUB_OFFLINE") == "1" else "asked when needed",
    }


def _auto_format(device: torch.device, *, measure_anew: bool) -> dict[str, Any]:
    """What dtype auto stands for, and why."""
    import tokenworth.base.number_format as formats
    from tokenworth.backbones import dtype_name, resolve_dtype

    if device.type != "cpu":
        return {"dtype auto": dtype_name(resolve_dtype("auto", device))}
    decision = formats.renewed_decision() if measure_anew else formats.decision()
    shown: dict[str, Any] = {"dtype auto": decision.dtype}
    if decision.gflops is not None:
        rates = ", ".join(f"{rate:g} GFLOP/s in {name}" for name, rate in decision.gflops.items())
        shown["dtype auto measured"] = f"{rates} on one thread, {decision.measured}"
    if decision.measured or decision.kept:
        shown["dtype auto kept in"] = decision.kept or "nowhere: the folder cannot be written"
    return shown


def _shown(what: str, forecast: Any, *, raw: bool) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(forecast).items() if name != "route"} | {"seconds": forecast.seconds}
    shown = facts if raw else {name.replace("_", " "): in_words(value) for name, value in facts.items()}
    return {f"{what} {name}": value for name, value in shown.items()}
