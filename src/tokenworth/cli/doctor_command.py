"""tokenworth doctor: what this machine has, what `auto` would choose on it, and what an assessment would take."""

from __future__ import annotations

import json as encoder
import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokenworth.cli.shared_options as options
from tokenworth.base.machine import free_memory, memory
from tokenworth.cli.backbones_command import in_words
from tokenworth.errors import SettingError

if TYPE_CHECKING:
    import torch

    from tokenworth.adaptation import AdaptConfig
    from tokenworth.adaptation.forecast.route_forecast import RouteForecast
    from tokenworth.assessment.assessment_forecast import Forecast
    from tokenworth.tasks import Task


def doctor(
    model: Annotated[str | None, typer.Option(help="Forecast an assessment of this backbone.")] = None,
    task: Annotated[str | None, typer.Option(help="On this task.")] = None,
    data: options.Data = None,
    max_texts: options.MaxTexts = None,
    max_length: options.MaxLength = None,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    memory_gb: options.MemoryGb = None,
    tokenizer: options.Tokenizer = None,
    route: Annotated[str | None, typer.Option(help="Also forecast lora, full or scratch.")] = None,
    measure_formats: Annotated[
        bool, typer.Option("--measure-formats", help="Measure anew which number format dtype auto stands for.")
    ] = False,
    config: options.Config = None,
    steps: options.Steps = None,
    batch: options.Batch = None,
    rank: options.Rank = None,
    json: options.Json = False,
) -> None:
    """What this machine has, and what an assessment or a route would take on it: FLOPs, time, memory, disk."""
    facts = _machine(measure_anew=measure_formats)
    if (model is None) != (task is None) or (route is not None and model is None):
        raise SettingError("a forecast needs both --model and --task")
    if model is not None and task is not None:
        from tokenworth.tasks import load_task

        loaded = load_task(task, data=data)
        loaded = loaded.sample(max_texts) if max_texts is not None else loaded
        found = _forecast(model, loaded, max_length, dtype, device, memory_gb, tokenizer)
        facts |= {f"forecast {name}": value for name, value in _shown(found, raw=json).items()}
        if route is not None:
            from tokenworth.adaptation import make_config

            wished = make_config(config, steps=steps, batch=batch, rank=rank, max_length=max_length)
            planned = _route_forecast(model, loaded, route, wished, dtype, device, tokenizer)
            facts |= {f"{route} {name}": value for name, value in _shown(planned, raw=json).items()}
    if json:
        typer.echo(encoder.dumps(facts, indent=1))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {value if value is not None else '-'}")


def _machine(*, measure_anew: bool) -> dict[str, Any]:
    from tokenworth.backbones import resolve_device
    from tokenworth.base.versions import describe_environment
    from tokenworth.features import default_store

    device, store = resolve_device("auto"), default_store()
    return {
        **describe_environment(),
        "device auto": str(device),
        **_auto_format(device, measure_anew=measure_anew),
        "memory": _memory(),
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
    found = formats.renewed_decision() if measure_anew else formats.decision()
    shown: dict[str, Any] = {"dtype auto": found.dtype}
    if found.gflops is not None:
        rates = ", ".join(f"{rate:g} GFLOP/s in {name}" for name, rate in found.gflops.items())
        shown["dtype auto measured"] = f"{rates} on one thread, {found.measured}"
    if found.measured or found.kept:
        shown["dtype auto kept in"] = found.kept or "nowhere: the folder cannot be written"
    return shown


def _forecast(
    model: str,
    task: Task,
    max_length: int | None,
    dtype: str,
    device: str,
    memory_gb: float | None,
    tokenizer: str | None,
) -> Forecast:
    from tokenworth.assessment.assessment_forecast import forecast, measure_rates
    from tokenworth.backbones import account_of, resolve_device, resolve_dtype
    from tokenworth.encode.tokens import token_lengths
    from tokenworth.features.layer_groups import moment_memory

    place = resolve_device(device)
    precision = resolve_dtype(dtype, place)
    lengths_N = token_lengths(model, task, max_length, tokenizer)
    return forecast(
        account_of(model.removesuffix("@random"), context=max(1, round(float(lengths_N.mean())))),
        lengths_N,
        len(task.train),
        measure_rates(place, precision),
        memory=moment_memory(place) if memory_gb is None else int(memory_gb * 1e9),
        bytes_a_weight=precision.itemsize,
    )


def _route_forecast(
    model: str, task: Task, route: str, config: AdaptConfig, dtype: str, device: str, tokenizer: str | None
) -> RouteForecast:
    from tokenworth.adaptation.forecast.route_forecast import Hardware, forecast_route
    from tokenworth.assessment.assessment_forecast import measure_rates
    from tokenworth.backbones import resolve_device, resolve_dtype
    from tokenworth.encode.tokens import token_lengths

    place = resolve_device(device)
    precision = resolve_dtype(dtype, place)
    lengths_N = token_lengths(model, task, config.max_length, tokenizer)
    n_train = len(task.train)
    return forecast_route(
        model.removesuffix("@random"),
        route,
        config,
        task.n_classes,
        lengths_N[:n_train],
        lengths_N[n_train:],
        measure_rates(place, precision).forward,
        hardware=Hardware(place.type, precision.itemsize),
    )


def _shown(found: Forecast | RouteForecast, *, raw: bool) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(found).items() if name != "route"} | {"seconds": found.seconds}
    return facts if raw else {name.replace("_", " "): in_words(value) for name, value in facts.items()}


def _memory() -> str:
    """What this process may have, which in a container is less than the machine has."""
    return f"{memory() / 1e9:.0f} GB, {free_memory() / 1e9:.0f} GB of it free"
