"""Sources whose entropy is known, and what a model loses on them: cross-entropy = entropy + KL, exactly.

For a Markov chain over tokens with first distribution pi and transitions P, stationary (pi P = pi), in nats:

    H(X_1 .. X_T) = H(pi) + (T - 1) h,      h = - sum_i pi_i sum_j P_ij ln P_ij     (the entropy rate)
    CE(q)         = - sum_x p(x) ln q(x)
    KL(p || q)    = sum_t sum_{x_<t} p(x_<t) sum_v p(v | x_<t) ln (p(v | x_<t) / q(v | x_<t))
    CE = H + KL

All sums run over every text of T tokens, so nothing is estimated; where V^T texts are too many, contexts are sampled
from the source and only the sum over the next token is whole.  Then the identity holds for the sample as it is.

Source: Cover and Thomas (2006), Elements of Information Theory, 2nd ed., chapters 2 and 4.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tokenworth.base.aliases import Floats
from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.measures.loaded_decoder import Decoder, batches, token_nll, wide

MOST_TEXTS = 200_000
"""Texts up to which all are enumerated."""


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """A stationary Markov chain over the tokens 0..V-1; independent draws are one with equal rows."""

    first_V: Floats
    """pi, the stationary distribution."""
    next_VV: Floats
    """P, a row for each token before."""

    @classmethod
    def markov(cls, transitions: ArrayLike) -> Source:
        """A chain by its transition matrix (V, V).

        Raises:
            SettingError: rows that are no distributions, or a chain with more than one stationary distribution.
        """
        next_VV = np.asarray(transitions, dtype=float)
        square = next_VV.ndim == 2 and next_VV.shape[0] == next_VV.shape[1]
        if not square or (next_VV < 0).any() or not np.allclose(next_VV.sum(1), 1):
            raise SettingError(f"transitions of shape {next_VV.shape} are no square matrix whose rows sum to 1")
        size = len(next_VV)
        system = np.vstack([next_VV.T - np.eye(size), np.ones(size)])
        if np.linalg.matrix_rank(next_VV.T - np.eye(size)) < size - 1:
            raise SettingError("the chain falls into parts that never meet, so it has no one entropy rate; join them")
        first_V = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0].clip(min=0)
        return cls(first_V / first_V.sum(), next_VV)

    @classmethod
    def independent(cls, shares: ArrayLike) -> Source:
        """Every token drawn from one distribution (V,)."""
        shares_V = np.asarray(shares, dtype=float)
        return cls.markov(np.tile(shares_V, (len(shares_V), 1)))

    @property
    def entropy_rate(self) -> float:
        """h, nats a token."""
        return float(self.first_V @ _entropies(self.next_VV))

    def entropy(self, length: int) -> float:
        """H of texts of a length, nats."""
        return float(_entropies(self.first_V)) + (length - 1) * self.entropy_rate

    def sample(self, texts: int, length: int, seed: int = 0) -> Tensor:
        """Texts drawn from the source: (texts, length)."""
        uniform_NT = np.random.default_rng(seed).random((texts, length))
        below_V, below_VV = self.first_V.cumsum(), self.next_VV.cumsum(1)
        tokens_NT = np.empty((texts, length), dtype=np.int64)
        for t in range(length):
            below_NV = np.broadcast_to(below_V, (texts, len(below_V))) if t == 0 else below_VV[tokens_NT[:, t - 1]]
            scaled_N1 = uniform_NT[:, t : t + 1] * below_NV[:, -1:]
            tokens_NT[:, t] = (below_NV <= scaled_N1).sum(1)
        return torch.from_numpy(tokens_NT)

    def conditional(self, ids_NT: Tensor) -> Floats:
        """p(next token | those before), for every place of texts: (N, T, V); place 0 has nothing before it."""
        first_N1V = np.broadcast_to(self.first_V, (len(ids_NT), 1, len(self.first_V)))
        return np.concatenate([first_N1V, self.next_VV[ids_NT[:, :-1].numpy()]], axis=1)

    def probability(self, ids_NT: Tensor) -> Floats:
        """p of each text: (N,)."""
        chosen_NT1 = np.take_along_axis(self.conditional(ids_NT), ids_NT.numpy()[:, :, None], axis=2)
        return np.asarray(chosen_NT1[:, :, 0].prod(1))


@dataclass(frozen=True, slots=True)
class Identity:
    """Nats a token, means over the places of a text."""

    length: int
    """T, tokens of a text."""
    texts: int
    """How many were summed over, or sampled."""
    enumerated: bool
    """Whether all texts of the length were summed over."""
    cross_entropy: float
    """By the losses of whole texts where all are enumerated, independently of the other two."""
    entropy: float
    """In closed form; of the source at the sampled contexts where contexts are sampled."""
    kl: float
    """From the source to the model; cross_entropy = entropy + kl."""
    entropy_rate: float
    """In closed form, always."""

    def asdict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@known_keywords
def identity(
    decoder: Decoder, source: Source, length: int, *, begin: int, texts: int | None = None, seed: int = 0
) -> Identity:
    """Cross-entropy, entropy and KL of a model to a source.

    Args:
        decoder: a model whose vocabulary holds the source's tokens; its other tokens have probability 0 in the source.
        source: of known entropy.
        length: T, tokens of a text.
        begin: id that stands before every text.
        texts: contexts to sample; None enumerates all V^T texts.
        seed: of the sample.

    Raises:
        SettingError: too many texts to enumerate.
    """
    size = len(source.first_V)
    if texts is None and size**length > MOST_TEXTS:
        raise SettingError(
            f"{size} tokens make {size**length:.1e} texts of {length}, more than the {MOST_TEXTS:,} that are summed "
            "over; take shorter texts, or sample contexts with texts="
        )
    if texts is None:
        ids_NT = torch.cartesian_prod(*[torch.arange(size)] * length).reshape(-1, length)
        weight_N = source.probability(ids_NT)
    else:
        ids_NT = source.sample(texts, length, seed)
        weight_N = np.full(len(ids_NT), 1 / len(ids_NT))
    whole_NT = torch.cat([torch.full((len(ids_NT), 1), begin), ids_NT], dim=1)
    cross_N, own_N, kl_N = _sums(decoder, source, whole_NT)
    if texts is None:
        cross_N = token_nll(decoder, whole_NT).sum(1)
    cross, kl, entropies = (float(weight_N @ each) / length for each in (cross_N, kl_N, own_N))
    entropy = source.entropy(length) / length if texts is None else entropies
    return Identity(length, len(ids_NT), texts is None, cross, entropy, kl, source.entropy_rate)


def _sums(decoder: Decoder, source: Source, whole_NT: Tensor) -> tuple[Floats, Floats, Floats]:
    """For each text, summed over its places: cross-entropy, entropy and KL of the next token's distributions."""
    sums = []
    with torch.inference_mode():
        for rows in batches(decoder, whole_NT):
            logits_BTV = wide(decoder.model(input_ids=whole_NT[rows, :-1].to(decoder.device), use_cache=False).logits)
            log_q_BTV = logits_BTV.double().log_softmax(-1).cpu().numpy()[:, :, : len(source.first_V)]
            p_BTV = source.conditional(whole_NT[rows, 1:])
            own_BT = _entropies(p_BTV)
            with np.errstate(divide="ignore", invalid="ignore"):
                kl_BT = np.where(p_BTV > 0, p_BTV * (np.log(p_BTV) - log_q_BTV), 0).sum(-1)
            cross_B = -np.where(p_BTV > 0, p_BTV * log_q_BTV, 0).sum((1, 2))
            sums.append((cross_B, own_BT.sum(1), kl_BT.sum(1)))
    cross, entropy, kl = (np.concatenate(part) for part in zip(*sums, strict=True))
    return cross, entropy, kl


def _entropies(p: Floats) -> Floats:
    """-sum p ln p along the last axis, with 0 ln 0 = 0."""
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1))).sum(-1))
