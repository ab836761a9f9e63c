"""What the files of a finished cell hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import TypedDict

from tokenworth.adaptation import AdaptResult
from tokenworth.assessment import Assessment
from tokenworth.base.codec import Result
from tokenworth.base.schema import Count, Facts, Finite, Number

COUNTED, TEXT_LOSS, PUBLISHED = "count.json", "text_loss.json", "published.json"
HOLDS_RESULT, REMEDY = "result of a cell", "remove the folder of this cell and run the study again, which makes it anew"
"""For sentences about a file that is none."""


@dataclass(frozen=True, kw_only=True)
class CountedWeights(Result):
    """Parameters of a backbone as the paper prints them, all of them, and those of adapters without a head."""

    FILE: ClassVar[str] = COUNTED
    HOLDS: ClassVar[str] = HOLDS_RESULT
    REMEDY: ClassVar[str] = REMEDY

    printed: Count
    parameters: Count
    trainable: Count
    environment: Facts


class PublishedLayer(TypedDict):
    """Figures of the published code on one layer; ntps has one a share, None where no direction is left."""

    layer: int
    ntps: list[Number]
    train_accuracy: Finite
    train_squared_error: Finite


@dataclass(frozen=True, kw_only=True)
class PublishedScores(Result):
    """What the published code measures, of every layer."""

    FILE: ClassVar[str] = PUBLISHED
    HOLDS: ClassVar[str] = HOLDS_RESULT
    REMEDY: ClassVar[str] = REMEDY

    shares: list[Finite]
    """Of k."""
    layers: list[PublishedLayer]
    classes: Count
    texts: Count
    pass_reused: bool = False
    seconds: Finite
    environment: Facts


RESULTS: dict[str, type[Result]] = {
    kind.FILE: kind for kind in (AdaptResult, Assessment, CountedWeights, PublishedScores)
}
"""By the name of the file; the loss of a task's texts is numbers by name."""
