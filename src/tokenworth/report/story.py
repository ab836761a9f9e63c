"""One task from the question to the answer: what was measured, what was advised, and what following the advice gave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Ranking
    from tokenworth.decision import Decision


Kind = Literal["words", "random", "trained", "advised"]
"""Of a classifier: without a network, on random weights, on trained ones, or the route that was advised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A classifier that was fitted, judged on the test texts."""

    name: str
    """For people: a probe on smollm2-135m."""
    kind: Kind
    texts: int
    """Training texts."""
    f1: float
    """Weighted."""
    f1_low: float
    f1_high: float
    """95 %."""
    seconds: float
    """To get it on this machine: reading the texts, fitting, judging."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A test text, its label, and what the classifiers took it for."""

    text: str
    label: str
    guesses: Mapping[str, str]
    """Label by the name of the classifier."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a page for people who have not run anything shows."""

    question: str
    """What a text is to be recognised by, one sentence."""
    sampled: str
    """Which texts were used and why, one sentence or two."""
    headline: str
    """The answer in a few words."""
    sentences: list[str]
    """The answer, the most important first."""
    measured: list[Measured]
    ranking: Ranking
    decision: Decision
    run: AdaptResult | None
    """Of the advised route; None where nothing was affordable."""
    examples: list[Example] = field(default_factory=list)
    pages: Mapping[str, str] = field(default_factory=dict)
    """Further pages by what they show: paths from the folder of this one."""
    seconds: float = 0.0
    """Of everything."""

    def to_json(self) -> str:
        """The answer and the figures behind it; ranking, decision and run have files of their own."""
        advised = self.decision.recommended
        facts = {
            "task": self.ranking.task["name"],
            "sampled": self.sampled,
            "measured": [asdict(row) for row in self.measured],
            "advised": None if advised is None else {name: advised[name] for name in ("model", "route", "f1")},
            "sentences": self.sentences,
            "seconds": self.seconds,
        }
        return json.dumps(facts, indent=1)
