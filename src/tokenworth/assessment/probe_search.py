"""Ridge probes of layers and readings: every layer with each single pooling, the joined ones on the best layers.

A probe of last and mean states together has twice the width and eight times the cost; where it is worth having, one of
its halves is good already.  So it is tried on the layers that are best with one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tokenworth.assessment.layer_choice import Candidate
from tokenworth.base.layer_threads import side_by_side
from tokenworth.encode import Reading, States
from tokenworth.probes import RidgeProbe
from tokenworth.probes.label_kinds import right

AUTO = "auto"
JOINED_LAYERS = 8
"""In 31 of 34 passes (two real decoders, 17 tasks, every second or third layer; docs/results/states.md) the best joined
probe was on one of the four layers that are best with one of its parts."""


def candidate_readings(pooling: str, states: States, *, causal: bool = True) -> tuple[Reading, ...]:
    """The readings that settings stand for, the one whose scores are shown first.

    An encoder's first token stands in the place of a decoder's last: it is the one that has seen the whole text by
    design.  Where states are normalised the mean of raw ones is a candidate too: what the size of states says of a text
    is lost otherwise, and on some tasks it says much.
    """
    if pooling != AUTO:
        return (Reading(pooling, states),)
    first, *others = ("mean", "last", "last+mean") if causal else ("mean", "cls")
    raw = [Reading("mean", "raw")] if states == "normalised" else []
    return (Reading(first, states), *raw, *(Reading(how, states) for how in others))


def search(
    fit: Callable[[Candidate], RidgeProbe],
    layers: Sequence[int],
    readings: Sequence[Reading],
    known: Mapping[Candidate, RidgeProbe] | None = None,
    *,
    width: int,
) -> dict[Candidate, RidgeProbe]:
    """Probes by candidate.

    Args:
        fit: makes the probe of a candidate; may be called by several threads.
        layers: to try.
        readings: to try; one with "+" only on the `JOINED_LAYERS` best layers, unless there is no other.
        known: probes that are there already.
        width: of the states.
    """
    single = [reading for reading in readings if "+" not in reading.pooling]
    first = [Candidate(layer, reading) for layer in layers for reading in single or readings]
    with side_by_side(width) as each:
        probes = _with(dict(known or {}), fit, first, each)
    if not single:
        return probes
    loss = {layer: min(float(probes[Candidate(layer, how)].loss_N.mean()) for how in single) for layer in layers}
    best = sorted(sorted(loss, key=lambda layer: loss[layer])[:JOINED_LAYERS])
    joined = [Candidate(layer, reading) for reading in readings if reading not in single for layer in best]
    with side_by_side(2 * width) as each:
        return _with(probes, fit, joined, each)


def _with(
    probes: dict[Candidate, RidgeProbe],
    fit: Callable[[Candidate], RidgeProbe],
    candidates: Sequence[Candidate],
    each: Callable[[Callable[[Candidate], RidgeProbe], Sequence[Candidate]], list[RidgeProbe]],
) -> dict[Candidate, RidgeProbe]:
    new = [candidate for candidate in candidates if candidate not in probes]
    return probes | dict(zip(new, each(fit, new), strict=True))


def losses_of(probes: Mapping[Candidate, RidgeProbe]) -> dict[Candidate, np.ndarray]:
    """Losses (N,) of each candidate's probe on the training texts it did not see."""
    return {candidate: probe.loss_N.numpy() for candidate, probe in probes.items()}


def nested_accuracy(probes: Mapping[Candidate, RidgeProbe], nested_N: np.ndarray, labels_N: np.ndarray) -> float:
    """Share of training texts whose label the candidate chosen without their fold reads, fitted without it too."""
    crossfit_KN = np.stack([probe.crossfit_N.numpy() for probe in probes.values()])
    return float(right(labels_N, crossfit_KN[nested_N, np.arange(len(labels_N))]).mean())
