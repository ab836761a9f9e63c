"""The whole story of one task, offline: rank a model, its random twin and a bag of words, decide, adapt, report."""

from tokenworth.demo.demo_run import Demo
from tokenworth.demo.small_decoder import SmallDecoder, is_at_hand

__all__ = ["Demo", "SmallDecoder", "is_at_hand"]
