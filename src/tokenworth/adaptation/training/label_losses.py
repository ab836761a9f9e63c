"""What a step minimises: cross-entropy of one class a text, or of every label by itself where a text may have several.

    one class     sum over texts of  w_y * -log softmax(z)_y
    several       sum over texts of  mean over labels of  -(w_c y_c log sigmoid(z_c) + (1 - y_c) log(1 - sigmoid(z_c)))

Axes: B texts, C classes or labels.
"""

from __future__ import annotations

from torch import Tensor, ones
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def text_weights(targets: Tensor, weights_C: Tensor) -> Tensor:
    """How much each text (B,) counts: by its class, or all alike where it may have several labels."""
    return weights_C[targets] if targets.ndim == 1 else ones(len(targets), device=targets.device)


def summed_loss(logits_BC: Tensor, targets: Tensor, weights_C: Tensor) -> Tensor:
    """The sum over the texts; targets are classes (B,) or 0 and 1 (B, C), whose 1 counts by its label's weight."""
    if targets.ndim == 1:
        return cross_entropy(logits_BC, targets, weight=weights_C, reduction="sum")
    total = binary_cross_entropy_with_logits(logits_BC, targets.to(logits_BC), pos_weight=weights_C, reduction="sum")
    return total / targets.shape[1]
