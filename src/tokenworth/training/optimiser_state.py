"""Weights, and the state of any optimiser, as tensors and numbers by name: so that they are saved without pickle."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.training.devices import spread_like, whole


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def read_weights(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The parameters, those that are spread over processes put together; all of them must ask."""
    return {name: whole(weights.detach()) for name, weights in parameters.items()}


@torch.no_grad()
def write_weights(parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """The way back from `read_weights`."""
    for name, value in tensors.items():
        parameters[name].copy_(spread_like(value, parameters[name]))


def read_state(
    optimiser: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and plain numbers of the state, by "parameter|entry"."""
    state = {
        f"{name}|{entry}": value
        for name, weights in parameters.items()
        for entry, value in optimiser.state.get(weights, {}).items()
    }
    tensors = {key: whole(value) for key, value in state.items() if isinstance(value, Tensor)}
    return tensors, {key: value for key, value in state.items() if key not in tensors}


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
