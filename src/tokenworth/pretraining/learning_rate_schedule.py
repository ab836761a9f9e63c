"""Learning rates, and the token counts at which a run is looked at: pure functions of settings and step."""

from __future__ import annotations

import math

from tokenworth.pretraining.pretraining_settings import TrainingConfig


def rate_at(step: int, config: TrainingConfig) -> float:
    """The rate of a step counted from 0.

    cosine: up along a line, then lr (f + (1 - f) (1 + cos(pi x)) / 2), x from 0 to 1, f the final share.
    wsd: up along a line, lr, then along a line down to f lr in the last `decay_share` of the steps.
    """
    steps, floor = config.steps, config.final_share
    warmup = round(config.warmup_share * steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "cosine":
        done = (step - warmup) / max(1, steps - 1 - warmup)
        return config.lr * (floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2)
    left = (steps - 1 - step) / max(1.0, config.decay_share * steps)
    return config.lr * min(1.0, floor + (1 - floor) * left)


def trace_steps(config: TrainingConfig) -> list[int]:
    """Steps after which a checkpoint for the trace is kept: none, then evenly in the logarithm of tokens, and all."""
    steps = {0, config.steps}
    if config.trace_per_decade:
        point = float(config.trace_from)
        while point < config.tokens:
            steps.add(min(config.steps, max(1, round(point / config.step_tokens))))
            point *= 10 ** (1 / config.trace_per_decade)
    return sorted(steps)
