"""The scores written a second time: slow, numpy float64, from the definitions and from the texts themselves.

Nothing here goes through second moments where the package does: subspaces come from QR and SVD of the data matrices
(an eigendecomposition of C1 C1' against C0 would square the condition number and lose half the digits that the tests
check), losses from least squares, penalties from explicit hat matrices, the evidence from dense N x N determinants.
Axes: N texts, D width, C classes, P pairs of prefix and next state.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
import torch
from sklearn.covariance import LedoitWolf

from tokenworth.scores import ContextMoments, PooledMoments

RANK_CUT = 1e-7
"""Singular values of data this far below the largest are rounding in every sample of these tests."""


@dataclass(frozen=True)
class Sample:
    """Texts as lists of states (T, D), their pooled vectors (N, D) and labels (N,)."""

    texts: list[np.ndarray]
    z: np.ndarray
    labels: np.ndarray
    n_classes: int

    @property
    def dim(self):
        return self.z.shape[1]


def make_sample(
    seed=0, n=150, dim=12, n_classes=3, *, mean=0.0, scale=1.0, signal=0.5, lengths=(1, 9), dtype=torch.float64
):
    """Texts that follow h' = A h + noise + class mean, rounded to dtype; z is the mean over tokens.

    The singular values of A are spread over .95 .. .1, so that neighbouring encoder directions are told apart.
    """
    rng = np.random.default_rng(seed)
    step = random_orthogonal(rng, dim) @ np.diag(np.linspace(0.95, 0.1, dim)) @ random_orthogonal(rng, dim)
    labels = rng.permutation(np.arange(n) % n_classes)
    pull = signal * rng.normal(size=(n_classes, dim))
    texts = []
    for label in labels:
        state, states = rng.normal(size=dim), []
        for _ in range(rng.integers(*lengths)):
            states.append(state)
            state = step @ state + rng.normal(size=dim) + pull[label]
        texts.append(as_stored(np.array(states) * scale + mean, dtype))
    return Sample(texts, np.stack([text.mean(0) for text in texts]), labels, n_classes)


def as_stored(values, dtype):
    """Float64 copies of what a tensor of this dtype holds."""
    return torch.tensor(values).to(dtype).to(torch.float64).numpy()


def random_orthogonal(rng, dim):
    return np.linalg.qr(rng.normal(size=(dim, dim)))[0]


def random_invertible(rng, dim):
    """Condition number 10: well above what rounding forgives, far from what the relative ridge would notice."""
    return random_orthogonal(rng, dim) @ np.diag(np.geomspace(0.5, 5, dim)) @ random_orthogonal(rng, dim)


def mapped(sample, matrix):
    """The same texts with every state sent through a linear map."""
    return Sample([text @ matrix.T for text in sample.texts], sample.z @ matrix.T, sample.labels, sample.n_classes)


def padded(texts, side="right", *, fill=0.0):
    """States (B, T, D) and mask (B, T) of texts padded on one side."""
    longest = max(len(text) for text in texts)
    states = np.full((len(texts), longest, texts[0].shape[1]), fill)
    mask = np.zeros((len(texts), longest), dtype=bool)
    for row, text in enumerate(texts):
        where = slice(0, len(text)) if side == "right" else slice(longest - len(text), longest)
        states[row, where], mask[row, where] = text, True
    return torch.tensor(states), torch.tensor(mask)


def context_of(sample, *, prefix="sum", dtype=torch.float64, side="right", batch=32, target_moment=True):
    moments = ContextMoments(sample.dim, prefix, target_moment=target_moment)
    for start in range(0, len(sample.texts), batch):
        states, mask = padded(sample.texts[start : start + batch], side, fill=float("nan"))
        moments = moments.update(states.to(dtype), mask)
    return moments


def pooled_of(sample, rows=slice(None), *, labels=None, batch=40):
    z, labels = sample.z[rows], (sample.labels if labels is None else labels)[rows]
    moments = PooledMoments(sample.dim, sample.n_classes)
    for start in range(0, len(z), batch):
        part = slice(start, start + batch)
        moments = moments.update(torch.tensor(z[part]), torch.tensor(labels[part]))
    return moments


def one_hot(labels, n_classes):
    return np.eye(n_classes)[labels]


# --- context side


def pairs(texts, prefix="sum"):
    """Every prefix (P, D) with its next state (P, D), by a loop over texts and positions."""
    prefixes, nexts = [], []
    for text in texts:
        for t in range(1, len(text)):
            total = text[:t].sum(0)
            prefixes.append(total if prefix == "sum" else total / t)
            nexts.append(text[t])
    dim = texts[0].shape[1]
    return np.array(prefixes).reshape(-1, dim), np.array(nexts).reshape(-1, dim)


def context_moments(texts, prefix="sum", *, center=False):
    """C0, C1, Shh and E1 as sums over pairs divided by the number of texts."""
    s, h = pairs(texts, prefix)
    if center:
        s, h = s - s.mean(0), h - h.mean(0)
    n = len(texts)
    return s.T @ s / n, s.T @ h / n, h.T @ h / n, (h**2).sum() / n


def encoder(texts, prefix="sum", *, target="plain", center=False, scale=None):
    """Directions V (D, m), best first, and eigenvalues: reduced-rank regression from the data matrices.

    Where prefixes fill fewer than D directions V is the smallest one in coordinates divided by scale (D,).
    """
    s, h = pairs(texts, prefix)
    if center:
        s, h = s - s.mean(0), h - h.mean(0)
    s, h = s / np.sqrt(len(texts)), h / np.sqrt(len(texts))
    if target == "whitened":
        h = np.linalg.qr(h)[0]
    if scale is None:  # only for the cut: with D directions the span of V does not depend on it
        scale = np.sqrt((s**2).sum(0))
        scale[scale == 0] = 1
    left, singular, right = np.linalg.svd(s / scale, full_matrices=False)
    kept = singular > RANK_CUT * singular[0]
    inner, strength, _ = np.linalg.svd(left[:, kept].T @ h, full_matrices=False)
    return (right[kept].T / singular[kept] @ inner) / scale[:, None], strength**2


def ar_r2(texts, k, prefix="sum", *, target="plain", center=False):
    """1 - residual / energy of the best rank-k linear prediction, by truncating the fitted values."""
    s, h = pairs(texts, prefix)
    if center:
        s, h = s - s.mean(0), h - h.mean(0)
    if target == "whitened":
        h = np.linalg.qr(h)[0]
    fitted = s @ np.linalg.lstsq(s, h, rcond=None)[0]
    left, singular, right = np.linalg.svd(fitted, full_matrices=False)
    best = left[:, :k] * singular[:k] @ right[:k]
    return 1 - ((h - best) ** 2).sum() / (h**2).sum()


# --- pooled side


def centred(z, y, center=True):
    return (z - z.mean(0), y - y.mean(0)) if center else (z, y)


def unit_columns(z):
    """Root mean squares of the columns, 1 where a column does not vary."""
    scale = np.sqrt((z**2).mean(0))
    return np.where(scale > 1e-7 * np.abs(z).max(), scale, 1.0)


def ridge_weights(z, y, penalty, *, center=True, scale=None):
    """(Szz + penalty diag(scale)^2)^-1 Szy in float64, from the augmented least-squares problem."""
    z, y = centred(z, y, center)
    scale = unit_columns(z) if scale is None else scale
    n, dim = z.shape
    rows = np.vstack([z / scale, np.sqrt(n * penalty) * np.eye(dim)])
    targets = np.vstack([y, np.zeros((dim, y.shape[1]))])
    return np.linalg.lstsq(rows, targets, rcond=None)[0] / scale[:, None]


def gcv(z, y, penalty, *, center=True, spent_at_most=1.0):
    """RSS / n / (1 - tr H / n)^2 with the hat matrix H (N, N) written out, the mean counted in it; infinite where
    tr H is more than a share of n."""
    n = len(z)
    z, y = centred(z, y, center)
    z = z / unit_columns(z)
    hat = z @ np.linalg.solve(z.T @ z + n * penalty * np.eye(z.shape[1]), z.T)
    if center:
        hat = hat + 1 / n
    left = 1 - np.trace(hat) / n
    if left < 1 - spent_at_most:
        return np.inf
    return ((y - hat @ y) ** 2).sum() / n / left**2


def gcv_penalty(z, y, *, center=True):
    """The penalty of least GCV among 61 from 1e-8 to 1e4 that spend at most seven tenths of n."""
    path = np.logspace(-8, 4, 61)
    return path[np.argmin([gcv(z, y, penalty, center=center, spent_at_most=0.7) for penalty in path])]


def label_subspace(z, y, *, center=True, penalty=None):
    """Orthonormal basis Q (D, r) of the span of the linear read-out's weights."""
    if penalty is None:
        zc, yc = centred(z, y, center)
        scale = unit_columns(zc)
        weights = np.linalg.lstsq(zc / scale, yc, rcond=RANK_CUT)[0] / scale[:, None]
    else:
        weights = ridge_weights(z, y, penalty, center=center)
    left, singular, _ = np.linalg.svd(weights, full_matrices=False)
    return left[:, singular > 1e-8 * singular[0]]


