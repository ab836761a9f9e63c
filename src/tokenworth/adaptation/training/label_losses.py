"""What a step minimises: cross-entropy of one class a text, or of every label by itself where a text may have several.

    one class     sum over texts of  w_y * -log softmax(z)_y
    several       sum over texts of  mean over labels of  -(w_c y_c log sigmoid(z_c) + (1 - y_c) log(1 - sigmoid(z_c)))

A text that is read in pieces has as many rows, each of which counts as its share of the text.

Axes: B texts or pieces, C classes or labels.
"""

from __future__ import annotations

from torch import Tensor, ones
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def text_weights(targets: Tensor, weights_C: Tensor) -> Tensor:
    """How much each text (B,) counts: by its class, or all alike where it may have several labels."""
    return weights_C[targets] if targets.ndim == 1 else ones(len(targets), device=targets.device)


def summed_loss(logits_BC: Tensor, targets: Tensor, weights_C: Tensor, shares_B: Tensor | None = None) -> Tensor:
    """The sum over the texts; targets are classes (B,) or 0 and 1 (B, C), whose 1 counts by its label's weight.

    ``shares_B``: what part of a text each row is, where rows are pieces of texts.
    """
    if shares_B is not None:
        return (shares_B * _losses(logits_BC, targets, weights_C)).sum()
    if targets.ndim == 1:
        return cross_entropy(logits_BC, targets, weight=weights_C, reduction="sum")
    total = binary_cross_entropy_with_logits(logits_BC, targets.to(logits_BC), pos_weight=weights_C, reduction="sum")
    return total / targets.shape[1]


def _losses(logits_BC: Tensor, targets: Tensor, weights_C: Tensor) -> Tensor:
    """Of each row (B,)."""
    if targets.ndim == 1:
        return cross_entropy(logits_BC, targets, weight=weights_C, reduction="none")
    wanted = targets.to(logits_BC)
    return binary_cross_entropy_with_logits(logits_BC, wanted, pos_weight=weights_C, reduction="none").mean(1)
