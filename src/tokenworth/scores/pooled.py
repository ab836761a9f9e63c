"""Pooled moments: how the pooled text goes with its label.  A commutative monoid of streaming sums.

Axes: B texts of a batch, D width of the pooled text z, C classes; y is the one-hot label.

    Szz = 1/N sum z z'     Szy = 1/N sum z y'     Syy = 1/N sum y y'     and the fourth moments Ledoit-Wolf needs

Sums are taken about a shift (the first batch's mean) and entirely in float64: there is one row per text, so the
product costs nothing beside the forward pass, and a direction without variance then stays 1e-14 of the others.

Where texts have several labels the sums are those of their label sets, one a class, and y is the 0 and 1 of the labels
in the set: Szy and Syy are sums over sets, whatever their number.  What needs these second moments alone (ridge, LogME,
NTPS, the retained curve, the H-score as the squared canonical correlations of text and labels) holds as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from tokenworth.scores.pooled_sums import PooledSums, add_batch
from tokenworth.scores.repeated_texts import distinct_texts
from tokenworth.scores.storage import load_moments, save_moments

_KIND = "pooled moments"
_MANY = 2  # texts to a direction: a read-out can then spend at most half of its degrees of freedom
_FEW = 0.8  # texts to a direction: a QR and an eigendecomposition of their number then cost less than one of the width
T = TypeVar("T")


class PooledMoments:
    """Streaming moments of pooled texts and their labels, for one layer.

    Args:
        dim: width D of the pooled texts.
        n_classes: number C of classes.

        shift_D: what the sums are taken about; None takes the first batch's mean.  Groups about one shift merge sooner.
        sets_LC: (L, C) 0 and 1: which of C labels each of L sets holds; `n_classes` and labels are then of the sets.

    `update` takes pooled (B, D) of any floating dtype and integer labels (B,).  `+` merges shards, `-` takes a shard
    out again.
    """

    __slots__ = ("_anchored", "_known", "dim", "n_classes", "sets_LC", "sums")

    def __init__(
        self, dim: int, n_classes: int, *, shift_D: Tensor | None = None, sets_LC: Tensor | None = None
    ) -> None:
        self.dim = dim
        self.sets_LC = None if sets_LC is None else sets_LC.to(torch.float64)
        self.n_classes = n_classes
        self.sums = PooledSums.zeros(dim, n_classes)
        self._anchored = shift_D is not None
        if shift_D is not None:
            self.sums = replace(self.sums.to(shift_D.device), shift_D=shift_D.to(torch.float64))
        self._known: dict[str, Any] = {}

    @property
    def n_texts(self) -> int:
        """Number N of texts."""
        return int(self.sums.count_C.sum())

    @property
    def n_distinct(self) -> int:
        """Texts without those that repeat another: N where nobody counted them."""
        return self.known("distinct texts", lambda: self.n_texts)

    def with_texts(self, pooled_ND: Tensor) -> PooledMoments:
        """Say which texts (N, D) the moments are of; returns self.  Merged moments do not know them.

        Those that repeat no other are counted, unless texts are many to a direction and nothing depends on it.  Few
        texts to a direction are kept: decompositions of them cost less than those of their moments.
        """
        few = len(pooled_ND) < _MANY * self.dim
        self._known["distinct texts"] = distinct_texts(pooled_ND) if few else len(pooled_ND)
        if len(pooled_ND) < _FEW * self.dim:
            self._known["texts"] = pooled_ND
        return self

    def few_texts(self) -> Tensor | None:
        """The texts about their mean (N, D), where they were kept."""
        texts_ND: Tensor | None = self._known.get("texts")
        return None if texts_ND is None else texts_ND.to(torch.float64) - self.mean()

    @torch.no_grad()
    def update(self, pooled: Tensor, labels: Tensor) -> PooledMoments:
        """Add a batch: pooled (B, D), labels (B,) in 0 .. C-1.

        Raises:
            ValueError: shapes that do not fit, or a label outside 0 .. C-1.
        """
        pooled, labels = torch.as_tensor(pooled), torch.as_tensor(labels)
        _check_batch(pooled, labels, self.dim, self.n_classes)
        device = "cpu" if pooled.device.type == "mps" else pooled.device  # mps has no float64
        pooled, labels = pooled.to(device).to(torch.float64), labels.to(device).long()
        sums = self.sums if self.sums.shift_D.device == pooled.device else self.sums.to(device)
        if not self._anchored and not sums.count_C.sum() and len(pooled):
            sums = replace(sums, shift_D=pooled.mean(0))
        self.sums, self._known = add_batch(sums, pooled, labels), {}
        return self

    def known(self, name: str, find: Callable[[], T]) -> T:
        """What was found once of these texts whatever their labels: kept until `update`, shared by relabellings."""
        if name not in self._known:
            self._known[name] = find()
        return self._known[name]

    def relabel(self, zy_DC: Tensor, count_C: Tensor) -> PooledMoments:
        """The same texts under other labels: sum of z per class (D, C), raw, and texts per class (C,).

        The result shares Szz, and what is found of it, with these moments, so that many relabellings fit into memory.
        An update of either leaves the other as it is.
        """
        shifted = zy_DC - torch.outer(self.sums.shift_D, count_C)
        return PooledMoments._of(replace(self.sums, zy_DC=shifted, count_C=count_C), self.sets_LC, self._known)

    @classmethod
    def _of(cls, sums: PooledSums, sets_LC: Tensor | None, known: dict[str, Any] | None = None) -> PooledMoments:
        """Moments from sums that are there: nothing of the size D x D is made for them."""
        moments = cls.__new__(cls)
        moments.sets_LC = sets_LC
        moments.dim, moments.n_classes = sums.zy_DC.shape
        moments.sums, moments._known, moments._anchored = sums, {} if known is None else known, False
        return moments

    def __add__(self, other: PooledMoments) -> PooledMoments:
        return self._combine(other, 1.0)

    def __sub__(self, other: PooledMoments) -> PooledMoments:
        return self._combine(other, -1.0)

    def labels_without(self, group: PooledMoments) -> PooledMoments:
        """These texts without a group of them, for `label_moments` alone: nothing of the size D x D is made."""
        return PooledMoments._of(self.sums.labels_without(group.sums), self.sets_LC)

    def _combine(self, other: PooledMoments, sign: float) -> PooledMoments:
        if (self.dim, self.n_classes) != (other.dim, other.n_classes):
            raise ValueError(
                f"moments of width {self.dim} and {self.n_classes} classes do not go with width {other.dim} "
                f"and {other.n_classes} classes"
            )
        return PooledMoments._of(self.sums.combine(other.sums, sign), self.sets_LC)

    def class_sums(self, about_D: Tensor) -> Tensor:
        """Sum of z - about over the texts of each class, or label set (D, C)."""
        return self.sums.zy_DC + torch.outer(self.sums.shift_D - about_D, self.sums.count_C)

    def label_shares(self) -> Tensor:
        """Share of the texts that have each class or label (C,)."""
        return self.of_labels(self.sums.count_C / max(self.n_texts, 1))

    def of_labels(self, of_sets: Tensor) -> Tensor:
        """A sum by label set (..., L) as one by label (..., C); as it is where a text has one class."""
        return of_sets if self.sets_LC is None else of_sets @ self.sets_LC

    @property
    def label_dimensions(self) -> int:
        """How many numbers a label is free in: C - 1 of a class, C of labels that stand together as they like."""
        return self.n_classes - 1 if self.sets_LC is None else self.sets_LC.shape[1]

    def mean(self) -> Tensor:
        """Mean of z (D,)."""
        return self.sums.shift_D + self.sums.zy_DC.sum(1) / self._n

    def second_moments(self, *, center: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Szz (D, D), Szy (D, C) and Syy (C, C), divided by N; with center=True about the means of z and y.

        Szz is computed once and shared: do not write to it.
        """
        return self.known(f"szz {center}", lambda: self._szz(center)), *self.label_moments(center=center)

    def label_moments(self, *, center: bool = True) -> tuple[Tensor, Tensor]:
        """Szy (D, C) and Syy (C, C) of the same."""
        mean, share = self.mean(), self.sums.count_C / self._n
        moved = self.sums.shift_D - mean if center else self.sums.shift_D
        szy = (self.sums.zy_DC + torch.outer(moved, self.sums.count_C)) / self._n
        # With z centred the mean of y drops out of Szy.
        if (sets_LC := self.sets_LC) is not None:
            about_C = share @ sets_LC if center else torch.zeros_like(sets_LC[0])
            return szy @ sets_LC, (sets_LC.T * share) @ sets_LC - torch.outer(about_C, about_C)
        return szy, share.diag() - torch.outer(share, share) if center else share.diag()

    def _szz(self, center: bool) -> Tensor:
        sums, n = self.sums, self._n
        z = sums.zy_DC.sum(1)
        if center:
            return torch.addr(sums.zz_DD / n, z / n, z / n, alpha=-1)
        cross = torch.outer(z / n, sums.shift_D)
        return (sums.zz_DD / n + cross + cross.T).addr_(sums.shift_D, sums.shift_D)

    def quartic(self) -> Tensor:
        """Mean of |z - mean|^4 (scalar)."""
        return self.known("quartic", lambda: self.sums.quartic_about(self.mean()) / self._n)

    @property
    def _n(self) -> Tensor:
        return self.sums.count_C.sum().clamp(min=1)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, the facts as JSON in its header."""
        sets = {} if self.sets_LC is None else {"sets_LC": self.sets_LC}
        save_moments(path, _KIND, self.sums.tensors() | sets, {"dim": self.dim, "n_classes": self.n_classes})

    @classmethod
    def load(cls, path: str | Path) -> PooledMoments:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is damaged or holds something else.
        """
        tensors, _ = load_moments(path, _KIND)
        sets_LC = tensors.pop("sets_LC", None)
        return cls._of(PooledSums(**tensors), sets_LC)


def add_up(groups: Sequence[PooledMoments]) -> PooledMoments:
    """The moments of all groups together."""
    total = groups[0]
    for group in groups[1:]:
        total = total + group
    return total


def _check_batch(pooled: Tensor, labels: Tensor, dim: int, n_classes: int) -> None:
    if pooled.ndim != 2 or pooled.shape[1] != dim or labels.shape != pooled.shape[:1]:
        raise ValueError(
            f"pooled has shape {tuple(pooled.shape)} and labels {tuple(labels.shape)}; expected (B, {dim}) and (B,)"
        )
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < n_classes):
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}; with {n_classes} classes they are "
            f"0 to {n_classes - 1}"
        )
