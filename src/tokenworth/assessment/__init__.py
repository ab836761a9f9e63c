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
        ".assess_task": "assess",
        ".assessment_result": "Assessment Ranking",
        ".rank_backbones": "rank",
    },
)
