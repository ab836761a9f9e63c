"""Settings that suit a model's size: what a trained route is run with where nothing is given.

    rate    factor / width, within bounds                                     width: numbers of a state of the model
    steps   passes over the training texts, 200 (contrastive: 60) to 10,000, at a batch's texts a step
    end     with the schedule: all training texts are learned from, and the last step is kept

| route       | factor | rate within    | passes |
|-------------|-------:|----------------|-------:|
| lora        |    0.6 | 1e-4 to 3e-3   |      3 |
| full        |   0.06 | 2e-5 to 1e-3   |      3 |
| contrastive |   0.06 | 2e-5 to 1e-3   |      5 |
| scratch     |    0.2 | 1e-4 to 1e-3   |     10 |

Of tunings beside LoRA, last_blocks is as full; the others have one rate for any width: ia3 3e-3, soft_prompt and prefix
1e-2, p_tuning and bias 1e-3, loreft 9e-4, and those with virtual tokens 10 passes.

Where the figures are from; docs/results/settings.md has what was measured here.

- 1 / width: the rate at which Adam-like updates change a layer's output as much whatever its width (Yang et al. 2022,
  Tensor Programs V).
- lora: ten times full (Schulman et al. 2025, LoRA Without Regret, whose rule of 5e-4 (2000 / width)^.78 for Llamas
  gives 1.3e-3 at width 576, ours 1.0e-3); QLoRA (Dettmers et al. 2023) has 2e-4 at width 4096, ours 1.5e-4.
- full: Devlin et al. (2019) fine-tune BERT, of width 768 and 1024, at 2e-5 to 5e-5 for 2 to 4 passes; ours 7.8e-5 and
  5.9e-5.  The upper bound is for decoders as narrow as 64, where 1e-3 was ahead of 1e-4 on two of three tasks here.
- scratch: 3e-4 was ahead of 1e-4 and of 1e-3 on three tasks at widths 576 and 640 here, whose product is .17 to .19;
  GPT-3 (Brown et al. 2020, table 2.1) was pretrained at .31 to .51, with batches of half a million tokens and more.  A
  model that knows nothing sees every text more often.
- contrastive: the rate of full; Tunstall et al. (2022, SetFit) have 2e-5 for widths of 384 to 1024.  They draw 20 pairs
  of each kind a text; a step here reads three texts for each of its batch, and 20 steps were behind 60 where 64 texts
  were there, and not behind where there were 16 (docs/log.md).
- ia3: 3e-3 with Adafactor (Liu et al. 2022, T-Few).  prefix 1e-2, p_tuning 1e-3: peft's examples of sequence
  classification (RoBERTa-large), which make 20 and 30 passes; ten are a judgement.  loreft: 9e-4 for LLaMA-7B (width
  4096) and 6e-4 for RoBERTa (768) in the commands of its authors (pyreft, examples/loreft).  bias: the highest rate
  that Ben Zaken et al. (2022) tried.  soft_prompt: Lester et al. (2021) have .3 for T5, beyond what a head that learns
  at the same rate bears; that of prefix is taken.  None of these was compared with other rates here.
- a rate that taught nothing: lora and full are run once more at a quarter of it (`training/rate_restart.py`).
- warm-up: 5 % of the steps, as the papers have it (RoBERTa, Liu et al. 2019: 6 %).
- The end: until version 0.2 training ended after three of ten evaluations without a lower loss.  At 200 steps on 600
  texts that was below the whole schedule on most tasks, LoRA by 2.6 points in the mean and up to 19, scratch by 9.1
  (docs/results/early_end.md): the loss of a validation part is lowest while the rate is high, and what the falling
  rate brings is never reached.
- passes: LoRA and full were measured at 2.7 of them; Devlin et al. have 2 to 4.  10,000 steps: those of the papers.
  200 steps and 1,000 validation texts at most (where something is chosen by them) are judgements: small tasks need
  many passes (Mosbach et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig
from tokenworth.adaptation.tuning_settings import TUNINGS
from tokenworth.settings.declarations import part_of

PROTOCOL: dict[str, Any] = {"steps": 10_000, "lr": 1e-4, "selection": "last", "validation_share": 0.1}
"""What the papers have for the settings that follow the rule otherwise."""
LEAST_STEPS, MOST_STEPS = 200, 10_000
MOST_VALIDATION = 1000
"""Texts of a validation part, where one is asked for."""


@dataclass(frozen=True, slots=True)
class RouteRule:
    """What a trained route is run with, by the width of the model."""

    factor: float | None
    """The rate is this over the width; None: the lowest, which is the highest too, whatever the width."""
    lowest: float
    highest: float
    passes: int
    """Over the training texts."""
    least: int = LEAST_STEPS
    """Steps, however few texts there are."""

    def rate(self, width: int) -> float:
        """The highest learning rate, of two digits."""
        wanted = self.lowest if self.factor is None else self.factor / width
        return float(f"{min(self.highest, max(self.lowest, wanted)):.1e}")

    def steps(self, n_texts: int, batch: int) -> int:
        """Optimiser steps at most, for so many texts to learn from."""
        return min(MOST_STEPS, max(self.least, ceil(self.passes * n_texts / batch)))


RULES = {
    "lora": RouteRule(0.6, 1e-4, 3e-3, 3),
    "full": RouteRule(0.06, 2e-5, 1e-3, 3),
    "contrastive": RouteRule(0.06, 2e-5, 1e-3, 5, least=60),
    "scratch": RouteRule(0.2, 1e-4, 1e-3, 10),
}
assert tuple(RULES) == TRAINED, "every trained route has its rule"
TUNING_RULES = {
    "lora": RULES["lora"],
    "ia3": RouteRule(None, 3e-3, 3e-3, 3),
    "soft_prompt": RouteRule(None, 1e-2, 1e-2, 10),
    "prefix": RouteRule(None, 1e-2, 1e-2, 10),
    "p_tuning": RouteRule(None, 1e-3, 1e-3, 10),
    "loreft": RouteRule(None, 9e-4, 9e-4, 3),
    "last_blocks": RULES["full"],
    "bias": RouteRule(None, 1e-3, 1e-3, 3),
}
"""Of what learns under the route lora."""
assert tuple(TUNING_RULES) == TUNINGS, "every tuning has its rule"


def rule_of(config: AdaptConfig, route: str) -> RouteRule:
    """Of a trained route, under lora that of its tuning."""
    return TUNING_RULES[config.tuning] if route == "lora" else RULES[route]


@dataclass(frozen=True, slots=True)
class TaskSize:
    """What of a task settings depend on."""

    n_texts: int
    """Training texts that a route may use."""
    n_spare: int
    """Of them, those that a validation part may take: two are left in every class."""


def as_published(config: AdaptConfig) -> ResolvedConfig:
    """What is given, and for the rest the papers' protocol."""
    open_to = {name: value for name, value in PROTOCOL.items() if getattr(config, name) is None}
    if config.patience is not None and config.selection is None:
        open_to["selection"] = "lowest_loss"
    return part_of(ResolvedConfig, config, **open_to)


