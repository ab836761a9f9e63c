"""Some of the steps that a run will make, drawn and cut into passes as it will: their tokens, FLOPs and memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from tokenworth.adaptation.forecast.training_memory import TrainingMemory
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_names import NETWORK_TRAIN_TEXTS, ROUTES
from tokenworth.adaptation.training.batch_cuts import PROHIBITIVE, Group, Prices, StepCost, plan_groups
from tokenworth.adaptation.training.text_order import Order
from tokenworth.adaptation.training.text_pairs import TextPairs
from tokenworth.encode.long_texts import ReadLengths, piece_rows

STEPS_DRAWN = 300


@dataclass(frozen=True, slots=True)
class DrawnSteps:
    """What the steps of a run take, in all."""

    tokens: int
    """Real ones."""
    flops: float
    priced: float
    """FLOPs of linear maps that could be computed in their time."""
    most_bytes: float
    """Of the largest pass."""


def draw_steps(
    route: str,
    config: ResolvedConfig,
    read: ReadLengths,
    n_classes: int,
    cost: StepCost,
    price: Prices,
    held: TrainingMemory,
) -> DrawnSteps:
    """Of all steps, from the first `STEPS_DRAWN`; classes are taken to be of like size."""
    drawn, lengths_P = min(config.steps, STEPS_DRAWN), read.lengths_P
    tokens, flops, priced, most_bytes = 0, 0.0, 0.0, 0.0
    for group in _passes(route, config, read, n_classes, price, drawn):
        lengths_B = lengths_P[group.rows]
        tokens += int(lengths_B.sum())
        flops += cost.of(lengths_B, packed=group.packed)
        priced += price.cost.of(lengths_B, packed=group.packed)
        most_bytes = max(most_bytes, held.of(lengths_B, packed=group.packed))
    share = config.steps / drawn
    return DrawnSteps(round(tokens * share), flops * share, priced * share, most_bytes)


def _passes(
    route: str, config: ResolvedConfig, read: ReadLengths, n_classes: int, price: Prices, drawn: int
) -> Iterator[Group]:
    """The passes of the first steps, as the run will make them; texts that are compared go through one."""
    lengths_P, counts_N = read
    n = len(lengths_P if counts_N is None else counts_N)
    pairs = TextPairs(np.arange(n) % n_classes, seed=0) if ROUTES[route].texts_a_row > 1 else None
    order, most, packing = Order(n, config.batch, seed=0), config.micro_batch or config.batch, config.packing
    whole = replace(price, one_pass=PROHIBITIVE)
    for step in range(drawn):
        rows = order.rows(step)
        if pairs is None:
            rows = rows if counts_N is None else piece_rows(rows, counts_N)
            yield from plan_groups(rows, lengths_P, price, most=most, packing=packing)
            continue
        for start in range(0, len(rows), most):
            compared = pairs.texts(step, rows[start : start + most])
            yield from plan_groups(compared, lengths_P, whole, most=len(compared), packing=packing)


def evaluation_flops(
    route: str, config: ResolvedConfig, train: ReadLengths, test: ReadLengths, forward: StepCost
) -> float:
    """FLOPs of all that is read for an evaluation: at the end, and if training does not end before.

    Where texts are compared, the head is fitted to all training texts before each.
    """
    lengths_P, counts_N = train
    n_train = len(lengths_P if counts_N is None else counts_N)
    texts = round(config.validation_share * n_train) if config.keeps_best else 0
    times = ceil(config.steps / config.steps_between_evaluations) if config.keeps_best else 0
    gap, validation = (n if counts_N is None else int(counts_N[:n].sum()) for n in (NETWORK_TRAIN_TEXTS, texts))
    fits = 1 + times if ROUTES[route].texts_a_row > 1 else 0
    repeated = [np.tile(lengths_P[:validation], times), np.tile(lengths_P[validation:], fits)]
    lengths_E = np.concatenate([test.lengths_P, lengths_P[:gap], *repeated]).astype(np.float64)
    return float((lengths_E * forward.token + lengths_E**2 * forward.pair).sum())
