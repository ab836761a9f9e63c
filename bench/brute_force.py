"""The scores once more from their definitions: numpy, float64, no second moments, the texts' states themselves.

Subspaces come from QR and SVD of the data matrices, losses from least squares, evidence from the singular values of
the texts: nothing squares a condition number.  The one exception is `published_code`, whose thresholds are absolute.
`tests/slow_truth.py` does the same more slowly, for small planted samples.

Axes: N texts, P pairs of prefix and next state, D width, C classes, r label directions, K directions of a curve.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

Array = NDArray[np.float64]
RIDGE, PENALTIES = 1e-8, np.logspace(-8, 4, 61)


def pairs(texts: list[Array]) -> tuple[Array, Array]:
    """Every prefix sum (P, D) and the state after it (P, D)."""
    prefixes, following = [text.cumsum(0)[:-1] for text in texts], [text[1:] for text in texts]
    return np.concatenate(prefixes), np.concatenate(following)


def spread(texts: list[Array]) -> Array:
    """Root mean square of the prefixes about t times the mean state (D,), per text: what C0 is scaled by."""
    mean_D = pairs(texts)[1].mean(0)
    prefixes = pairs([text - mean_D for text in texts])[0]
    scale_D: Array = np.sqrt(np.square(prefixes).sum(0) / len(texts))
    return scale_D


def encoder(texts: list[Array]) -> tuple[Array, Array, float, float]:
    """Directions V (D, D), best first, their share of E1 (D,), E1, and the condition number of the scaled C0.

    The ridge of 1e-8 stands below the scaled prefixes as rows of their own.
    """
    s_PD, h_PD = (side / np.sqrt(len(texts)) for side in pairs(texts))
    scale_D, width = spread(texts), s_PD.shape[1]
    q_PD, r_DD = np.linalg.qr(np.vstack([s_PD / scale_D, np.sqrt(RIDGE) * np.eye(width)]))
    left, singular, _ = np.linalg.svd(q_PD[: len(s_PD)].T @ h_PD)
    values = np.linalg.svd(r_DD, compute_uv=False) ** 2
    energy = float(np.square(h_PD).sum())
    directions = scipy.linalg.solve_triangular(r_DD, left) / scale_D[:, None]
    return directions, singular**2 / energy, energy, float(values[0] / values[-1])


def orthonormal(columns: Array) -> Array:
    """Columns of which the first k span the first k given ones."""
    result: Array = np.linalg.qr(columns / np.linalg.norm(columns, axis=0))[0]
    return result


def overlap(v_DD: Array, u_Dr: Array) -> Array:
    """|P_k U|^2 / |U|^2 for k = 1 .. D."""
    curve: Array = np.square(orthonormal(v_DD).T @ u_Dr).sum(1).cumsum() / np.square(u_Dr).sum()
    return curve


def log2_area(curve_D: Array) -> float:
    """Mean height over log2 k."""
    log_k = np.log2(np.arange(1, len(curve_D) + 1))
    return float(np.trapezoid(curve_D, log_k) / log_k[-1])


class Labelled:
    """Pooled texts (N, D) and one-hot labels (N, C), centred, with one SVD of the texts in unit variance, or in units
    that are given.
    """

    def __init__(self, z_ND: Array, labels_N: NDArray[np.int64], n_classes: int, scale_D: Array | None = None) -> None:
        self.raw_ND, self.labels_N, self.n_classes = z_ND, labels_N, n_classes
        self.z_ND = z_ND - z_ND.mean(0)
        y_NC = np.eye(n_classes)[labels_N]
        self.share_C = y_NC.mean(0)
        self.y_NC = y_NC - self.share_C
        self.scale_D = np.sqrt(np.square(self.z_ND).mean(0)) if scale_D is None else scale_D
        left, values, right = np.linalg.svd(self.z_ND / self.scale_D / np.sqrt(len(z_ND)), full_matrices=False)
        self.rank = min(len(z_ND) - 1, z_ND.shape[1])
        self.left_NR, self.values_R, self.right_RD = left[:, : self.rank], values[: self.rank], right[: self.rank]

    def gcv(self, penalty: float) -> float:
        """RSS / N / (1 - df / N)^2, the residuals written out; infinite where every degree of freedom is spent."""
        kept_R = self.values_R**2 / (self.values_R**2 + penalty)
        left = 1 - (1 + kept_R.sum()) / len(self.y_NC)
        residual = self.y_NC - self.left_NR * kept_R @ (self.left_NR.T @ self.y_NC)
        return float(np.square(residual).sum() / len(residual) / left**2) if left > 1e-6 else np.inf

    def penalty(self) -> float:
        """With the least GCV on the path."""
        return float(PENALTIES[np.argmin([self.gcv(penalty) for penalty in PENALTIES])])

    def weights(self, penalty: float) -> Array:
        """Ridge weights (D, C) of the centred texts."""
        filtered_R = self.values_R / (self.values_R**2 + penalty) / np.sqrt(len(self.y_NC))
        weights: Array = (self.right_RD.T * filtered_R @ (self.left_NR.T @ self.y_NC)) / self.scale_D[:, None]
        return weights

    def directions(self, penalty: float) -> tuple[Array, Array]:
        """U (D, r), orthonormal in Szz + penalty, and the singular values (r,) of U' Szy."""
        length_R = np.sqrt(self.values_R**2 + penalty)
        cross_RC = (self.values_R / length_R)[:, None] * (self.left_NR.T @ self.y_NC) / np.sqrt(len(self.y_NC))
        left, singular, _ = np.linalg.svd(cross_RC, full_matrices=False)
        kept = singular > 1e-8 * singular[0]
        return (self.right_RD.T / length_R @ left[:, kept]) / self.scale_D[:, None], singular[kept]

    def gains(self, v_DD: Array) -> Array:
        """c_k = L(0) - L(V_k) for k = 1 .. D: the labels projected on the first k columns of z V."""
        basis = orthonormal((self.z_ND @ v_DD)[:, : self.rank])
        gains = (np.square(basis.T @ self.y_NC).sum(1) / len(self.y_NC)).cumsum()
        curve: Array = np.append(gains, np.full(v_DD.shape[1] - self.rank, gains[-1]))
        return curve

    def adjusted(self, gains_D: Array) -> Array:
        """(c_k - k s) / (c_d - d s); N > D + 1."""
        noise = (np.square(self.y_NC).sum() / len(self.y_NC) - gains_D[-1]) / (len(self.y_NC) - len(gains_D) - 1)
        signal_D = gains_D - np.arange(1, len(gains_D) + 1) * noise
        curve: Array = signal_D / signal_D[-1]
        return curve

    def crossfitted(self, v_DD: Array, folds_N: NDArray[np.int64]) -> Array:
        """Squared error that read-outs V_k fitted without a fold save on it, summed, over that of the best k."""
        saved = np.stack([self._saved(v_DD, folds_N == fold) for fold in range(folds_N.max() + 1)])
        total, best = saved.sum(0), saved.sum(0).argmax()
        error = saved[:, best].std(ddof=1) * np.sqrt(len(saved))
        return np.clip(total / total[best], 0, None) if total[best] > error else np.full_like(total, np.nan)

    def _saved(self, v_DD: Array, out_N: NDArray[np.bool_]) -> Array:
        z_ND, y_NC = self.z_ND, self.y_NC
        mean_D, share_C = z_ND[~out_N].mean(0), y_NC[~out_N].mean(0)
        n_directions = min((~out_N).sum() - 1, z_ND.shape[1])
        v_DK = (v_DD / np.linalg.norm(z_ND @ v_DD, axis=0).clip(1e-300))[:, :n_directions]
        q_NK, r_KK = np.linalg.qr((z_ND[~out_N] - mean_D) @ v_DK)
        read_nK = scipy.linalg.solve_triangular(r_KK, ((z_ND[out_N] - mean_D) @ v_DK).T, trans="T").T
        left_nC = y_NC[out_N] - share_C
        nothing, saved = np.square(left_nC).sum(), np.empty(z_ND.shape[1])
        for k, loading_C in enumerate(q_NK.T @ (y_NC[~out_N] - share_C)):
            left_nC = left_nC - np.outer(read_nK[:, k], loading_C)
            saved[k:] = nothing - np.square(left_nC).sum()
        return saved

    def bounds(self, v_DD: Array, k: int) -> tuple[float, float]:
        """On L(V_k) - L(U), from the weighted overlap."""
        u_Dr, singular = self.directions(0.0)
        values = np.linalg.svd(self.z_ND / np.sqrt(len(self.z_ND)), compute_uv=False) ** 2
        least = values[-1] if self.rank == self.z_ND.shape[1] else 0.0
        outside = np.square(u_Dr).sum() * (1 - overlap(v_DD, u_Dr)[k - 1])
        upper = min(np.square(singular).sum(), values[0] * singular[0] ** 2 * outside)
        return float(least * singular[-1] ** 2 * outside), float(upper)

    def crossfit_decisions(
        self, penalty: float, folds_N: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.bool_], Array]]:
        """For each fold its texts and what the ridge read-out fitted without it says of them, units and penalty N p
        being those of all texts.
        """
        for fold in range(folds_N.max() + 1):
            out_N = folds_N == fold
            rest = Labelled(self.raw_ND[~out_N], self.labels_N[~out_N], self.n_classes, self.scale_D)
            weights_DC = rest.weights(penalty * len(self.raw_ND) / len(rest.raw_ND))
            yield out_N, (self.raw_ND[out_N] - self.raw_ND[~out_N].mean(0)) @ weights_DC + rest.share_C

    def hscore(self) -> float:
        """With scikit-learn's shrunk covariance."""
        fit = LedoitWolf().fit(self.raw_ND)
        classes = [c for c in range(self.n_classes) if self.share_C[c]]
        means_CD = np.stack([self.z_ND[self.labels_N == c].mean(0) for c in classes])
        between = means_CD.T * self.share_C[classes] @ means_CD
        return float((1 - fit.shrinkage_) * np.trace(scipy.linalg.solve(fit.covariance_, between, assume_a="pos")))

    def logme(self) -> float:
        """Evidence of y ~ N(z w, I / beta), w ~ N(0, I / alpha) per text, maximised over both, uncentred."""
        left, values, _ = np.linalg.svd(self.raw_ND, full_matrices=False)
        classes = [c for c in range(self.n_classes) if self.share_C[c]]
        return float(np.mean([_evidence(left, values**2, (self.labels_N == c) * 1.0) for c in classes]))


