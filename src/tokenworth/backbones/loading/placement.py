"""Where a model's weights lie: on one device, or spread over devices, memory and disk."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tokenworth.errors import BackboneError, first_line


def placed(model: nn.Module, place: torch.device, device_map: str | dict[str, Any] | None, name: str) -> nn.Module:
    """The model on its device; already there where it was loaded by a map."""
    if hasattr(model, "hf_device_map"):
        return model
    try:
        return model.to(place) if device_map is None else _spread(model, device_map)
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        raise BackboneError(
            f"{name} does not fit into the memory of {place}; choose --dtype bfloat16, --device-map auto, which uses "
            "all devices and main memory, or --shard under torchrun"
        ) from error


def _spread(model: Any, device_map: str | dict[str, Any]) -> nn.Module:
    from accelerate import dispatch_model, infer_auto_device_map

    if isinstance(device_map, str):
        device_map = infer_auto_device_map(model, no_split_module_classes=list(model._no_split_modules or ()))
    try:
        spread: nn.Module = dispatch_model(model, device_map)
    except ValueError as error:  # weights that were never in a file cannot be left in it
        raise BackboneError(
            f"random weights can be spread over devices and memory, not to the disk ({first_line(error)})"
        ) from error
    return spread
