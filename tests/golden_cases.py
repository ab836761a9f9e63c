"""The golden cases: what the package is asked, by the front door, about made-up inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import golden_corpora
import golden_judgements
import golden_real
import golden_routes
import golden_runs

UNITS = {"float32": 2.0**-23, "bfloat16": 2.0**-8}
"""A unit in the last place of 1."""
ROUNDINGS = 256
"""Units in the last place that a forward pass and what is computed of it may be off; so much again for each step."""


@dataclass(frozen=True)
class Case:
    """A case: what makes its facts, in which format, and how many steps of training lie behind them."""

    make: Callable[[Path], Any]
    dtype: str = "float32"
    steps: int = 0
    real: bool = False

    @property
    def rounding(self) -> float:
        """What numbers of it may differ by on another machine, relative to themselves or to 1."""
        return ROUNDINGS * UNITS[self.dtype] * (1 + self.steps)


CASES = {
    "assess-float32": Case(golden_judgements.assess_float32),
    "assess-bfloat16": Case(golden_judgements.assess_bfloat16, "bfloat16"),
    "assess-two-processes": Case(golden_judgements.assess_in_two_processes),
    "rank": Case(golden_judgements.rank),
    "decide": Case(golden_judgements.decide),
    "scaling": Case(golden_judgements.scaling),
    "measures": Case(golden_judgements.measures),
    "untrained": Case(golden_routes.untrained),
    "lora": Case(golden_routes.lora, steps=12),
    "lora-bfloat16": Case(golden_routes.lora_bfloat16, "bfloat16", steps=12),
    "full": Case(golden_routes.full, steps=12),
    "scratch": Case(golden_routes.scratch, steps=12),
    "adapt-resumed": Case(golden_routes.resumed, steps=12),
    "adapt-two-processes": Case(golden_routes.two_processes, steps=12),
    "study": Case(golden_routes.study, steps=4),
    "pretrain": Case(golden_runs.dense, steps=16),
    "pretrain-experts": Case(golden_runs.experts, steps=16),
    "pretrain-parts-of-2017": Case(golden_runs.parts_of_2017, steps=16),
    "pretrain-resumed": Case(golden_runs.resumed, steps=16),
    "pretrain-two-processes": Case(golden_runs.two_processes, steps=16),
    "mixture": Case(golden_runs.mixture, steps=16),
    "trace": Case(golden_runs.trace, steps=16),
    "corpus": Case(golden_corpora.build),
    "corpus-calls": Case(golden_corpora.calls),
    "tokenizers": Case(golden_corpora.tokenizers),
    "real-assess": Case(golden_real.assess, "bfloat16", real=True),
    "real-rank": Case(golden_real.rank, real=True),
    "real-decide": Case(golden_real.decide, real=True),
    "real-routes": Case(golden_real.routes, steps=30, real=True),
    "real-runs": Case(golden_real.runs, steps=60, real=True),
    "real-corpus": Case(golden_real.corpus, real=True),
    "real-measures": Case(golden_real.measures, real=True),
}
