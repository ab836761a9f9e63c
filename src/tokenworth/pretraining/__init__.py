"""Pretraining: tokenizers, token shards, the loop, its schedules and parallel forms."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.errors import PretrainError as PretrainError
    from tokenworth.pretraining.data.package_texts import package_texts as package_texts
    from tokenworth.pretraining.group_dro import ExcessLoss as ExcessLoss
    from tokenworth.pretraining.mixture_settings import WeighingConfig as WeighingConfig
    from tokenworth.pretraining.mixture_weights import FoundWeights as FoundWeights
    from tokenworth.pretraining.mixture_weights import find_weights as find_weights
    from tokenworth.pretraining.pretrain_result import PretrainPage as PretrainPage
    from tokenworth.pretraining.pretrain_result import PretrainRun as PretrainRun
    from tokenworth.pretraining.pretrain_run import pretrain as pretrain
    from tokenworth.pretraining.pretraining_settings import ModelConfig as ModelConfig
    from tokenworth.pretraining.pretraining_settings import PretrainConfig as PretrainConfig
    from tokenworth.pretraining.pretraining_settings import TrainingConfig as TrainingConfig
    from tokenworth.pretraining.pretraining_settings import make_config as make_config
    from tokenworth.pretraining.pretraining_settings import read_config as read_config
    from tokenworth.tokenizers.source_settings import SourceConfig as SourceConfig
    from tokenworth.tokenizers.tokenizer import ByteCodec as ByteCodec
    from tokenworth.tokenizers.tokenizer import TokenizerConfig as TokenizerConfig
    from tokenworth.tokenizers.tokenizer import fertility as fertility
    from tokenworth.tokenizers.tokenizer import train_tokenizer as train_tokenizer

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "tokenworth.errors": "PretrainError",
        ".data.package_texts": "package_texts",
        ".group_dro": "ExcessLoss",
        ".mixture_settings": "WeighingConfig",
        ".mixture_weights": "FoundWeights find_weights",
        ".pretrain_result": "PretrainPage PretrainRun",
        ".pretrain_run": "pretrain",
        ".pretraining_settings": "ModelConfig PretrainConfig TrainingConfig make_config read_config",
        "tokenworth.tokenizers.source_settings": "SourceConfig",
        "tokenworth.tokenizers.tokenizer": "ByteCodec TokenizerConfig fertility train_tokenizer",
    },
)
