"""Pretraining: tokenizers, token shards, the loop, its schedules and parallel forms, scaling laws."""

from tokenworth.errors import PretrainError
from tokenworth.pretrain.planning import Plan, plans
from tokenworth.pretrain.result import PretrainPage, PretrainRun
from tokenworth.pretrain.run import pretrain
from tokenworth.pretrain.scaling import ScalingFit, fit_scaling, read_runs
from tokenworth.pretrain.settings import (
    ModelConfig,
    PretrainConfig,
    SourceConfig,
    TrainingConfig,
    make_config,
    read_config,
)
from tokenworth.pretrain.texts import package_texts
from tokenworth.pretrain.tokenizer import ByteCodec, TokenizerConfig, fertility, train_tokenizer

__all__ = [
    "ByteCodec",
    "ModelConfig",
    "Plan",
    "PretrainConfig",
    "PretrainError",
    "PretrainPage",
    "PretrainRun",
    "ScalingFit",
    "SourceConfig",
    "TokenizerConfig",
    "TrainingConfig",
    "fertility",
    "fit_scaling",
    "make_config",
    "package_texts",
    "plans",
    "pretrain",
    "read_config",
    "read_runs",
    "train_tokenizer",
]
