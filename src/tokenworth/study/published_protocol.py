"""What the published code measures, measured as it does: so that its figures can be put beside the corrected ones.

NTPS of github.com/Yu-AngCheng/NTPS (see `scores.published`) for every layer and every share k of its sweep, and linear
read-outs of the pooled texts that are fitted on the training rows and scored on the same rows.  `study.layer_and_k`
then does what its figures do, and says what that is worth.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from tokenworth.backbones import load_backbone
from tokenworth.base.blas_threads import one_blas_thread
from tokenworth.base.versions import describe_environment
from tokenworth.encode import Reading, tokenise
from tokenworth.features import Features, PassSettings, default_store, gather_features
from tokenworth.probes.logistic import standardised
from tokenworth.scores import PooledMoments
from tokenworth.scores.published_ntps import PublishedCode
from tokenworth.tasks import Task

SHARES = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Of each side's own rank: the sweep of the published code."""
_NO_VARIANCE = 1e-10


def published_protocol(
    model: str,
    task: Task,
    *,
    pooling: str = "mean",
    max_length: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    seed: int = 0,
) -> dict[str, Any]:
    """Scores and read-outs of every layer; the forward pass is that of `assess`, and is not made twice.

    Returns:
        shares (of k), and layers: rows of layer, ntps (one a share, NaN where no direction is left), train_accuracy of
        logistic regression and train_squared_error of linear regression on one-hot labels, mean over rows and classes.

    Raises:
        BackboneError, EncodeError, SettingError: see `assess`.
    """
    task.refuse_several("the published protocol")
    start = time.perf_counter()
    backbone = load_backbone(model, device=device, dtype=dtype, seed=seed)
    parts = {"train": task.train.texts, "test": task.test.texts}
    tokens = {part: tokenise(backbone, texts, max_length=max_length) for part, texts in parts.items()}
    wanted = PassSettings(layers=tuple(range(backbone.n_layers + 1)), readings=(Reading(pooling, "raw"),))
    features = gather_features(backbone, tokens, wanted, default_store())
    rows = [_layer_row(features, task, layer) for layer in wanted.layers]
    return {
        "shares": list(SHARES),
        "layers": rows,
        "classes": task.n_classes,
        "texts": len(task.train),
        "pass_reused": features.facts["reused"],
        "seconds": time.perf_counter() - start,
        "environment": describe_environment(),
    }


def _layer_row(features: Features, task: Task, layer: int) -> dict[str, Any]:
    """Scores and read-outs of one layer, on the training rows."""
    rows_ND, labels_N = features.part("train", layer), task.train.labels
    wide_ND = torch.from_numpy(rows_ND).to(torch.float64)
    moments = PooledMoments(wide_ND.shape[1], task.n_classes, shift_D=wide_ND.mean(0))
    moments.update(wide_ND, torch.from_numpy(labels_N))
    context = features.context(layer)
    ntps_K = [float("nan")] * len(SHARES)
    if context is not None and context.n_pairs:
        ntps_K = PublishedCode.of(context, moments).curve(moments, SHARES).tolist()
    return {
        "layer": layer,
        "ntps": ntps_K,
        "train_accuracy": _accuracy(rows_ND, labels_N),
        "train_squared_error": squared_error(moments),
    }


@one_blas_thread()
def _accuracy(rows_ND: np.ndarray, labels_N: np.ndarray) -> float:
    """Logistic regression with scikit-learn's own penalty on standardised features, on the rows it has seen."""
    from sklearn.linear_model import LogisticRegression

    scaled_ND, _, _ = standardised(rows_ND)
    model = LogisticRegression(max_iter=1000, tol=1e-2).fit(scaled_ND, labels_N)
    return float(model.score(scaled_ND, labels_N))


def squared_error(moments: PooledMoments) -> float:
    """Least squares with an intercept from features to one-hot labels: mean squared residual over rows and classes.

    In closed form on the texts it is fitted on: the variance of the labels less what the features explain of it.
    """
    szz, szy, syy = moments.second_moments(center=True)
    values_D, vectors_DD = torch.linalg.eigh(szz)
    kept = values_D > _NO_VARIANCE * values_D[-1].clamp(min=torch.finfo(torch.float64).tiny)
    explained = ((vectors_DD[:, kept].T @ szy).square() / values_D[kept, None]).sum()
    return float((syy.trace() - explained) / moments.n_classes)