def label_directions(z, y, *, center=True):
    """U (D, r), Szz-orthonormal, and the singular values of U' Szy; Szz regular."""
    zc, yc = centred(z, y, center)
    q, r = np.linalg.qr(zc / np.sqrt(len(z)))
    left, singular, _ = np.linalg.svd(q.T @ yc / np.sqrt(len(z)), full_matrices=False)
    kept = singular > 1e-8 * singular[0]
    return scipy.linalg.solve_triangular(r, left[:, kept]), singular[kept]


def overlap(v, k, u):
    """|P_k U|^2 / |U|^2 with P_k the Euclidean projector onto the first k columns of v."""
    columns = v[:, :k] / np.linalg.norm(v[:, :k], axis=0)
    basis = np.linalg.svd(columns, full_matrices=False)[0]
    return ((basis.T @ u) ** 2).sum() / (u**2).sum()


def ntps(sample, k, *, prefix="sum", center=True, target="plain", penalty=None):
    y = one_hot(sample.labels, sample.n_classes)
    v, _ = encoder(sample.texts, prefix, target=target)
    return overlap(v, k, label_subspace(sample.z, y, center=center, penalty=penalty))


def gains(v, z, y, *, center=True):
    """c_k = L(0) - L(V_k) for k = 1 .. D, one least-squares fit each."""
    z, y = centred(z, y, center)
    read = z @ (v / np.linalg.norm(v, axis=0))
    read = read / np.linalg.norm(read, axis=0).clip(1e-300)
    loss = [((y - read[:, :k] @ np.linalg.lstsq(read[:, :k], y, rcond=1e-11)[0]) ** 2).sum() / len(z)
            for k in range(1, v.shape[1] + 1)]  # fmt: skip
    return (y**2).sum() / len(z) - np.array(loss)


