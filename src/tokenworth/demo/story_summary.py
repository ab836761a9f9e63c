"""What the demo measured, side by side, and what a practitioner should take from it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

from tokenworth.adaptation import AdaptResult
from tokenworth.assessment import Assessment
from tokenworth.assessment.assessment_result import FittedProbe, ProbeRow
from tokenworth.base.progress import clock_time, duration
from tokenworth.decision import Decision
from tokenworth.decision.decision_summary import route_in_words
from tokenworth.probes import paired_difference
from tokenworth.report.story import Example, Kind, Measured
from tokenworth.tasks import Task

_EXAMPLES = 6
_FURTHER = ("lora", "full")
"""Routes that train the pretrained network further."""
Outcome = Literal["pays", "network", "adapted", "words", "open"]
"""The trained network is ahead of random weights and of words, of words alone, of words once its weights are trained
further, behind words, or none of these can be told."""
_HEADLINES: dict[Outcome, str] = {
    "pays": "pretraining pays",
    "network": "the network pays, its pretraining does not show",
    "adapted": "the network pays once it is adapted",
    "words": "a bag of words is better than the pretrained network",
    "open": "a pretrained network is no better than a bag of words, as far as can be told",
}
Difference = tuple[float, float, float]
"""Weighted F1 of one classifier minus that of another on the same texts, and its 95 % interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Everything that was fitted on one task."""

    task: Task
    name: str
    """What people call the network."""
    trained: Assessment
    random: Assessment
    words: FittedProbe
    words_of_all: FittedProbe | None
    """Of all labelled texts, where the task is a sample."""
    labels: int
    """How many these are."""
    decision: Decision
    run: AdaptResult | None

    @property
    def over_words(self) -> Difference:
        """What the trained network brings over a bag of words."""
        return self._difference(self.trained.predictions, self.words["predictions"])

    @property
    def over_random(self) -> Difference:
        """What the weights it was trained to bring over random ones."""
        return self._difference(self.trained.predictions, self.random.predictions)

    @property
    def adapted_over_words(self) -> Difference | None:
        """What the network brings over a bag of words where the advised route trained its weights further."""
        if self.run is None or self.run.route not in _FURTHER:
            return None
        places = {name: place for place, name in enumerate(self.task.label_names)}
        predicted = [places[name] for name in self.run.predictions["predicted"]]
        return self._difference(predicted, self.words["predictions"])

    def _difference(self, first: list[int], second: list[int]) -> Difference:
        labels, n = self.task.test.labels, self.task.n_classes
        return paired_difference(labels, np.asarray(first), np.asarray(second), n)

    def measured(self) -> list[Measured]:
        """Without a network first, then with random weights, with trained ones, and as it was advised."""
        n = len(self.task.train)
        rows = [_probe("bag of words", "words", n, self.words, self.words["seconds"])]
        if (every := self.words_of_all) is not None:
            rows.append(
                _probe(f"bag of words, all {self.labels:,} labels", "words", self.labels, every, every["seconds"])
            )
        random, trained = self.random, self.trained
        rows += [
            _probe("probe on random weights", "random", n, random.best_probe(), random.timings["total"]),
            _probe(f"probe on {self.name}", "trained", n, trained.best_probe(), trained.timings["total"]),
        ]
        return [*rows, *([] if self.run is None else [self._advised(self.run)])]

    def _advised(self, run: AdaptResult) -> Measured:
        """The route as it was run."""
        return Measured(
            name=f"advised: {route_in_words(run.route, None)}",  # of the one model of the page: with it, names are cut
            kind="advised",
            texts=run.task["texts"]["train"],
            f1=float(run.metrics["weighted_f1"]),
            f1_low=float(run.metrics["weighted_f1_low"]),
            f1_high=float(run.metrics["weighted_f1_high"]),
            seconds=float(run.cost["seconds"]),
        )


def _probe(name: str, kind: Kind, texts: int, row: ProbeRow, seconds: float | None) -> Measured:
    return Measured(
        name=name,
        kind=kind,
        texts=texts,
        f1=float(row["f1"]),
        f1_low=float(row["f1_low"]),
        f1_high=float(row["f1_high"]),
        seconds=seconds or 0.0,
    )


def examples_of(findings: Findings, seed: int) -> list[Example]:
    """Some test texts, drawn by the seed, with what each classifier takes them for."""
    task, names = findings.task, findings.task.label_names
    columns = {
        findings.name: findings.trained.predictions,
        "random weights": findings.random.predictions,
        "bag of words": findings.words["predictions"],
    }
    rows = Random(seed).sample(range(len(task.test)), min(_EXAMPLES, len(task.test)))  # noqa: S311 - no secret
    return [
        Example(
            text=task.test.texts[row],
            label=names[task.test.labels[row]],
            guesses={name: names[predictions[row]] for name, predictions in columns.items()},
        )
        for row in rows
    ]


def headline(findings: Findings) -> str:
    """The answer in a few words."""
    return _HEADLINES[_outcome(findings)]


def summarise(findings: Findings) -> list[str]:
    """The answer, its price, and what came of the advice."""
    return [_reached(findings), _verdict(findings), _price(findings), *_advice(findings)]


def _reached(findings: Findings) -> str:
    probe, n = findings.trained.best_probe(), len(findings.task.train)
    between = f"{probe['f1_low']:.3f} to {probe['f1_high']:.3f}"
    return (
        f"Taught by {n:,} labelled texts, a linear probe on {findings.name}, which itself stays as it is, reaches "
        f"weighted F1 {probe['f1']:.3f} ({between}); on the same network with random weights it reaches "
        f"{findings.random.best_probe()['f1']:.3f}, and a bag of words without any network {findings.words['f1']:.3f}."
    )


def _outcome(findings: Findings) -> Outcome:
    """By the 95 % intervals of both differences."""
    _, low, high = findings.over_words
    if low > 0:
        return "pays" if findings.over_random[1] > 0 else "network"
    adapted = findings.adapted_over_words
    if adapted is not None and adapted[1] > 0:
        return "adapted"
    return "words" if high < 0 else "open"


def _verdict(findings: Findings) -> str:
    lead, low, high = findings.over_words
    noise = f"the noise of {len(findings.task.test):,} test texts"
    weights = f"its weights are worth {_points(*findings.over_random)} against random ones"
    outcome = _outcome(findings)
    if outcome == "pays":
        return (
            f"So pretraining pays here: {weights}, and the network {_points(lead, low, high)} against plain words, "
            f"both beyond {noise}."
        )
    if outcome == "network":
        return (
            f"So the network pays here, by {_points(lead, low, high)} against plain words, but not its pretraining: "
            f"{weights}, which is within {noise}."
        )
    adapted = findings.adapted_over_words
    if outcome == "adapted" and adapted is not None:
        return (
            f"So the network pays once it is adapted: {weights}; frozen it stands at {_points(lead, low, high)} "
            f"against plain words, adapted as advised at {_points(*adapted)}, beyond {noise}."
        )
    if outcome == "words":
        return (
            f"So pretraining does not pay here: {weights}, but plain words are ahead of the network by "
            f"{_points(-lead, -high, -low)}, beyond {noise}."
        )
    return (
        f"So whether pretraining pays here is open: {weights}, but against plain words the network stands at "
        f"{_points(lead, low, high)}, within {noise}."
    )


def _points(value: float, low: float, high: float) -> str:
    """Of F1, in hundredths: 17.5 points (12.1 to 22.9)."""
    return f"{100 * value:.1f} points of F1 ({100 * low:.1f} to {100 * high:.1f})"


def _price(findings: Findings) -> str:
    texts = len(findings.task.train) + len(findings.task.test)
    options = {row["route"]: row for row in findings.decision.options if row["source"] == "measured"}
    million = [duration(options[route]["million_seconds"] or 0.0) for route in ("probe", "bow") if route in options]
    many = f" (a million texts: {' against '.join(million)})" if len(million) > 1 else ""
    network, words = findings.trained.timings["total"], findings.words["seconds"] or 0.0
    price = f"Its price here is {clock_time(network)} for {texts:,} texts, where words take {clock_time(words)}{many}"
    every = findings.words_of_all
    if every is None:
        return f"{price}."
    reached = findings.trained.best_probe()["f1"]
    compared = "still less than" if every["f1"] < reached else "more than" if every["f1"] > reached else "as much as"
    return (
        f"{price}; the other way is more labels: taught by all {findings.labels:,} the bag of words reaches "
        f"{every['f1']:.3f}, {compared} the network by {len(findings.task.train):,}."
    )


def _advice(findings: Findings) -> list[str]:
    advised, run = findings.decision.recommended, findings.run
    if advised is None or run is None:
        return ["No route could be had within the budget."]
    reached, low, high = float(run.metrics["weighted_f1"]), float(advised["f1_low"]), float(advised["f1_high"])
    limit = findings.decision.settings["budget"]
    within = f" within {limit} a route" if limit else ""
    route = route_in_words(advised["route"], findings.name if advised["model"] else None)
    took = clock_time(run.cost["seconds"])
    if advised["source"] == "measured":
        return [f"The advice{within} was {route}; fitted once more and saved in {took} it reaches {reached:.3f}."]
    expected = f"{advised['f1']:.3f} was predicted ({low:.3f} to {high:.3f})"
    was = "inside" if low <= reached <= high else "outside"
    return [f"The advice{within} was {route}: {expected}; run in {took} it reaches {reached:.3f}, {was} the interval."]
