"""How much each sequence of a step counts: the seam through which group DRO enters the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from tokenworth.pretraining.next_token_objective import NextToken
from tokenworth.pretraining.pretraining_settings import PretrainConfig

Chosen = list[tuple[int, int]]
"""(source, place) of sequences."""


class LossesOf(Protocol):
    """What the loop lends: how well a model predicts sequences now."""

    def __call__(self, chosen: Chosen, objective: NextToken | None = None) -> Tensor:
        """-log p of every token, (B, T) nats on the CPU; of the model in training unless another one is named."""


class Evenly:
    """Every sequence counts the same: next-token training as it is."""

    def weigh(self, own: Chosen, losses_of: LossesOf, add_up: Callable[[Tensor], None]) -> None:
        """Look at a step before its gradient; may be called again for the same step, where memory ran out.

        Args:
            own: sequences of the step that this process reads.
            losses_of: measures them.
            add_up: sums a float64 tensor over the processes, in place.
        """

    def scale(self, part: Chosen) -> Tensor | None:  # noqa: ARG002
        """(B,) what each of some sequences of the step counts for, 1 on average over it; None: 1."""
        return None

    def accept(self) -> dict[str, Any]:
        """The step was made: go on from it, and say what belongs into its line of the journal."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold to go on, as JSON keeps it."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint held."""


class Emphasis(Protocol):
    """Settings of a run's emphasis: data that is noted with the run and makes the working object late."""

    def facts(self) -> dict[str, Any]:
        """Everything the run's numbers depend on through it, as JSON keeps it."""

    def made(self, config: PretrainConfig, device: torch.device) -> Evenly:
        """The object that the loop asks."""
