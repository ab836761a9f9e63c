"""Where a number means nothing, or less than it seems to: said beside the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tokenworth.assessment.assessment_result import Flag
from tokenworth.backbones import Backbone
from tokenworth.encode import States
from tokenworth.features.massive_activations import LargestState
from tokenworth.tasks import Task
from tokenworth.tasks.split import texts_of_each

SMALL_TEST = 200
SMALL_CLASS = 10
FEW_TOKENS = 200
"""For each direction of a state.  Two real tasks and SmolLM2, `bench/moment_samples.py`: docs/benchmarks.md."""
NOT_AUTOREGRESSIVE = "not autoregressive: this backbone has seen the next token, so it is not ranked against decoders"

SEVERAL = (
    "several labels a text: the sum of squared canonical correlations of text and labels, which sees of the mean text "
    "of a set of labels what is a sum over them"
)


def find_flags(task: Task, backbone: Backbone, reasons: dict[int, dict[str, str]]) -> list[Flag]:
    """Flags of the task, of the backbone and of single layers, one for each reason (by layer, the reason by score)."""
    flags = list[tuple[int | None, str, str]]()
    if not backbone.causal:
        flags += [(None, score, NOT_AUTOREGRESSIVE) for score in ("ntps", "ar_r2")]
    if len(task.test) < SMALL_TEST:
        flags.append((None, "all", f"only {len(task.test)} test texts: read the intervals, not the figures"))
    smallest = int(texts_of_each(task.train.labels, task.n_classes).min())
    if smallest < SMALL_CLASS:
        thing = "label" if task.several else "class"
        flags.append((None, "all", f"the smallest {thing} has {smallest} training texts: its figures are chance"))
    if task.several:
        flags.append((None, "hscore", SEVERAL))
    for layer, by_score in reasons.items():
        flags += [(layer, score, reason) for score, reason in by_score.items() if reason]
    return [{"layer": layer, "score": score, "reason": reason} for layer, score, reason in flags]


def few_tokens(n_tokens: int, backbone: Backbone, rows: Sequence[Mapping[str, float]]) -> list[Flag]:
    """Flags of what is fitted to the next token, where so few tokens were read that more would move it.

    Args:
        n_tokens: that the pass read.
        backbone: whose states they have.
        rows: of the layers, with their scores: what none of them has needs no flag.
    """
    each = n_tokens / backbone.width
    if each >= FEW_TOKENS:
        return []
    read = f"from {n_tokens:,} tokens, {each:.0f} for each of the {backbone.width:,} directions of a state"
    said = [("retained_auc", f"the order of directions is read {read}: more texts of the kind would move it")]
    if backbone.causal:
        fewer = f"fitted and measured {read}: the fewer, the higher, so compare it at equal numbers of them"
        said.append(("ar_r2", fewer))
    return [
        {"layer": None, "score": score, "reason": reason}
        for score, reason in said
        if any(math.isfinite(row[score]) for row in rows)
    ]


def massive_activations(largest: Sequence[LargestState], states: States) -> list[Flag]:
    """One flag for all layers that hold massive activations: where they are, how large, and what follows."""
    massive = [state for state in largest if state.massive]
    if not massive:
        return []
    worst = max(massive, key=lambda state: state.ratio)
    layers = _ranges([state.layer for state in massive])
    follows = (
        "states are normalised before they are scored, so they do not decide"
        if states == "normalised"
        else "H-score and ar_r2 there measure them and not the task; states: normalised divides them out"
    )
    reason = (
        f"massive activations at layers {layers}: at layer {worst.layer} the state of token {worst.position + 1} of a "
        f"text is {worst.ratio:,.0f} times as long as others (coordinate {worst.coordinate} is {worst.value:,.0f}); "
        f"{follows}"
    )
    return [{"layer": None, "score": "states", "reason": reason}]


def _ranges(numbers: Sequence[int]) -> str:
    """1, 3-5, 9"""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
