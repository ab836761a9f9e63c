"""Ridge probes of layers and poolings: every layer with each single pooling, the joined ones on the best layers.

A probe of last and mean states together has twice the width and eight times the cost; where it is worth having, one of
its halves is good already.  So it is tried on the layers that are best with one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tokenworth.assessment.layer_choice import Candidate
from tokenworth.probes import RidgeProbe

AUTO = "auto"
JOINED_LAYERS = 8
"""Of 31 layers of a real decoder the best joined probe was on one of the five best single ones in all tasks tried."""
_AUTOMATIC = ("mean", "last", "last+mean")


def candidate_poolings(pooling: str, *, causal: bool = True) -> tuple[str, ...]:
    """The poolings that ``pooling`` stands for, the one whose scores are shown first.

    An encoder's first token stands in the place of a decoder's last: it is the one that has seen the whole text by
    design.
    """
    if pooling != AUTO:
        return (pooling,)
    return _AUTOMATIC if causal else ("mean", "cls")


def search(
    fit: Callable[[Candidate], RidgeProbe],
    layers: Sequence[int],
    poolings: Sequence[str],
    known: Mapping[Candidate, RidgeProbe] | None = None,
) -> dict[Candidate, RidgeProbe]:
    """Probes by candidate.

    Args:
        fit: makes the probe of a candidate.
        layers: to try.
        poolings: to try; one with "+" only on the `JOINED_LAYERS` best layers, unless there is no other.
        known: probes that are there already.
    """
    probes = dict(known or {})
    single = [pooling for pooling in poolings if "+" not in pooling]
    for candidate in (Candidate(layer, pooling) for layer in layers for pooling in single or poolings):
        if candidate not in probes:
            probes[candidate] = fit(candidate)
    if not single:
        return probes
    loss = {layer: min(float(probes[Candidate(layer, how)].loss_N.mean()) for how in single) for layer in layers}
    best = sorted(sorted(loss, key=lambda layer: loss[layer])[:JOINED_LAYERS])
    joined = [Candidate(layer, pooling) for pooling in poolings if "+" in pooling for layer in best]
    return probes | {candidate: fit(candidate) for candidate in joined if candidate not in probes}


def losses_of(probes: Mapping[Candidate, RidgeProbe]) -> dict[Candidate, np.ndarray]:
    """Losses (N,) of each candidate's probe on the training texts it did not see."""
    return {candidate: probe.loss_N.numpy() for candidate, probe in probes.items()}


def nested_accuracy(probes: Mapping[Candidate, RidgeProbe], nested_N: np.ndarray, labels_N: np.ndarray) -> float:
    """Share of training texts whose label the candidate chosen without their fold reads, fitted without it too."""
    crossfit_KN = np.stack([probe.crossfit_N.numpy() for probe in probes.values()])
    return float((crossfit_KN[nested_N, np.arange(len(labels_N))] == labels_N).mean())
