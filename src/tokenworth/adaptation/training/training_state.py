"""What the training loop is given, where it stands, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from tokenworth.adaptation.training.batch_packing import Packer


@dataclass(slots=True)
class Running:
    """Where the loop stands; saved with every checkpoint."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    micro_batch: int = 0
    """Texts of one forward and backward pass."""
    halvings: int = 0
    tokens: int = 0
    places: int = 0
    """Tokens computed, padding included."""
    flops: float = 0.0
    seconds: float = 0.0
    evaluations: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    best_step: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What training gave, apart from the weights themselves."""

    running: Running
    resumed_from_step: int


@dataclass(frozen=True, eq=False, slots=True)
class TrainingData:
    """What the loop learns from.  N texts, C classes."""

    packer: Packer
    labels_N: np.ndarray
    class_weight_C: Tensor
    evaluate: Callable[[], float] | None
    """The metric on the validation part; None where there is none."""