def _evidence(left_NR: Array, energy_R: Array, y_N: Array) -> float:
    n, along_R = len(y_N), np.square(left_NR.T @ y_N)
    beside = np.square(y_N - left_NR @ (left_NR.T @ y_N)).sum() if len(energy_R) < n else 0.0

    def loss(log_lambda: float) -> float:
        share_R = energy_R / np.exp(log_lambda)
        misfit = beside + (along_R / (1 + share_R)).sum()
        return float(np.log1p(share_R).sum() / 2 - n / 2 * (np.log(n / misfit) - 1 - np.log(2 * np.pi))) / n

    grid = np.linspace(np.log(energy_R[-1]) - 18, np.log(energy_R[0]) + 18, 200)
    best = grid[np.argmin([loss(point) for point in grid])]
    step = grid[1] - grid[0]
    return -float(scipy.optimize.minimize_scalar(loss, bounds=(best - step, best + step), method="bounded").fun)


def nearest_votes(
    train_ND: Array, labels_N: NDArray[np.int64], test_MD: Array, n_classes: int, k: int = 10
) -> NDArray[np.int64]:
    """Most frequent class (M,) among the k nearest by cosine about the training mean; of equals the nearer."""
    mean_D, votes = train_ND.mean(0), []
    unit_ND = (train_ND - mean_D) / np.linalg.norm(train_ND - mean_D, axis=1, keepdims=True)
    for text_D in test_MD - mean_D:
        cosine_N = unit_ND @ (text_D / np.linalg.norm(text_D))
        near = np.argsort(-cosine_N, kind="stable")[:k]
        weights = np.bincount(labels_N[near], weights=1 + 1e-3 * cosine_N[near], minlength=n_classes)
        votes.append(int(weights.argmax()))
    return np.array(votes)


def published_code(texts: list[Array], z_ND: Array, y_NC: Array, share: float) -> float:
    """As the public repository computes it: uncentred, threshold 1e-8, the first columns of ascending eigenvalues."""
    s_PD, h_PD = pairs(texts)
    cross_DD = s_PD.T @ h_PD / len(texts)
    labels_DC = z_ND.T @ y_NC / len(z_ND)
    v_DR = _weakest(cross_DD @ cross_DD.T, s_PD.T @ s_PD / len(texts), share)
    u_DR = _weakest(labels_DC @ labels_DC.T, z_ND.T @ z_ND / len(z_ND), share)
    return float(np.square(orthonormal(v_DR).T @ u_DR).sum() / np.square(u_DR).sum())


def _weakest(signal_DD: Array, metric_DD: Array, share: float) -> Array:
    values, vectors = np.linalg.eigh(metric_DD)
    whitener_DR = vectors[:, values > 1e-8] / np.sqrt(values[values > 1e-8])
    inner = whitener_DR.T @ signal_DD @ whitener_DR
    directions: Array = whitener_DR @ np.linalg.eigh((inner + inner.T) / 2)[1]
    return directions[:, : int(share * directions.shape[1])]
