"""The networks that routes train: a backbone that may be changed, and what of it learns."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch

from tokenworth.adaptation.job import Job
from tokenworth.adaptation.predictor import origin, with_prefix
from tokenworth.adaptation.routes.lora import quantise
from tokenworth.adaptation.routes.tuned_predictor import TextClassifier, TunedPredictor, shortened
from tokenworth.adaptation.routes.tunings import KINDS
from tokenworth.adaptation.training.lora_products import join_products
from tokenworth.backbones import Backbone, resolve_device, resolve_dtype
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.twins import random_model, retokenised, with_model
from tokenworth.errors import SettingError


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """A backbone that may be changed, and what learns of it: an adapter, or all weights where there is none."""

    backbone: Backbone
    dtype: torch.dtype
    """Of products."""
    adapter: Any = None
    base: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def tuning(self) -> str:
        """Of the adapter."""
        return (self.base or {}).get("tuning", "lora")

    def predictor(self, job: Job) -> TunedPredictor:
        """With the head of the protocol."""
        config = job.config
        classifier = TextClassifier(
            self.backbone,
            job.n_classes,
            pooling=config.head_pooling,
            dropout=config.dropout,
            bias=config.head_bias,
            seed=job.seed,
        )
        cut = (config.max_length, config.prefix)
        return TunedPredictor(classifier, self.backbone, *cut, self.dtype, self.adapter, self.base, config.read_of_long)


def all_weights(job: Job) -> Network:
    """The pretrained backbone, of which every weight learns."""
    backbone = _changeable(job, job.backbone(dtype="float32"))
    backbone.model.requires_grad_(True)
    return Network(backbone, _products(job))


def part_of_weights(job: Job) -> Network:
    """As all weights, with those frozen that do not learn.  SettingError: asked to be sharded."""
    _refuse_sharding(job)
    network = all_weights(job)
    KINDS[job.config.tuning].attach(network.backbone.model, network.backbone.name, job.config, job.seed)
    return network


def adapted(job: Job) -> Network:
    """The pretrained backbone, frozen, with the adapter of the tuning, which learns.

    Raises SettingError: another tuning than LoRA asked to be sharded.
    """
    backbone, config = _changeable(job, job.backbone()), job.config
    base = {**origin(backbone, job.loading.get("tokenizer"), job.seed), "quantise": config.quantise}
    if config.quantise is not None:
        quantise(backbone, config.quantise)
    backbone = shortened(backbone, config.virtual_tokens if KINDS[config.tuning].lengthens else 0)
    with quiet_transformers():
        adapter = KINDS[config.tuning].attach(backbone.model, backbone.name, config, job.seed)
    if config.tuning != "lora":
        _refuse_sharding(job)
        base["tuning"] = config.tuning
    if not job.devices.sharded:  # FSDP asks for a map's weights as the map is called
        join_products(backbone)
    return Network(backbone, backbone.dtype, adapter, base)


def _refuse_sharding(job: Job) -> None:
    if job.devices.sharded:
        raise SettingError(
            f"shard spreads LoRA and all weights over processes, not tuning {job.config.tuning}; leave it out"
        )


def from_random_weights(job: Job) -> Network:
    """The backbone's configuration with weights drawn anew, and a tokenizer trained anew where that is asked for."""
    backbone = job.backbone(random=True, dtype="float32")
    if isinstance(job.model, Backbone):
        model = random_model(backbone.model.config, torch.float32, job.seed).to(backbone.device).eval()
        backbone = with_model(backbone, model, f"random, seed {job.seed}")
    if job.config.tokenizer == "retrained":
        texts = with_prefix(job.train.texts, job.config.prefix)
        backbone = retokenised(backbone, retrained_tokenizer(backbone.tokenizer, texts), job.seed)
    backbone.model.requires_grad_(True)
    return Network(backbone, _products(job), facts={"vocabulary": backbone.structure.n_embeddings})


def retrained_tokenizer(tokenizer: Any, texts: list[str]) -> Any:
    """A tokenizer of the same kind and at most the same size, trained on these texts.

    Raises SettingError: it is one that only Python implements, which cannot be trained anew.
    """
    if not tokenizer.is_fast:
        raise SettingError("this backbone's tokenizer cannot be trained anew; choose tokenizer pretrained")
    return tokenizer.train_new_from_iterator(texts, vocab_size=len(tokenizer), show_progress=False)


def _changeable(job: Job, backbone: Backbone) -> Backbone:
    """The backbone; a copy of one that the caller gave."""
    if isinstance(job.model, Backbone):
        return with_model(backbone, copy.deepcopy(backbone.model), "copy")
    return backbone


def _products(job: Job) -> torch.dtype:
    """Number format of products; the weights that learn stay in float32."""
    dtype = resolve_dtype(job.dtype, resolve_device(job.loading.get("device") or "auto"))
    if dtype == torch.float16:
        raise SettingError("float16 underflows in training all weights; choose bfloat16 or float32")
    if dtype == torch.float64:
        raise SettingError("weights that all learn are kept in float32; choose float32 or bfloat16 instead of float64")
    return dtype
