"""Pretraining: tokenizers, token shards, the loop, its schedules and parallel forms, scaling laws."""

from tokenworth.errors import PretrainError
from tokenworth.pretraining.group_dro import ExcessLoss
from tokenworth.pretraining.planning import Plan, plans
from tokenworth.pretraining.result import PretrainPage, PretrainRun
from tokenworth.pretraining.run import pretrain
from tokenworth.pretraining.run_table import read_runs
from tokenworth.pretraining.scaling import ScalingFit, fit_scaling
from tokenworth.pretraining.settings import (
    ModelConfig,
    PretrainConfig,
    SourceConfig,
    TrainingConfig,
    make_config,
    read_config,
)
from tokenworth.pretraining.texts import package_texts
from tokenworth.pretraining.tokenizer import ByteCodec, TokenizerConfig, fertility, train_tokenizer
from tokenworth.pretraining.weighing import FoundWeights, WeighingConfig, find_weights

__all__ = [
    "ByteCodec",
    "ExcessLoss",
    "FoundWeights",
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
    "WeighingConfig",
    "fertility",
    "find_weights",
    "fit_scaling",
    "make_config",
    "package_texts",
    "plans",
    "pretrain",
    "read_config",
    "read_runs",
    "train_tokenizer",
]
