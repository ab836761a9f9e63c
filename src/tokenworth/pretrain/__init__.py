"""Pretraining: documents that are on every machine, and one flat loop that makes a small decoder of them."""

from tokenworth.pretrain.config import PretrainError, TinyConfig, TinyRun
from tokenworth.pretrain.texts import package_texts
from tokenworth.pretrain.tiny import pretrain_tiny

__all__ = ["PretrainError", "TinyConfig", "TinyRun", "package_texts", "pretrain_tiny"]
