"""What a run may answer: a threshold that keeps the error low, and sets of classes, from its test predictions.

Test texts were seen by no fit, so what their predictions say holds for texts drawn like them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tokenworth.adaptation.answer_settings import AnswerSettings
from tokenworth.adaptation.storage.adapt_result import NO_CLASS_NAME, RESULT, AdaptResult
from tokenworth.base.aliases import Floats
from tokenworth.errors import AdaptError
from tokenworth.probes.selective_prediction import (
    SHARES,
    Threshold,
    certified_threshold,
    label_sets,
    least_texts,
    risk_coverage,
    set_threshold,
    thresholds,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done with predictions."""

    threshold: Threshold | None = None
    least_probability: float | None = None
    """Of a class in a label set."""

    def apply(self, table: pd.DataFrame, probability_MC: Floats, names: tuple[str, ...]) -> pd.DataFrame:
        """The table with `answered` (what is not keeps no predicted class) and `set`, as JSON."""
        if self.threshold is not None:
            answered_M = table["confidence"].to_numpy() > self.threshold.confidence
            predicted = np.where(answered_M, table["predicted"].astype(object), NO_CLASS_NAME)
            table = table.assign(predicted=predicted, answered=answered_M)
        if self.least_probability is not None:
            inside_MC = label_sets(probability_MC, self.least_probability)
            order_MC = np.argsort(-probability_MC, axis=1, kind="stable")
            pairs = zip(order_MC, inside_MC, strict=True)
            sets = [[names[place] for place in order_C if inside_C[place]] for order_C, inside_C in pairs]
            table = table.assign(set=[json.dumps(classes, ensure_ascii=False) for classes in sets])
        return table

    def sentences(self, table: pd.DataFrame) -> list[str]:
        """What was done with a table of predictions, and what that is worth."""
        said, rule = [], self.threshold
        empty = table["predicted"].map(lambda told: isinstance(told, str) and told == NO_CLASS_NAME)
        if rule is not None:
            said.append(
                f"answered: {int(table['answered'].sum()):,} of {len(table):,} texts, those of a confidence above "
                f"{max(rule.confidence, 0):.3f}; of {rule.answered:,} such test texts {rule.errors:,} are wrong, which "
                f"bounds the error by {rule.bound:.4f}; the other texts are handed back, their predicted empty"
            )
            empty &= table["answered"]
        if unclear := int(empty.sum()):
            said.append(f"{unclear:,} of {len(table):,} answers name no class, and their predicted is empty")
        return said


def rules_of(run: Path, settings: AnswerSettings) -> Rules:
    """The rules that the test predictions of a run allow.

    Raises AdaptError: there are none, they are too few, or no threshold keeps the risk.
    """
    if settings.risk is None and settings.sets is None:
        return Rules()
    if not (run / RESULT).is_file():
        raise AdaptError(f"{run} holds no {RESULT}, and bounds come from the test predictions beside it; give a run")
    result = AdaptResult.load(run)
    if "by_label" in result.confusion:
        raise AdaptError(
            f"{run} names several labels a text, and --risk and --sets are of one class a text; leave them out"
        )
    threshold = None if settings.risk is None else _threshold(run, result, settings.risk, settings.certainty)
    least = None if settings.sets is None else _least_probability(run, result, settings.sets)
    return Rules(threshold, least)


def _threshold(run: Path, result: AdaptResult, risk: float, certainty: float) -> Threshold:
    confidence_N, correct_N = _held_out(result)
    found = certified_threshold(confidence_N, correct_N, risk, certainty)
    if found is not None:
        return found
    needed, n = least_texts(risk, certainty), len(confidence_N)
    if needed > n:
        raise AdaptError(
            f"a risk of {risk:g} cannot be certified with so few texts: at a certainty of {certainty:g} it takes "
            f"{needed:,} test texts without one error, and {run} has {n:,}; give a larger --risk, or hold out more"
        )
    lowest = min(thresholds(confidence_N, correct_N, certainty), key=lambda threshold: threshold.bound)
    raise AdaptError(
        f"a risk of {risk:g} cannot be certified at a certainty of {certainty:g}: the lowest bound of {run} is "
        f"{lowest.bound:.3f}, where {lowest.answered:,} of {n:,} test texts are answered and {lowest.errors:,} wrong; "
        "give a larger --risk, or a better route"
    )


def _least_probability(run: Path, result: AdaptResult, share: float) -> float:
    table, names = result.predictions, result.task["label_names"]
    columns = [f"p_{name}" for name in names]
    if not set(columns) <= set(table.columns):
        raise AdaptError(f"{run} keeps no probabilities of its {len(names)} classes, which label sets are made from")
    true_N = table["label"].map({name: place for place, name in enumerate(names)}).to_numpy()
    probability_NC = table[columns].to_numpy(dtype=np.float64)
    least = set_threshold(probability_NC[np.arange(len(table)), true_N], share)
    if least is None:
        needed = int(np.ceil(share / (1 - share) - 1e-9))
        raise AdaptError(
            f"sets that hold the true class with probability {share:g} need {needed:,} test texts, and "
            f"{run} has {len(table):,}; give a smaller --sets, or hold out more"
        )
    return least


def _held_out(result: AdaptResult) -> tuple[Floats, np.ndarray]:
    table = result.predictions
    return table["confidence"].to_numpy(dtype=np.float64), table["correct"].to_numpy(dtype=bool)


def risk_curve(result: AdaptResult, certainty: float = 0.95) -> dict[str, list[float]] | None:
    """Error among answered test texts by the share that is answered, and its certified bound at SHARES.

    Keys: coverage, error, shares, bounds.  None where the result has no predictions.
    """
    if not {"confidence", "correct"} <= set(result.predictions.columns) or not len(result.predictions):
        return None
    confidence_N, correct_N = _held_out(result)
    coverage_N, error_N = risk_coverage(confidence_N, correct_N)
    bounds = thresholds(confidence_N, correct_N, certainty)
    return {
        "coverage": coverage_N.tolist(),
        "error": error_N.tolist(),
        "shares": list(SHARES),
        "bounds": [threshold.bound for threshold in bounds],
    }
