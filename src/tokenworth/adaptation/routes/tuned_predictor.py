"""The network that is trained, and as a predictor: the whole backbone, or an adapter for it, and the head.

Axes: B texts of a batch, N texts, C classes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tokenworth.adaptation.predictor import known_backbone, with_prefix
from tokenworth.adaptation.routes.lora import quantise
from tokenworth.adaptation.routes.tunings import KINDS
from tokenworth.adaptation.training.batch_packing import TextBatch, padded_batch
from tokenworth.adaptation.training.lora_products import join_products
from tokenworth.backbones import Backbone, dtype_name, load_backbone
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.twins import with_model
from tokenworth.base.aliases import Floats, Long
from tokenworth.base.float32_products import float32_products
from tokenworth.base.machine import is_out_of_memory
from tokenworth.encode import Tokens, default_batch_tokens, plan_batches, tokenise
from tokenworth.errors import AdaptError, SettingError, first_line


class TextClassifier(nn.Module):
    """logits = head(dropout(pooling(states of the last layer))); the head is drawn from the seed alone."""

    def __init__(
        self, backbone: Backbone, n_classes: int, *, pooling: str, dropout: float, bias: bool, seed: int
    ) -> None:
        super().__init__()
        self.model, self.pooling = backbone.model, pooling
        self.dropout = nn.Dropout(dropout)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            head = nn.Linear(backbone.width * (1 + pooling.count("+")), n_classes, bias=bias)
        self.head = head.to(backbone.device)

    def pooled(self, batch: TextBatch) -> Tensor:
        """What the head reads: texts (B, D or 2 D), float32."""
        return batch.read(batch.states(self.model), self.pooling)

    def forward(self, batch: TextBatch) -> Tensor:
        """Logits (B, C) in float32."""
        pooled = self.pooled(batch)
        with torch.autocast(pooled.device.type, enabled=False):
            logits: Tensor = self.head(self.dropout(pooled))
        return logits


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that learn, by name."""
    return {name: weights for name, weights in model.named_parameters() if weights.requires_grad}


def shortened(backbone: Backbone, n_virtual: int) -> Backbone:
    """The backbone, whose texts are shorter by virtual tokens that stand before them.

    Raises SettingError: they leave no place for a text.
    """
    if not n_virtual:
        return backbone
    if backbone.max_length <= n_virtual:
        raise SettingError(
            f"{n_virtual:,} virtual tokens leave no place for a text, as {backbone.name} reads {backbone.max_length:,} "
            "in all; give fewer --virtual-tokens"
        )
    return replace(backbone, max_length=backbone.max_length - n_virtual)


