"""Task x backbone -> assessment: one forward pass, every score, plain data out."""

from tokenworth.assessment.assess_task import assess
from tokenworth.assessment.assessment_result import Assessment, Ranking
from tokenworth.assessment.rank_backbones import rank

__all__ = ["Assessment", "Ranking", "assess", "rank"]
