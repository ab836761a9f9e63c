"""The training texts of a probe, with what it read of them: for saying why it predicts what it does.

Axes: N training texts, M texts asked about, D numbers of a pooled text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from tokenworth.base.aliases import Ints
from tokenworth.scores import PooledMoments, ridge
from tokenworth.scores.influence import Influence
from tokenworth.tasks import Split

_ARRAYS = "training.safetensors"


@dataclass(frozen=True, eq=False, slots=True)
class TrainingTexts:
    """What the probe of one layer has learnt from."""

    texts: list[str]
    """The N texts."""
    rows_N: Ints
    """Where each stands among the training texts of the task."""
    labels_N: Ints
    """Class indices."""
    features_ND: np.ndarray
    """Pooled texts, float32, by the layer and reading of the probe."""
    penalty: float
    """Of the ridge read-out of these features, by generalised cross-validation."""

    @classmethod
    def of(cls, train: Split, rows_N: Ints, features_ND: np.ndarray, n_classes: int) -> TrainingTexts:
        """With the penalty that `ridge` chooses.  Cost O(D^3)."""
        wide_ND = torch.from_numpy(features_ND).to(torch.float64)
        moments = PooledMoments(wide_ND.shape[1], n_classes, shift_D=wide_ND.mean(0))
        penalty = ridge(moments.update(wide_ND, torch.from_numpy(train.labels)).with_texts(wide_ND)).penalty
        return cls(train.texts, rows_N, train.labels, features_ND, penalty)

    def influence(self, n_classes: int) -> Influence:
        """The ridge read-out of these texts, by its texts."""
        return Influence.of(
            torch.from_numpy(self.features_ND), torch.from_numpy(self.labels_N), n_classes, self.penalty
        )

    def save(self, folder: Path) -> dict[str, Any]:
        """training.safetensors: 4 D + 16 bytes a text; the texts stand among the facts."""
        arrays = {"features": self.features_ND, "labels": self.labels_N, "rows": np.asarray(self.rows_N, np.int64)}
        save_file(arrays, folder / _ARRAYS)
        return {"texts": self.texts, "penalty": self.penalty}


def load_training(folder: Path, facts: dict[str, Any] | None) -> TrainingTexts | None:
    """The way back from `TrainingTexts.save`; None where none were kept.

    Raises ValueError: the file is of other texts.
    """
    if facts is None:
        return None
    arrays = load_file(folder / _ARRAYS)
    if {len(arrays[name]) for name in ("features", "labels", "rows")} != {len(facts["texts"])}:
        raise ValueError(f"{_ARRAYS} is not of the {len(facts['texts'])} training texts")
    return TrainingTexts(facts["texts"], arrays["rows"], arrays["labels"], arrays["features"], facts["penalty"])
