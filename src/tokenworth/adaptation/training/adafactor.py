"""Adafactor as the protocol sets it.

Source: Shazeer and Stern (2018), Adafactor: Adaptive Learning Rates with Sublinear Memory Cost.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.training.devices import whole

_DECAY = -0.8
_EPS = 1e-30
_TOGETHER = 2**18
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
            learning = [weights for weights in group["params"] if weights.grad is not None]
            for state in (self.state[weights] for weights in learning):
                state["step"] = state.get("step", 0) + 1
            decayed = 1 - group["lr"] * group["weight_decay"]
            for several in _alike(learning, [self.state[weights]["step"] for weights in learning]):
                if torch.tensor(decayed, dtype=several[0].dtype) != 1:  # as that of the protocol is in float32
                    torch._foreach_mul_(several, decayed)
                self._update(several, group)

    def _update(self, several: list[Tensor], group: dict[str, Any]) -> None:
        """Update parameters of one shape."""
        states = [self.state[weights] for weights in several]
        kept = 1 - states[0]["step"] ** _DECAY
        grads = [cast("Tensor", weights.grad).float() for weights in several]
        found = _rows_with_gradient(grads[0]) if len(several) == 1 else None
        if found is not None:
            rows, few = found
            update = _factored_rows(rows, few, len(grads[0]), states[0], kept)[None]
        else:
            stacked = torch.stack(grads) if len(grads) > 1 else grads[0][None]
            scaled = _factored if stacked.ndim > 2 else _plain  # a matrix keeps means of its rows and of its columns
            update = scaled(stacked, states, kept)
        norms = torch.linalg.vector_norm(update.flatten(1), dim=1) if len(several) > 1 else _norm(update[0])
        rates = group["lr"] / (norms / (several[0].numel() ** 0.5 * group["clip_threshold"])).clamp_(min=1)
        update.mul_(-rates.view(-1, *(1,) * (update.ndim - 1)))
        if found is not None:
            several[0].index_add_(0, rows, update[0].to(several[0].dtype))
        else:
            torch._foreach_add_(several, list(update.unbind()))


def _alike(learning: list[Tensor], steps: list[int]) -> list[list[Tensor]]:
    """Parameters of one shape and format together, few enough numbers that all passes find them in a cache."""
    kinds: dict[tuple[Any, ...], list[list[Tensor]]] = {}
    for place, (weights, step) in enumerate(zip(learning, steps, strict=True)):
        alone = place if isinstance(weights, DTensor) or cast("Tensor", weights.grad).is_sparse else None
        lists = kinds.setdefault((weights.shape, weights.dtype, weights.device, step, alone), [[]])
        most = max(1, _TOGETHER // weights.numel()) if weights.device.type == "cpu" else len(learning)
        if len(lists[-1]) == most:
            lists.append([])
        lists[-1].append(weights)
    return [several for lists in kinds.values() for several in lists]


def _norm(update: Tensor) -> Tensor:
    """Of one update that may be spread over processes."""
    return whole(torch.linalg.vector_norm(update))[None]


def sparse_embeddings(model: nn.Module) -> None:
    """From now on the gradient of a tall embedding has only the rows of a batch's tokens.

    A dense one is written, read for its norm and looked through for these rows, over and over for a few hundred tokens.
    """
    for part in model.modules():
        if isinstance(part, nn.Embedding) and not part.scale_grad_by_freq and _is_tall(part.weight):
            part.sparse = True


def _is_tall(matrix: Tensor) -> bool:
    return matrix.ndim == 2 and len(matrix) >= _TALL * matrix.shape[1]


def _rows_with_gradient(grad: Tensor) -> tuple[Tensor, Tensor] | None:
    """Numbers and gradients of the rows of an embedding that have one, if they are few: those of the texts' tokens."""
    if grad.is_sparse:
        grad = grad.coalesce()
        return grad.indices()[0], grad.values()
    if isinstance(grad, DTensor) or not _is_tall(grad):
        return None
    rows = torch.linalg.vector_norm(grad, dim=1).nonzero().squeeze(1)
    return (rows, grad[rows]) if len(rows) < len(grad) / _TALL else None


def _factored_rows(rows: Tensor, few: Tensor, n: int, state: dict[str, Any], kept: float) -> Tensor:
    """Some rows of the scaled gradient of a matrix of n rows, of which all others are zero."""
    square = few.square()
    row = torch.zeros(n, device=few.device).index_copy_(0, rows, square.mean(dim=1))
    scale, column = _factors(row[None], (square.sum(dim=0) / n)[None], [state], kept)
    return few.mul(scale[0][rows].unsqueeze(-1)).mul_(column[0])


def _factored(grads: Tensor, states: list[dict[str, Any]], kept: float) -> Tensor:
    """Scaled gradients (n, ..., rows, columns) of n matrices, or of n batches of them."""
    row, column = _factors(*_means(grads.square()), states, kept)
    return (grads * row.unsqueeze(-1)).mul_(column.unsqueeze(-2))


def _factors(row: Tensor, column: Tensor, states: list[dict[str, Any]], kept: float) -> tuple[Tensor, Tensor]:
    """What rows (n, rows) and columns (n, columns) are multiplied by, from this step's mean squares and before."""
    row, column = _mean(row, states, "row", kept), _mean(column, states, "column", kept)
    return (row / row.mean(dim=-1, keepdim=True)).rsqrt_(), column.rsqrt()


def _mean(new: Tensor, states: list[dict[str, Any]], name: str, kept: float) -> Tensor:
    """Running mean of what is new, one a state; the states keep it."""
    for place, state in enumerate(states):
        if name not in state:
            state[name] = torch.zeros_like(new[place])
    before = [state[name] for state in states]
    mean = (torch.stack(before) if len(before) > 1 else before[0][None]).mul(kept).add_(new + _EPS, alpha=1 - kept)
    if len(before) > 1:
        torch._foreach_copy_(before, list(mean.unbind()))
    else:
        before[0].copy_(mean[0])
    return mean


def _means(square: Tensor) -> tuple[Tensor, Tensor]:
    """Means over columns and over rows; a product with ones is many times faster than a sum down the columns."""
    if square.ndim != 3 or isinstance(square, DTensor):
        return square.mean(dim=-1), square.mean(dim=-2)
    n, rows, columns = square.shape
    row = square.view(n * rows, columns).mv(square.new_full((columns,), 1 / columns)).view(n, rows)
    return row, torch.matmul(square.new_full((1, rows), 1 / rows), square).squeeze(1)


def _plain(grads: Tensor, states: list[dict[str, Any]], kept: float) -> Tensor:
    """Scaled gradients (n, numbers) of n vectors, or (n,) of n numbers."""
    return _mean(grads.square(), states, "square", kept).rsqrt().mul_(grads)


def make_optimiser(parameters: dict[str, nn.Parameter], config: ResolvedConfig) -> torch.optim.Optimizer:
    """The optimiser of the protocol over the parameters that learn."""
    learning, decay = list(parameters.values()), config.weight_decay
    return Adafactor(learning, lr=config.lr, clip_threshold=config.clip_threshold, weight_decay=decay)
