"""The summary in plain words: what the numbers say, and what they do not say."""

from __future__ import annotations

import math

from tokenworth.assessment.assessment_result import BackboneCard, LayerRow, TaskCard
from tokenworth.assessment.layer_choice import LayerChoice
from tokenworth.assessment.probe_table import ProbeTable
from tokenworth.scores.curves import SHARE

NOT_CAUSAL = (
    "This backbone sees the whole text at once: what its directions say of the next token is shown, not ranked."
)
WHICH_TO_TRUST = (
    "To compare layers or backbones trust the cross-fitted probe, then LogME: on 17 tasks and two real models they put "
    "95% and 92% of the pairs of backbones into the order of the test texts; the retained area told trained weights "
    "from random ones but chose layers worse, and NTPS never stood out from its level under shuffled labels."
)
ONE_CLASS_ALONE = "Those 17 tasks have one class a text; which score to trust for several labels was not measured."
WHAT_IS_NOT_MEASURED = (
    "These figures are about frozen features; prompting, LoRA and full fine-tuning are not measured here."
)


def summarise(
    task: TaskCard,
    backbone: BackboneCard,
    choice: LayerChoice,
    rows: dict[int, LayerRow],
    probes: ProbeTable,
    nested: float,
) -> list[str]:
    """Sentences a reader can act on, most important first."""
    row = rows[choice.best.layer]
    return [
        _against_words(task, probes),
        _which_layer(backbone, choice, row, nested),
        *([*_retained(row), *_ntps(row)] if backbone["causal"] else [NOT_CAUSAL]),
        WHICH_TO_TRUST,
        *([ONE_CLASS_ALONE] if "label_sets" in task["counts"] else []),
        WHAT_IS_NOT_MEASURED,
    ]


def _against_words(task: TaskCard, probes: ProbeTable) -> str:
    best, bow, (lead, low, high) = probes.best, probes.bow, probes.lead
    figures = (
        f"The best probe ({best['name']}) reads the labels with weighted F1 {best['f1']:.3f} "
        f"({best['f1_low']:.3f} to {best['f1_high']:.3f}) on {task['texts']['test']:,} test texts; "
        f"a bag of words reaches {bow['f1']:.3f}"
    )
    if low > 0:
        return f"{figures}: the backbone is ahead by {lead:.3f} ({low:.3f} to {high:.3f})."
    if high < 0:
        return (
            f"{figures}: the backbone is behind by {-lead:.3f} ({-high:.3f} to {-low:.3f}), a bag of words is better."
        )
    return f"{figures}: the difference of {lead:+.3f} ({low:+.3f} to {high:+.3f}) is within the noise."


def _which_layer(backbone: BackboneCard, choice: LayerChoice, row: LayerRow, nested: float) -> str:
    best, reading = choice.best
    share = choice.frequency.get(best, 0.0)
    others = [str(layer) for layer in choice.within_noise if layer != best]
    tied = f"; layers within its noise: {', '.join(others)}" if others else "; no other layer is within its noise"
    return (
        f"Layer {best} of {backbone['n_layers']}, pooled by {reading}, is best of {choice.candidates} candidates by "
        f"cross-fitted error on training texts (the layer in {share:.0%} of the runs that leave one fold of them out"
        f"{tied}); accuracy there {row['cv_accuracy']:.3f}, and {nested:.3f} where each fold's candidate is chosen "
        "without it."
    )


def _retained(row: LayerRow) -> list[str]:
    area = row["retained_auc"]
    if math.isnan(area):
        return ["How much label signal next-token directions keep cannot be said here; the reason stands below."]
    low, high = row["retained_auc_low"], row["retained_auc_high"]
    interval = "" if math.isnan(low) else f" ({low:.2f} to {high:.2f})"
    k90 = "" if math.isnan(row["k90_low"]) else f" (between {row['k90_low']:.0f} and {row['k90_high']:.0f})"
    kept = f"Of the linearly readable label signal, next-token directions keep an area of {area:.2f}{interval}"
    chance = f"where directions in random order keep {row['retained_auc_chance']:.2f}"
    return [f"{kept}, {chance}; {row['k90']:.0f} directions{k90} keep nine tenths of it."]


def _ntps(row: LayerRow) -> list[str]:
    if math.isnan(row["ntps"]):
        return []
    excess, low, high = row["ntps_excess"], row["ntps_excess_low"], row["ntps_excess_high"]
    verdict = "not above what shuffled labels score" if low <= 0 else "above what shuffled labels score"
    shuffled = f"({row['ntps_chance']:.2f}; excess {excess:+.2f}, {low:+.2f} to {high:+.2f})"
    return [f"NTPS at {SHARE:.0%} of the directions is {row['ntps']:.2f}, {verdict} {shuffled}."]