def resolve(
    config: AdaptConfig, route: str, width: int | None, task: TaskSize
) -> tuple[ResolvedConfig, dict[str, str]]:
    """What a route is run with, and why for each setting that the rule chose.

    Args:
        config: what is wished; what is given stays.
        route: one that trains no network has nothing to choose.
        width: numbers of a state of the model; may be None where the rate is given or the route trains nothing.
        task: size of the task.
    """
    if config.protocol or route not in TRAINED:
        return as_published(config), {}
    rule, values = rule_of(config, route), dict[str, Any]()
    reasons: dict[str, str] = {}
    if config.lr is None:
        assert width is not None, "the caller asks for the width where a rate is chosen"
        values["lr"], reasons["lr"] = _rate(rule, width, config.tuning)
    share = _validation_share(task.n_texts) if config.validation_share is None else config.validation_share
    values["validation_share"] = share
    if config.steps is None:
        used = task.n_texts - (min(round(share * task.n_texts), task.n_spare) if _validates(config) else 0)
        values["steps"] = rule.steps(used, config.batch)
        reasons["steps"] = _steps_reason(rule, used, config.batch)
    return as_published(part_of(AdaptConfig, config, **values)), reasons


def _validates(config: AdaptConfig) -> bool:
    """Whether something that was asked for is chosen on a validation part."""
    chosen = config.selection not in (None, "last") or config.patience is not None
    return chosen or config.calibrate or config.thresholds == "chosen"


def needs_width(config: AdaptConfig, route: str) -> bool:
    """Whether the rule chooses the rate."""
    return config.lr is None and not config.protocol and route in TRAINED


def _rate(rule: RouteRule, width: int, tuning: str) -> tuple[float, str]:
    rate = rule.rate(width)
    if rule.factor is None:
        return rate, f"that of tuning {tuning} for any width"
    bounds = "" if rule.lowest < rule.factor / width < rule.highest else f", within {rule.lowest:g} to {rule.highest:g}"
    return rate, f"{rule.factor:g} / width {width}{bounds}"


def _validation_share(n_texts: int) -> float:
    tenth: float = PROTOCOL["validation_share"]
    return tenth if tenth * n_texts <= MOST_VALIDATION else MOST_VALIDATION / n_texts


def _steps_reason(rule: RouteRule, n_texts: int, batch: int) -> str:
    within = f"{rule.least:,} to {MOST_STEPS:,}"
    return f"{rule.passes} passes over {n_texts:,} texts in batches of {batch}, within {within} steps"