def adjusted(c, variance, n):
    """(c_k - k s) / (c_d - d s), s = (tr Syy - c_d) / (N - d - 1), as the spec writes it; Szz regular."""
    d = len(c)
    s = (variance - c[-1]) / (n - d - 1)
    return (c - np.arange(1, d + 1) * s) / (c[-1] - d * s)


# --- transferability


def hscore(z, labels, n_classes):
    """(1 - alpha) tr(S_alpha^-1 B), B the covariance of the class means, with scikit-learn's shrunk covariance."""
    fit = LedoitWolf().fit(z)
    means = np.stack([z[labels == c].mean(0) if (labels == c).any() else z.mean(0) for c in range(n_classes)])
    share = np.bincount(labels, minlength=n_classes) / len(labels)
    between = (means - z.mean(0)).T * share @ (means - z.mean(0))
    return (1 - fit.shrinkage_) * np.trace(np.linalg.solve(fit.covariance_, between))


def log_evidence(z, y, log_alpha, log_beta):
    """log N(y; 0, I / beta + z z' / alpha) with the dense N x N covariance."""
    n = len(z)
    covariance = np.eye(n) * np.exp(-log_beta) + z @ z.T * np.exp(-log_alpha)
    try:
        factor = scipy.linalg.cholesky(covariance, lower=True)
    except np.linalg.LinAlgError:  # far from the maximum the two terms are 1e16 apart and there is nothing to compare
        return -np.inf
    white = scipy.linalg.solve_triangular(factor, y, lower=True)
    return -0.5 * (n * np.log(2 * np.pi) + 2 * np.log(factor.diagonal()).sum() + white @ white)


def best_evidence(z, y):
    """(evidence, log alpha, log beta) at the maximum over both: the best point of a coarse grid, then downhill."""
    beta, energy = -np.log((y**2).mean()), np.log(np.median((z - z.mean(0)) ** 2) + 1e-300)
    grid = [(energy + a, beta + b) for a in range(-10, 20, 3) for b in (-1, 1, 3, 5)]
    start = max(grid, key=lambda point: log_evidence(z, y, *point))
    options = {"xatol": 1e-4, "fatol": 1e-7, "maxiter": 2000}
    best = scipy.optimize.minimize(lambda x: -log_evidence(z, y, *x), start, method="Nelder-Mead", options=options)
    return -best.fun, *best.x


def logme(z, labels, n_classes):
    y = one_hot(labels, n_classes)
    return np.mean([best_evidence(z, y[:, c])[0] / len(z) for c in range(n_classes) if y[:, c].any()])


# --- the published code, from its description in words


def published_ntps(texts, z, y, k):
    """Second moments uncentred, eigenvalues ascending, the first int(k rank) columns (an int k: that many)."""
    c0, c1, _, _ = context_moments(texts)
    n = len(z)

    def weakest(signal, metric):
        values, vectors = np.linalg.eigh(metric)
        whiten = vectors[:, values > 1e-8] @ np.diag(values[values > 1e-8] ** -0.5)
        inner = np.linalg.eigh(whiten.T @ signal @ whiten)[1]
        rank = whiten.shape[1]
        return (whiten @ inner)[:, : int(k * rank) if isinstance(k, float) else k]

    v = weakest(c1 @ c1.T, c0)
    u = weakest((z.T @ y / n) @ (z.T @ y / n).T, z.T @ z / n)
    projector = v @ np.linalg.pinv(v)
    return ((projector @ u) ** 2).sum() / (u**2).sum()
