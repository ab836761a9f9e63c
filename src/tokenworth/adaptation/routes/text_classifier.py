"""The network that is trained: a backbone, a pooling, dropout and one linear layer.

Axes: B texts, D width, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tokenworth.adaptation.training.batch_packing import TextBatch
from tokenworth.backbones import Backbone


class TextClassifier(nn.Module):
    """logits = head(dropout(pooling(states of the last layer)))."""

    def __init__(
        self, model: nn.Module, width: int, n_classes: int, *, pooling: str, dropout: float, bias: bool, seed: int
    ) -> None:
        super().__init__()
        self.model, self.pooling = model, pooling
        self.dropout = nn.Dropout(dropout)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.head = nn.Linear(width * (1 + pooling.count("+")), n_classes, bias=bias)

    def forward(self, batch: TextBatch) -> Tensor:
        """Logits (B, C) in float32."""
        pooled: Tensor = batch.read(batch.states(self.model), self.pooling)
        with torch.autocast(pooled.device.type, enabled=False):
            logits: Tensor = self.head(self.dropout(pooled))
        return logits


def make_classifier(
    backbone: Backbone, n_classes: int, *, pooling: str, dropout: float, bias: bool, seed: int
) -> TextClassifier:
    """A classifier over a backbone, its head drawn from the seed alone and on the backbone's device."""
    classifier = TextClassifier(
        backbone.model, backbone.width, n_classes, pooling=pooling, dropout=dropout, bias=bias, seed=seed
    )
    classifier.head.to(backbone.device)
    return classifier


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that learn, by name."""
    return {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
