"""k nearest neighbours by cosine similarity about the training mean.

Axes: N training texts, M test texts, K neighbours, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 10
_CHUNK = 1024


def nearest_labels(train_ND: Tensor, test_MD: Tensor, *, k: int = NEIGHBOURS) -> tuple[Tensor, Tensor]:
    """Indices (M, K) and similarities (M, K) of the nearest training texts, nearest first.  Cost O(N M D)."""
    mean_D = train_ND.mean(0)
    train_ND = torch.nn.functional.normalize(train_ND - mean_D, dim=1)
    test_MD = torch.nn.functional.normalize(test_MD - mean_D, dim=1)
    chunks = (test_MD[start : start + _CHUNK] for start in range(0, len(test_MD), _CHUNK))
    hits = [(chunk @ train_ND.T).topk(min(k, len(train_ND)), dim=1) for chunk in chunks]
    return torch.cat([hit.indices for hit in hits]), torch.cat([hit.values for hit in hits])


def vote(labels_N: Tensor, nearest_MK: Tensor, similarity_MK: Tensor, n_classes: int) -> Tensor:
    """Most frequent class among the neighbours (M,); ties go to the class whose neighbours are nearer."""
    votes_MC = torch.zeros(len(nearest_MK), n_classes, dtype=torch.float64)
    # A similarity lies in [-1, 1]; a thousandth of it breaks ties and can never outweigh a vote of one among ten.
    weight_MK = 1 + 1e-3 * similarity_MK.to(torch.float64)
    votes_MC.scatter_add_(1, labels_N[nearest_MK], weight_MK)
    return votes_MC.argmax(1)
