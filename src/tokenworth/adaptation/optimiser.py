"""Adafactor as the protocol sets it, and its state as tensors and numbers by name.

Source: Shazeer and Stern (2018), Adafactor: Adaptive Learning Rates with Sublinear Memory Cost.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.adaptation.devices import spread_like, whole
from tokenworth.adaptation.settings import AdaptConfig


def make_optimiser(parameters: dict[str, nn.Parameter], config: AdaptConfig) -> torch.optim.Optimizer:
    """No relative step, no parameter scaling: the learning rate is the one given."""
    from transformers.optimization import Adafactor

    optimiser: torch.optim.Optimizer = Adafactor(
        list(parameters.values()),
        lr=config.lr,
        clip_threshold=config.clip_threshold,
        weight_decay=config.weight_decay,
        relative_step=False,
        scale_parameter=False,
        warmup_init=False,
    )
    return optimiser


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
        optimiser.state[weights][entry] = _placed(value, weights)


def _placed(value: Any, weights: Tensor) -> Any:
    if not isinstance(value, Tensor):
        return value
    return spread_like(value, weights) if value.shape == weights.shape else value.to(weights.device)