@dataclass(eq=False, slots=True)
class TunedPredictor:
    """A classifier with the tokenizer that goes before it."""

    classifier: TextClassifier
    backbone: Backbone
    max_length: int | None
    prefix: str
    dtype: torch.dtype
    """Of products; the weights may be wider."""
    adapter: Any = None
    """peft's wrapper where only an adapter learnt."""
    base: dict[str, Any] | None = None
    """Where the adapter's backbone lies."""
    long: Long = "first"
    """What is read of longer texts than the model takes."""
    kind: str = "tuned"

    @property
    def tuning(self) -> str:
        """Of the adapter."""
        return str((self.base or {}).get("tuning", "lora"))

    def merged(self) -> nn.Module:
        """The base model with the adapter in its weights; the adapter's own model is changed.

        Raises AdaptError: the tuning moves no weights.
        """
        if self.adapter is None:
            return self.classifier.model
        if not KINDS[self.tuning].merges:
            raise AdaptError(
                f"tuning {self.tuning} acts on texts or states and moves no weight, so no network of the backbone's "
                "shape holds it; predict with tokenworth, or train with tuning lora"
            )
        model: nn.Module = self.adapter.merge_and_unload()
        return model.eval()

    def scores(self, texts: list[str]) -> Floats:
        """Logits (N, C), texts of like length together; of a text in pieces the mean of theirs."""
        tokens = self._tokenised(texts)
        return tokens.mean(self.scores_of(tokens.ids))

    def scores_of(self, ids: list[np.ndarray]) -> Floats:
        """Logits (N, C) of tokenised texts."""
        return self._computed(ids, self.classifier, self.classifier.head.out_features)

    def pooled(self, texts: list[str]) -> Floats:
        """What the head reads: texts (N, D or 2 D); of a text in pieces the mean of theirs."""
        tokens = self._tokenised(texts)
        return tokens.mean(self._computed(tokens.ids, self.classifier.pooled, self.classifier.head.in_features))

    def _tokenised(self, texts: list[str]) -> Tokens:
        return tokenise(self.backbone, with_prefix(texts, self.prefix), max_length=self.max_length, long=self.long)

    def _computed(self, ids: list[np.ndarray], compute: Callable[[TextBatch], Tensor], width: int) -> Floats:
        """What is computed of each text (N, width), texts of like length together."""
        self.classifier.eval()
        found_NW = np.empty((len(ids), width))
        device, one_length = self.backbone.device.type, self.backbone.structure.reads_padding
        narrow = self.dtype not in {torch.float32, torch.float64}
        todo = plan_batches([len(text) for text in ids], default_batch_tokens(self.backbone), one_length=one_length)
        todo.reverse()
        while todo:
            rows = todo.pop()
            autocast = torch.autocast(device, dtype=self.dtype, enabled=narrow)
            try:
                with torch.inference_mode(), autocast, float32_products():
                    found_BW = compute(padded_batch(self.backbone, ids, rows))
                found_NW[rows] = found_BW.double().cpu().numpy()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(rows) == 1:
                    raise
                todo += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
        return found_NW

    def save(self, folder: Path) -> dict[str, Any]:
        """head.safetensors, and adapter/ or backbone/."""
        head = self.classifier.head
        arrays = {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
        save_file(arrays, folder / "head.safetensors")
        with quiet_transformers():
            if self.adapter is not None:
                self.adapter.save_pretrained(folder / "adapter", safe_serialization=True)
                in_order(folder / "adapter" / "adapter_config.json")
            else:
                model: Any = self.classifier.model
                model.save_pretrained(folder / "backbone")
                self.backbone.tokenizer.save_pretrained(folder / "backbone")
        return {
            "pooling": self.classifier.pooling,
            "bias": head.bias is not None,
            "max_length": self.max_length,
            "prefix": self.prefix,
            "longest": self.backbone.max_length,
            "dtype": dtype_name(self.dtype),
            "base": self.base,
            **({} if self.long == "first" else {"long": self.long}),
        }


def in_order(path: Path) -> None:
    """peft writes its targets in the order of a set, another one in each process: equal runs write equal files."""
    config = json.loads(path.read_text(encoding="utf-8"))
    ordered = {
        name: sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value
        for name, value in config.items()
    }
    path.write_text(json.dumps(ordered, indent=2, sort_keys=True), encoding="utf-8")


def load_tuned(folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> TunedPredictor:
    """The way back from `TunedPredictor.save`.

    Raises AdaptError: the adapter belongs to another backbone, or a file is damaged.
    """
    adapter = None
    if facts["base"] is not None:
        backbone = known_backbone(facts["base"], loading)
        if isinstance(loading.get("model"), Backbone):  # adapters are put into the model itself
            backbone = with_model(backbone, copy.deepcopy(backbone.model), "copy")
        if facts["base"].get("quantise"):
            quantise(backbone, facts["base"]["quantise"])
        try:
            tuning = facts["base"].get("tuning", "lora")
            with quiet_transformers():
                adapter = KINDS[tuning].load(backbone.model, folder / "adapter")
            join_products(backbone)
            backbone = shortened(
                backbone, adapter.active_peft_config.num_virtual_tokens if KINDS[tuning].lengthens else 0
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            raise AdaptError(
                f"the adapter in {folder / 'adapter'} does not fit {backbone.name} ({first_line(error)}); it belongs "
                "to another backbone, or its files are damaged"
            ) from error
    else:
        backbone = load_backbone(str(folder / "backbone"), dtype="float32", device=loading.get("device") or "auto")
    head = load_file(folder / "head.safetensors")
    n_classes, pooling = len(head["weight"]), facts["pooling"]
    classifier = TextClassifier(backbone, n_classes, pooling=pooling, dropout=0.0, bias=facts["bias"], seed=0)
    classifier.head.load_state_dict(head)
    cut, dtype = (facts["max_length"], facts["prefix"]), getattr(torch, facts["dtype"])
    long = facts.get("long", "first")
    return TunedPredictor(classifier.eval(), backbone, *cut, dtype, adapter, facts["base"], long)
