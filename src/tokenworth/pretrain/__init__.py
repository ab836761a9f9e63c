"""Pretraining: documents that are on every machine, and one flat loop that makes a small decoder of them."""

from tokenworth.pretrain.config import PretrainError, TinyConfig, TinyRun
from tokenworth.pretrain.planning import Plan, plans
from tokenworth.pretrain.scaling import ScalingFit, fit_scaling, read_runs
from tokenworth.pretrain.texts import package_texts
from tokenworth.pretrain.tiny import pretrain_tiny
from tokenworth.pretrain.tokenizer import ByteCodec, TokenizerConfig, fertility, train_tokenizer

__all__ = [
    "ByteCodec",
    "Plan",
    "PretrainError",
    "ScalingFit",
    "TinyConfig",
    "TinyRun",
    "TokenizerConfig",
    "fertility",
    "fit_scaling",
    "package_texts",
    "plans",
    "pretrain_tiny",
    "read_runs",
    "train_tokenizer",
]
