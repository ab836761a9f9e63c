"""What the training loop is told: rows of a step, passes over them, what is watched, and what a checkpoint holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.errors import TokenworthError
from tokenworth.training.devices import Compute

Rows = Any
"""A list or an array; a row is whatever the learner takes it for, such as the number of a text."""


@dataclass(slots=True)
class Position:
    """Where a run stands, saved with every checkpoint; a learner may add counts of its own."""

    step: int = 0
    micro_batch: int = 0
    """Rows of one forward and backward pass at most."""
    halvings: int = 0
    seconds: float = 0.0
    """Of training steps alone."""


class Learner(ABC):
    """What is trained, on what, and what is kept of it: rows of a step, cut into groups of which each is one pass."""

    what: str
    """Name of the work for who watches its progress."""
    failure: type[TokenworthError]
    """What a run that cannot go on raises."""
    other_run: type[TokenworthError]
    """What checkpoints of another run raise."""
    remedy: str
    """Beside a lower rate, against a loss that is no finite number."""
    config: Any
    """Settings, with steps, lr, clip_norm and checkpoint_seconds (the time between checkpoints)."""
    compute: Compute
    model: nn.Module
    """As it is called, wrapped for several processes."""
    parameters: dict[str, nn.Parameter]
    """Those that learn, by name."""
    optimiser: torch.optim.Optimizer
    position: Position
    identity: Any
    """What a checkpoint must agree with to be gone on from, as JSON keeps it."""

    @abstractmethod
    def rows(self, step: int) -> Rows:
        """All rows of a step, counted from 0: a pure function of seed and step."""

    def local_rows(self, rows: Rows) -> Rows:
        """Those of a step's rows that this process reads."""
        processes = self.compute.processes
        return rows[processes.rank :: processes.size]

    @abstractmethod
    def prepare(self, rows: Rows, local: Rows) -> None:
        """Look at a step before its gradient; called again for the same step where memory ran out."""

    @abstractmethod
    def groups(self, local: Rows) -> list[Any]:
        """This process's rows cut into passes of at most `position.micro_batch` rows; never none at all."""

    @abstractmethod
    def loss(self, group: Any) -> tuple[Tensor, Tensor]:
        """What a pass adds to the step's mean: of what is minimised, and of what is reported as the loss."""

    @abstractmethod
    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""

    @abstractmethod
    def accept(self, figures: Mapping[str, float], seconds: float) -> None:
        """A step has been made: note its loss, learning_rate and gradient_norm."""

    @abstractmethod
    def watch(self) -> dict[str, float]:
        """Measure and save what is due before the first step or after one; returns figures for the tracker."""

    @property
    def is_done(self) -> bool:
        """Whether no further step is made: the same answer in every process."""
        return bool(self.position.step >= self.config.steps)

    @abstractmethod
    def begin(self, state: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Begin at `position`, with what `state` and `tensors` gave there; with nothing, where a run is new."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of the learner beside its position, as JSON keeps it."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it beside the parameters, under names that no parameter has."""
        return {}

    @abstractmethod
    def difference(self, kept: Any) -> str:
        """In what an identity differs, for the sentence "the checkpoints in FOLDER ..."; "" where in nothing."""

    @abstractmethod
    def named(self, rows: Rows) -> str:
        """Rows of a step, as a sentence names them."""

    @abstractmethod
    def no_memory(self, size: int) -> str:
        """The end of a sentence: so many rows, for which a device has no memory, and what to do."""

    def diverged(self, sentence: str) -> TokenworthError:
        """What a loss or gradient that is no finite number raises."""
        return self.failure(sentence)

    def explain(self, error: Exception) -> str | None:  # noqa: ARG002
        """The sentence for an error of a pass that the learner understands."""
        return None
