"""What this machine has, and what `auto` stands for on it."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from typing import Any

import torch

import tokenworth.base.number_format as formats
from tokenworth.backbones import dtype_name, resolve_device, resolve_dtype
from tokenworth.base.float32_products import product_decision, renewed_product_decision
from tokenworth.base.machine import free_memory, memory
from tokenworth.base.versions import describe_environment
from tokenworth.features import default_store
from tokenworth.report.terminal.account_tables import in_words


def machine_facts(*, measure_anew: bool) -> dict[str, Any]:
    """By name, as a page of doctor shows them.

    Args:
        measure_anew: the number format that `auto` stands for.
    """
    device, store = resolve_device("auto"), default_store()
    return {
        **{name: value for name, value in describe_environment().items() if name != "command"},
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
    if device.type != "cpu":
        return {"dtype auto": dtype_name(resolve_dtype("auto", device))}
    products = renewed_product_decision() if measure_anew else product_decision()
    decision = formats.renewed_decision() if measure_anew else formats.decision()
    shown: dict[str, Any] = {"float32 products": products.library}  # those of the environment, unless renewed
    if products.gflops:
        shown["float32 products measured"] = ", ".join(
            f"{rate:g} GFLOP/s by {name} with a relative error of {products.errors[name]:.1e}"
            for name, rate in products.gflops.items()
        )
    shown["dtype auto"] = decision.dtype
    if decision.gflops is not None:
        rates = ", ".join(f"{rate:g} GFLOP/s in {name}" for name, rate in decision.gflops.items())
        shown["dtype auto measured"] = f"{rates} on one thread, {decision.measured}"
    if decision.measured or decision.kept:
        shown["dtype auto kept in"] = decision.kept or "nowhere: the folder cannot be written"
    return shown


def forecast_facts(what: str, forecast: Any, *, raw: bool) -> dict[str, Any]:
    """A forecast's numbers by "WHAT name"; for people in the print of the papers."""
    facts = {name: value for name, value in asdict(forecast).items() if name != "route"} | {"seconds": forecast.seconds}
    shown = facts if raw else {name.replace("_", " "): in_words(value) for name, value in facts.items()}
    return {f"{what} {name}": value for name, value in shown.items()}
