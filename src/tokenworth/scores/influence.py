"""What a ridge read-out would say without a training text, in closed form: influence of every text on every score.

With the rows about their mean in coordinates of unit variance U (N, D), one-hot labels Y, and the penalty p of `ridge`,

    h(x, i) = 1/N + u(x)' (U'U + N p I)^-1 u_i                  weight of text i in the score of a text x
    f(x) = sum_i h(x, i) y_i                                    the read-out
    r_i = (y_i - f(x_i)) / (1 - h(i, i))                        residual of text i by the read-out that never saw it
    f(x) - f_without_i(x) = h(x, i) r_i                         Sherman and Morrison (1950)
    f(x) - f_without_G(x) = h(x, G) (I - h(G, G))^-1 (y_G - f(x_G))    the same of a group (Woodbury)

Exact, and equal to refitting: weights and intercept are refitted without the text.  What stays as it was on all texts
is the penalty (N p in the units of U, and with it the standardisation) and whatever was chosen before the fit, such as
the layer and the pooling.

Sources: Allen (1974), Technometrics 16(1), 125-127; Cook (1977), Technometrics 19(1), 15-18.
Axes: N training texts, M texts asked about, G texts of a group, C classes, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.whitening import unit_scale

_FEW = 0.5  # texts to a direction: a factor of N x N then costs less than one of D x D


@dataclass(frozen=True, eq=False, slots=True)
class Influence:
    """A ridge read-out by its training texts.  Memory: N (D + 3 C) numbers of 8 bytes."""

    mean_D: Tensor
    """Of the training texts."""
    root_DK: Tensor
    """h(x, i) = 1/N + (x - mean)' root root' (x_i - mean); K is D, or N where texts are few."""
    rows_NK: Tensor
    """(x_i - mean)' root of each training text."""
    labels_NC: Tensor
    """One-hot."""
    fitted_NC: Tensor
    """What the read-out says of its training texts."""
    residual_NC: Tensor
    """r: the label less what the read-out without the text says of it."""

    @classmethod
    def of(cls, train_ND: Tensor, labels_N: Tensor, n_classes: int, penalty: float) -> Influence:
        """The read-out that `ridge` fits at a penalty.  Cost O(N D^2 + D^3), or O(N^2 D + N^3) where texts are few.

        Args:
            train_ND: pooled texts (N, D), any floating dtype.
            labels_N: class indices (N,).
            n_classes: C.
            penalty: of coordinates of unit variance, as `ridge` chooses it.

        Raises:
            ValueError: fewer than two texts, or a penalty of 0 or less, at which 1 - h(i, i) can vanish.
        """
        if len(train_ND) < 2 or penalty <= 0:
            raise ValueError(f"{len(train_ND)} texts at the penalty {penalty}: needs two texts and a penalty above 0")
        rows_ND, n = train_ND.to(torch.float64), len(train_ND)
        mean_D = rows_ND.mean(0)
        centred_ND = rows_ND - mean_D
        variance_D = centred_ND.square().mean(0)
        scale_D = unit_scale(variance_D, variance_D + mean_D.square())
        root_DK = _root(centred_ND / scale_D, n * penalty) / scale_D[:, None]
        rows_NK = centred_ND @ root_DK
        labels_NC = _one_hot(labels_N, n_classes)
        share_C = labels_NC.mean(0)
        fitted_NC = share_C + rows_NK @ (rows_NK.T @ (labels_NC - share_C))
        left_N = 1 - 1 / n - rows_NK.square().sum(1)
        return cls(mean_D, root_DK, rows_NK, labels_NC, fitted_NC, (labels_NC - fitted_NC) / left_N[:, None])

    @property
    def n_texts(self) -> int:
        """N."""
        return len(self.rows_NK)

    def weights(self, asked_MD: Tensor) -> Tensor:
        """h(x, i): how much the label of training text i counts in the scores of a text x (M, N); rows sum to 1."""
        placed_MK = (asked_MD.to(torch.float64) - self.mean_D) @ self.root_DK
        return (placed_MK @ self.rows_NK.T).add_(1 / self.n_texts)

    def decision(self, asked_MD: Tensor) -> Tensor:
        """Scores (M, C) of texts by the read-out of all training texts."""
        return self.weights(asked_MD) @ self.labels_NC

    def leave_one_out(self) -> Tensor:
        """Scores (N, C) of each training text by the read-out that never saw it."""
        return self.labels_NC - self.residual_NC

    def on_scores(self, asked_MD: Tensor, classes_M: Tensor) -> Tensor:
        """f(x) - f_without_i(x) (M, N) of one class a text: above 0 where training text i speaks for it."""
        return self.weights(asked_MD) * self.residual_NC[:, classes_M].T

    def on_loss(self, asked_MD: Tensor, labels_M: Tensor) -> Tensor:
        """Mean squared error over one-hot labels of some texts, less what it is without training text i (N,).

        Above 0 where the text harms: without it the loss is lower by so much.  The sum over texts x of

            |f - y|^2 - |f - h r - y|^2 = h r' (2 (f - y) - h r).        Cost O(M N (K + C))
        """
        harm_N, n_classes = torch.zeros(self.n_texts, dtype=torch.float64), self.labels_NC.shape[1]
        step = max(1, _MOST_WEIGHTS // self.n_texts)
        for start in range(0, len(asked_MD), step):
            weight_MN = self.weights(asked_MD[start : start + step])
            apart_MC = weight_MN @ self.labels_NC - _one_hot(labels_M[start : start + step], n_classes)
            harm_N += 2 * ((weight_MN.T @ apart_MC) * self.residual_NC).sum(1)
            harm_N -= weight_MN.square().sum(0) * self.residual_NC.square().sum(1)
        return harm_N / max(len(asked_MD), 1)

    def decision_without(self, asked_MD: Tensor, group_G: Tensor) -> Tensor:
        """Scores (M, C) of texts by the read-out fitted without a group of training texts, named by their places."""
        weight_MN, of_group_GK = self.weights(asked_MD), self.rows_NK[group_G]
        left_GG = torch.eye(len(group_G), dtype=torch.float64) - 1 / self.n_texts - of_group_GK @ of_group_GK.T
        held_out_GC = torch.linalg.solve(left_GG, (self.labels_NC - self.fitted_NC)[group_G])
        return weight_MN @ self.labels_NC - weight_MN[:, group_G] @ held_out_GC


_MOST_WEIGHTS = 2**24
"""Of h(x, i) at a time: 128 MB."""


def _one_hot(labels_N: Tensor, n_classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels_N.long(), n_classes).to(torch.float64)


def _root(scaled_ND: Tensor, ridge: float) -> Tensor:
    """root (D, K) with root root' u = (U'U + ridge I)^-1 u for every row u of U (N, D).

    Where texts are few their rows span at most N directions: with U' = Q T, Q (D, N) orthonormal, it is
    Q (T T' + ridge I)^-1 Q' u.
    """
    n, width = scaled_ND.shape
    few = n < _FEW * width
    basis_DK, upper = torch.linalg.qr(scaled_ND.T) if few else (None, scaled_ND.T)
    square_KK = upper @ upper.T
    square_KK.diagonal().add_(ridge)
    lower_KK = torch.linalg.cholesky(square_KK)
    root_KK = torch.linalg.solve_triangular(lower_KK, torch.eye(len(lower_KK), dtype=torch.float64), upper=False).T
    return root_KK if basis_DK is None else basis_DK @ root_KK
