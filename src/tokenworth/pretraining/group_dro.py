"""Group DRO over the sources of a run: a source counts for more while it is predicted worse than it could be.

With K sources, at every step, for source i with tokens B_i in the step:

    excess_i  =  mean over B_i of max(proxy's -log p  -  reference's -log p, 0)         the token could be had cheaper
    weight_i <-  (1 - c) weight_i exp(eta excess_i) / sum_j (...)  +  c / K             kept away from 0 by c
    loss      =  sum_i weight_i (mean over B_i of the proxy's -log p)                   what the proxy learns from

What no model can learn costs proxy and reference the same, what is learnt soon is as good as the reference's: both lose
weight to sources that still have something to be learnt.  The weights of a run are their mean over its steps.

Source: Xie et al. (2023), DoReMi, NeurIPS, arXiv 2305.10429, algorithm 1 (eta 1, c .001); Sagawa et al. (2020), ICLR,
arXiv 1911.08731 (group DRO).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError, first_line
from tokenworth.pretraining.next_token_objective import NextToken
from tokenworth.pretraining.pretraining_settings import PretrainConfig
from tokenworth.pretraining.published_models import load_model
from tokenworth.settings import Fraction, Positive, Settings

Chosen = list[tuple[int, int]]
"""(source, place) of sequences."""


LossesOf = Callable[..., Tensor]
"""Sequences, and perhaps a model other than the one in training, to -log p of every token, (B, T) nats on the CPU."""


def reweighted(weights_K: Floats, excess_K: Floats, *, step_size: float, smoothing: float) -> Floats:
    """One multiplicative step: (1 - c) w exp(eta excess) / sum + c / K, of excess in nats a token; sums to 1."""
    raised_K = weights_K * np.exp(step_size * (excess_K - excess_K.max()))  # the same shares, without overflow
    return (1 - smoothing) * raised_K / raised_K.sum() + smoothing / len(weights_K)


class GroupDRO:
    """The weights of a run's sources, step by step."""

    def __init__(self, reference: NextToken, names: Sequence[str], *, step_size: float, smoothing: float) -> None:
        self.reference, self.names = reference, list(names)
        self.step_size, self.smoothing = step_size, smoothing
        self.weights_K = np.full(len(names), 1 / len(names))
        self.excess_K = np.zeros(len(names))
        self._next: tuple[Floats, Floats, Floats] | None = None

    def weigh(self, local: Chosen, losses_of: LossesOf, add_up: Callable[[Tensor], None]) -> None:
        """Weights of a step from the excess losses on it; a source that is not in it keeps its last excess loss.

        May be called again for the same step, where memory ran out.  `local` are the sequences that this process reads,
        `add_up` sums a float64 tensor over the processes, in place.
        """
        over_BT = (losses_of(local) - losses_of(local, self.reference)).clamp(min=0).double()
        source_B = torch.tensor([source for source, _ in local])
        sums_3K = torch.zeros(3, len(self.names), dtype=torch.float64)  # nats, tokens, sequences
        parts = (over_BT.sum(1), torch.full((len(local),), float(over_BT.shape[1])), torch.ones(len(local)))
        for place, values_B in enumerate(parts):
            sums_3K[place].index_add_(0, source_B, values_B.double())
        add_up(sums_3K)
        nats_K, tokens_K, count_K = sums_3K.numpy()
        excess_K = np.where(tokens_K > 0, nats_K / np.maximum(tokens_K, 1), self.excess_K)
        weights_K = reweighted(self.weights_K, excess_K, step_size=self.step_size, smoothing=self.smoothing)
        self._next = weights_K, excess_K, count_K / count_K.sum()

    def scale(self, part: Chosen) -> Tensor:
        """(B,) what each of some sequences counts for: its source's weight over the source's share of the step."""
        assert self._next is not None, "a step is weighed before its gradient"
        weights_K, _, share_K = self._next
        return torch.tensor([weights_K[source] / share_K[source] for source, _ in part], dtype=torch.float32)

    def accept(self) -> dict[str, Any]:
        """The step was made: go on from it; returns its weights and excess losses, by source."""
        assert self._next is not None, "a step is weighed before it is made"
        self.weights_K, self.excess_K, _ = self._next
        return self.state()

    def state(self) -> dict[str, Any]:
        """Weights and excess losses by source."""
        kept = {"weights": self.weights_K, "excess": self.excess_K}
        return {what: dict(zip(self.names, values_K.tolist(), strict=True)) for what, values_K in kept.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """JSON keeps every bit of a float."""
        self.weights_K, self.excess_K = (
            np.array([state[what][name] for name in self.names]) for what in ("weights", "excess")
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExcessLoss(Settings):
    """Settings of group DRO against a reference."""

    reference: str
    """Folder of a checkpoint with the run's tokenizer."""
    step_size: Positive = 1.0
    """eta: how fast weights follow excess losses."""
    smoothing: Fraction = 1e-3
    """c: the part of the weights that is given to all sources alike at every step."""

    def facts(self) -> dict[str, Any]:
        """Step size, smoothing, and the reference by the content of its weights."""
        digest = hashlib.sha256()
        try:
            for file in sorted(Path(self.reference).glob("*.safetensors")):
                digest.update(file.read_bytes())
        except OSError as error:
            raise SettingError(f"the reference {self.reference} cannot be read ({first_line(error)})") from error
        return {"step_size": self.step_size, "smoothing": self.smoothing, "reference": digest.hexdigest()[:16]}

    def begin(self, config: PretrainConfig, device: torch.device) -> GroupDRO:
        """With the reference loaded, frozen.

        Raises:
            SettingError: it cannot be loaded, or reads less than the run's context.
        """
        model = load_model(self.reference, config.training).to(device).eval().requires_grad_(requires_grad=False)
        reference = NextToken(model, cross_documents=config.training.cross_documents)
        return GroupDRO(reference, list(config.sources), step_size=self.step_size, smoothing=self.smoothing)
