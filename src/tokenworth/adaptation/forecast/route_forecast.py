"""What a trained route will take, before anything is loaded: parameters, tokens, FLOPs, seconds, bytes.

The model is built without weights, with its adapters, and its FLOPs are counted as in the run itself; batches are drawn
as the run will draw them.  Seconds are the FLOPs at a share of the matrix rate measured on this machine, and a constant
for every block and step; docs/routes.md compares them with runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.forecast.training_memory import count_memory
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig
from tokenworth.adaptation.routes.lora import add_lora
from tokenworth.adaptation.training.batch_cuts import StepCost, heads_of, plan_groups, prices
from tokenworth.adaptation.training.text_order import Order
from tokenworth.backbones.accounting.block_calls import depth_and_width
from tokenworth.backbones.accounting.meta_model import meta_named
from tokenworth.backbones.accounting.shape_pass import without_weights
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import SettingError

TRAINING_SHARE = 0.6
"""Share of the matrix rate (measured in a burst on large products) that training keeps up on a CPU."""
SECONDS_PER_TENSOR = {"lora": 6e-4, "full": 3e-4, "scratch": 3e-4}
"""Of a step, for every tensor that learns, whatever its size: calls of the library, dropout, the optimiser."""
EVALUATED_TRAIN_TEXTS = 2000
_STEPS_DRAWN = 300


@dataclass(frozen=True, slots=True)
class RouteForecast:
    """One trained route of one backbone on one task."""

    route: str
    trainable: int
    total: int
    tokens: int
    """Real tokens trained on."""
    train_flops: float
    train_seconds: float
    evaluate_flops: float
    evaluate_seconds: float
    memory_bytes: int
    """Weights, gradients and the activations of the largest pass; the process and its libraries come on top."""
    least_memory_bytes: int
    """With the longest text in a pass of its own, to which a run that is short of memory comes down."""
    checkpoint_bytes: int

    @property
    def seconds(self) -> float:
        """Training and the evaluations at the end."""
        return self.train_seconds + self.evaluate_seconds


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a forecast is made for."""

    device: str = "cpu"
    """Its kind, "cpu" or "cuda"."""
    bytes_a_weight: int = 4
    """Of frozen weights and of activations; weights that learn take 4."""


def forecast_route(
    name: str,
    route: str,
    config: AdaptConfig,
    n_classes: int,
    train_lengths_N: np.ndarray,
    test_lengths_M: np.ndarray,
    rate: float,
    *,
    hardware: Hardware | None = None,
) -> RouteForecast:
    """The forecast of lora, full or scratch, from the tokens of each text; of the model only its configuration is read.

    `rate` is that of matrix products in FLOP/s on the device, in the format of the products; without `hardware` it is a
    processor's, in float32.

    Raises:
        SettingError: a route that trains nothing.
        BackboneError: the backbone is not found, or cannot be counted.
    """
    if route not in TRAINED:
        raise SettingError(f"a forecast is made of {', '.join(TRAINED)}; the route {route} trains no network")
    model, head = untrained(name, route, config, n_classes)
    evaluated = np.concatenate([test_lengths_M, train_lengths_N[:EVALUATED_TRAIN_TEXTS]]).astype(np.float64)
    weights = [*model.parameters(), *head.parameters()]
    steps = _steps(name, model, head, config, train_lengths_N, hardware or Hardware())
    evaluating = float((evaluated * steps.forward.token + evaluated**2 * steps.forward.pair).sum())
    tensors = sum(weight.requires_grad for weight in model.parameters())
    learning = sum(weight.numel() for weight in weights if weight.requires_grad)
    return RouteForecast(
        route=route,
        trainable=learning,
        total=sum(weight.numel() for weight in weights),
        tokens=steps.tokens,
        train_flops=steps.flops,
        train_seconds=steps.priced / (TRAINING_SHARE * rate) + config.steps * tensors * SECONDS_PER_TENSOR[route],
        evaluate_flops=evaluating,
        evaluate_seconds=evaluating / (TRAINING_SHARE * rate),
        memory_bytes=round(steps.most_bytes),
        least_memory_bytes=round(steps.least_bytes),
        checkpoint_bytes=4 * learning,
    )


def untrained(name: str, route: str, config: AdaptConfig, n_classes: int) -> tuple[nn.Module, nn.Linear]:
    """What a trained route would train, without weights: the base model with its adapters, and the head.

    Raises:
        BackboneError: the backbone is not found.
    """
    model = meta_named(name)
    _, width = depth_and_width(model)
    if route == "lora":
        with quiet_transformers():
            add_lora(model, name, config, seed=0)
    pooled = width * (1 + config.pooling.count("+"))
    return model, nn.Linear(pooled, n_classes, bias=config.head_bias, device="meta")


@dataclass(frozen=True, slots=True)
class _Steps:
    """All steps of a run, and what a pass without a gradient takes."""

    tokens: int
    flops: float
    priced: float
    """FLOPs as they are priced."""
    most_bytes: float
    """Memory of the largest pass."""
    least_bytes: float
    """Memory of the longest text alone."""
    forward: StepCost


def _steps(
    name: str, model: nn.Module, head: nn.Linear, config: AdaptConfig, lengths_N: np.ndarray, hardware: Hardware
) -> _Steps:
    """From some of the batches that will be drawn."""
    with without_weights(model):
        usual = round(float(lengths_N.mean()))
        cost = count_training(model, head, head.in_features, torch.device("meta"), length=usual)
    settings: Any = model.config
    blocks, heads = depth_and_width(meta_named(name))[0], heads_of(settings, head.in_features)
    price = prices(cost.training, hardware.device, blocks, heads)
    held = count_memory(
        model, head, bytes_a_number=hardware.bytes_a_weight, bits=config.quantise, device=hardware.device
    )
    order, drawn = Order(len(lengths_N), config.batch, seed=0), min(config.steps, _STEPS_DRAWN)
    tokens, flops, priced, most_bytes = 0, 0.0, 0.0, 0.0
    for step in range(drawn):
        rows = order.rows(step)
        tokens += int(lengths_N[rows].sum())
        most = config.micro_batch or config.batch
        for group in plan_groups(rows, lengths_N, price, most=most, packing=config.packing):
            lengths_B = lengths_N[group.rows]
            flops += cost.training.of(lengths_B, packed=group.packed)
            priced += price.cost.of(lengths_B, packed=group.packed)
            most_bytes = max(most_bytes, held.of(lengths_B, packed=group.packed))
    share, least_bytes = config.steps / drawn, held.of(lengths_N.max(keepdims=True))
    tokens = round(tokens * config.steps / drawn)
    return _Steps(tokens, flops * share, priced * share, most_bytes, least_bytes, cost.forward)
