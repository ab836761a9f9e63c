"""Task x backbone -> assessment: one forward pass, every score, plain data out."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.assessment.assess_task import assess as assess
    from tokenworth.assessment.assessment_result import Assessment as Assessment
    from tokenworth.assessment.rank_backbones import rank as rank
    from tokenworth.assessment.ranking_result import Ranking as Ranking

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".assess_task": "assess",
        ".assessment_result": "Assessment",
        ".rank_backbones": "rank",
        ".ranking_result": "Ranking",
    },
)
