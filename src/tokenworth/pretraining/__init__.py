"""Pretraining: tokenizers, token shards, the loop, its schedules and parallel forms."""

from tokenworth.errors import PretrainError
from tokenworth.pretraining.data.package_texts import package_texts
from tokenworth.pretraining.group_dro import ExcessLoss
from tokenworth.pretraining.mixture_weights import FoundWeights, WeighingConfig, find_weights
from tokenworth.pretraining.pretrain_result import PretrainPage, PretrainRun
from tokenworth.pretraining.pretrain_run import pretrain
from tokenworth.pretraining.pretraining_settings import (
    ModelConfig,
    PretrainConfig,
    TrainingConfig,
    make_config,
    read_config,
)
from tokenworth.tokenizers.source_settings import SourceConfig
from tokenworth.tokenizers.tokenizer import ByteCodec, TokenizerConfig, fertility, train_tokenizer

__all__ = [
    "ByteCodec",
    "ExcessLoss",
    "FoundWeights",
    "ModelConfig",
    "PretrainConfig",
    "PretrainError",
    "PretrainPage",
    "PretrainRun",
    "SourceConfig",
    "TokenizerConfig",
    "TrainingConfig",
    "WeighingConfig",
    "fertility",
    "find_weights",
    "make_config",
    "package_texts",
    "pretrain",
    "read_config",
    "train_tokenizer",
]
