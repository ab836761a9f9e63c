"""The state of any optimiser as tensors and numbers by name, so that it is saved without pickle."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.training.devices import spread_like, whole


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def read_state(
    optimiser: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and plain numbers of the state, by "parameter|entry"."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for name, weights in parameters.items():
        for entry, value in optimiser.state.get(weights, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}|{entry}"] = whole(value)
            else:
                numbers[f"{name}|{entry}"] = value
    return tensors, numbers


def write_state(
    optimiser: torch.optim.Optimizer,
    parameters: dict[str, nn.Parameter],
    tensors: dict[str, Tensor],
    numbers: dict[str, Any],
) -> None:
    """The way back from `read_state`."""
    for key, value in {**tensors, **numbers}.items():
        name, _, entry = key.rpartition("|")
        weights = parameters[name]
        optimiser.state[weights][entry] = spread_like(value, weights) if isinstance(value, Tensor) else value
