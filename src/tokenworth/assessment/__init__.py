"""Task x backbone -> assessment: one forward pass, every score, plain data out."""

from tokenworth.assessment.ranking import rank
from tokenworth.assessment.result import Assessment, Ranking
from tokenworth.assessment.run import assess

__all__ = ["Assessment", "Ranking", "assess", "rank"]
