"""Adafactor as the protocol sets it.

Source: Shazeer and Stern (2018), Adafactor: Adaptive Learning Rates with Sublinear Memory Cost.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.training.devices import whole

_DECAY = -0.8
_EPS = 1e-30
_TALL = 4
"""An embedding has many times more rows than columns; the gradient of few of them is handled alone."""


class Adafactor(torch.optim.Optimizer):
    """Adafactor without relative step, parameter scaling and first moment, as the protocol has it.

        row, col = b row + (1 - b) mean_j (g^2 + 1e-30), the same over i          b = 1 - step^-0.8
        update   = g (row_i / mean(row))^-1/2 col_j^-1/2, divided by max(1, RMS(update) / clip_threshold)
        weights  = (1 - lr weight_decay) weights - lr update

    The same numbers as transformers' class to rounding (a test says so) in a quarter of its time on a CPU: sums over
    rows and columns are matrix products, no second matrix of the update's size is made, no RMS of the weights, and
    of an embedding only the rows of the batch's tokens are moved.
    """

    def __init__(
        self, parameters: list[nn.Parameter], *, lr: float, clip_threshold: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "clip_threshold": clip_threshold, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None, "the loop computes gradients itself"
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is not None:
                    self._update(weights, weights.grad.float(), group)

    def _update(self, weights: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weights]
        state["step"] = state.get("step", 0) + 1
        kept = 1 - state["step"] ** _DECAY
        decayed = 1 - group["lr"] * group["weight_decay"]
        if torch.tensor(decayed, dtype=weights.dtype) != 1:  # as that of the protocol is in float32
            weights.mul_(decayed)
        rows = _rows_with_gradient(grad)
        if rows is not None:
            update = _factored_rows(grad, rows, state, kept)
        elif grad.ndim > 1:  # the second moment of a matrix is kept as that of rows and columns
            row, column = _factors(*_means(grad.square()), state, kept)
            update = (grad * row.unsqueeze(-1)).mul_(column.unsqueeze(-2))
        else:
            update = _plain(grad, state, kept)
        rms = float(whole(torch.linalg.vector_norm(update))) / grad.numel() ** 0.5
        rate = group["lr"] / max(1.0, rms / group["clip_threshold"])
        if rows is not None:
            weights.index_add_(0, rows, update.to(weights.dtype), alpha=-rate)
        else:
            weights.add_(update, alpha=-rate)


def _rows_with_gradient(grad: Tensor) -> Tensor | None:
    """The rows of an embedding's gradient that are not zero, if they are few: those of the texts' tokens."""
    if isinstance(grad, DTensor) or grad.ndim != 2 or len(grad) < _TALL * grad.shape[1]:
        return None
    rows = torch.linalg.vector_norm(grad, dim=1).nonzero().squeeze(1)
    return rows if len(rows) < len(grad) / _TALL else None


def _factored_rows(grad: Tensor, rows: Tensor, state: dict[str, Any], kept: float) -> Tensor:
    """Some rows of the scaled gradient of a matrix, of which all others are zero."""
    few = grad[rows]
    square = few.square()
    row = torch.zeros(len(grad), device=grad.device).index_copy_(0, rows, square.mean(dim=1))
    scale, column = _factors(row, square.sum(dim=0) / len(grad), state, kept)
    return few.mul_(scale[rows].unsqueeze(-1)).mul_(column)


def _factors(row: Tensor, column: Tensor, state: dict[str, Any], kept: float) -> tuple[Tensor, Tensor]:
    """What rows and columns are multiplied by, from this step's mean squares and those before."""
    if "row" not in state:
        state["row"], state["column"] = torch.zeros_like(row), torch.zeros_like(column)
    row = state["row"].mul_(kept).add_(row + _EPS, alpha=1 - kept)
    column = state["column"].mul_(kept).add_(column + _EPS, alpha=1 - kept)
    return (row / row.mean(dim=-1, keepdim=True)).rsqrt_(), column.rsqrt()


def _means(square: Tensor) -> tuple[Tensor, Tensor]:
    """Means over columns and over rows; a product with ones is many times faster than a sum down the columns."""
    if square.ndim != 2 or isinstance(square, DTensor):
        return square.mean(dim=-1), square.mean(dim=-2)
    n, m = square.shape
    return square.mv(square.new_full((m,), 1 / m)), square.new_full((1, n), 1 / n).mm(square)[0]


def _plain(grad: Tensor, state: dict[str, Any], kept: float) -> Tensor:
    """The scaled gradient of a vector."""
    if "square" not in state:
        state["square"] = torch.zeros_like(grad)
    mean = state["square"].mul_(kept).add_(grad.square() + _EPS, alpha=1 - kept)
    return mean.rsqrt().mul_(grad)


def make_optimiser(parameters: dict[str, nn.Parameter], config: ResolvedConfig) -> torch.optim.Optimizer:
    """The optimiser of the protocol over the parameters that learn."""
    learning, decay = list(parameters.values()), config.weight_decay
    return Adafactor(learning, lr=config.lr, clip_threshold=config.clip_threshold, weight_decay=decay)
