"""Encoding: tokenise once, one forward pass over length-sorted batches, one layer's states at a time."""

from tokenworth.encode.batches import Queue, plan_batches
from tokenworth.encode.feature_file import FeatureFile
from tokenworth.encode.forward_pass import EncodeStats, Schedule, default_batch_tokens, encode
from tokenworth.encode.pooling import POOLINGS, Reading, States, normalised, pool
from tokenworth.encode.tokens import Tokens, tokenise

__all__ = [
    "POOLINGS",
    "EncodeStats",
    "FeatureFile",
    "Queue",
    "Reading",
    "Schedule",
    "States",
    "Tokens",
    "default_batch_tokens",
    "encode",
    "normalised",
    "plan_batches",
    "pool",
    "tokenise",
]
