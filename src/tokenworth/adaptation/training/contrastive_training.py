"""What the route contrastive brings to the training loop: pairs of texts, and how like each other they shall be.

    loss = mean over texts of ((cos(text, one of its class) - 1)^2 + cos(text, one of another class)^2) / 2

Source: Tunstall et al. (2022), 2209.11055, section 3; the loss is CosineSimilarityLoss of sentence-transformers.

Axes: B texts of a batch, U different texts that a pass reads, D width of what the head reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tokenworth.adaptation.routes.tuned_predictor import TextClassifier
from tokenworth.adaptation.training.batch_cuts import Group
from tokenworth.adaptation.training.batch_packing import TextBatch
from tokenworth.adaptation.training.label_losses import text_weights
from tokenworth.adaptation.training.route_training import RouteLearner
from tokenworth.adaptation.training.text_pairs import TextPairs


class PooledTexts(nn.Module):
    """A classifier without its head."""

    def __init__(self, classifier: TextClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: TextBatch) -> Tensor:
        """Texts (B, D), float32."""
        return self.classifier.pooled(batch)


class ContrastiveLearner(RouteLearner):
    """The backbone learns which texts are of one class; the head is fitted when it has."""

    def __init__(self, classifier: TextClassifier, *data: Any, **more: Any) -> None:
        classifier.head.requires_grad_(False)
        super().__init__(classifier, *data, **more)
        self.pairs = TextPairs(self.data.labels_N, self.seed)
        if not self.data.packer.backbone.structure.reads_padding:
            self.data.packer.in_one_pass()  # pairs are compared within a pass

    def called(self) -> nn.Module:
        """The backbone and the pooling behind it."""
        return PooledTexts(self.classifier)

    def groups(self, local: np.ndarray) -> list[Group]:
        """The texts of the batch as they were drawn; their partners come with them."""
        most = self.position.micro_batch
        cut = [Group(local[start : start + most], packed=False) for start in range(0, len(local), most)]
        return cut or [Group(np.array([0]), packed=False)]

    def loss(self, group: Group) -> tuple[Tensor, Tensor]:
        """Weighted by the class of the text, as its share of the batch's mean."""
        same_B, other_B = self.pairs.of(self.position.step, group.rows)
        pooled_UD, place_N = self._pooled(self.pairs.texts(self.position.step, group.rows))
        text_BD, same_BD, other_BD = (pooled_UD[place_N[rows]] for rows in (group.rows, same_B, other_B))
        near_B, far_B = (nn.functional.cosine_similarity(text_BD, partner_BD) for partner_BD in (same_BD, other_BD))
        labels_B = self.labels_P[torch.from_numpy(group.rows).to(self.compute.device)]
        weight_B = self._share * text_weights(labels_B, self.weights_C)
        loss: Tensor = (weight_B * ((near_B - 1).square() + far_B.square())).sum() / 2
        return loss, loss.detach()

    def _pooled(self, rows_U: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pooled texts (U, D) of one pass, and where each text lies among them (N,)."""
        passes = self.data.packer.plan(rows_U, len(rows_U))
        pooled, place_N = [], torch.zeros(len(self.data.labels_N), dtype=torch.int64, device=self.compute.device)
        for group in passes:  # one, unless texts of one length alone share a pass
            batch = self.data.packer.batch(group)
            with self.compute.autocast(next(iter(self.parameters.values())).dtype):
                pooled.append(self.model(batch))
            self._count(batch, group)
        order_U = torch.from_numpy(np.concatenate([group.rows for group in passes])).to(self.compute.device)
        place_N[order_U] = torch.arange(len(rows_U), device=self.compute.device)
        return torch.cat(pooled), place_N
