"""Task x backbone -> assessment: one forward pass, every score, plain data out."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.assessment.assess_task import assess as assess
    from tokenworth.assessment.assessment_result import Assessment as Assessment
    from tokenworth.assessment.assessment_result import Ranking as Ranking
    from tokenworth.assessment.rank_backbones import rank as rank

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "Assessment": ".assessment_result",
        "Ranking": ".assessment_result",
        "assess": ".assess_task",
        "rank": ".rank_backbones",
    },
)
