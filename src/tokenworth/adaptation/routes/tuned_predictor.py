"""A trained network as a predictor: the whole backbone, or an adapter for it, and the head."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tokenworth.adaptation.job import with_prefix
from tokenworth.adaptation.predictor import origin
from tokenworth.adaptation.routes.heads import known_backbone
from tokenworth.adaptation.routes.quantised_base import quantise
from tokenworth.adaptation.routes.text_classifier import TextClassifier, make_classifier
from tokenworth.adaptation.training.batch_packing import padded_batch
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.twins import with_model
from tokenworth.base.aliases import Floats
from tokenworth.base.machine import is_out_of_memory
from tokenworth.encode import default_batch_tokens, plan_batches, tokenise
from tokenworth.errors import AdaptError, first_line


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
    kind: str = "tuned"

    def scores(self, texts: list[str]) -> Floats:
        """Logits (N, C), texts of like length together."""
        tokens = tokenise(self.backbone, with_prefix(texts, self.prefix), max_length=self.max_length)
        return self.scores_of(tokens.ids)

    def scores_of(self, ids: list[np.ndarray]) -> Floats:
        """Logits (N, C) of tokenised texts."""
        self.classifier.eval()
        logits_NC = np.empty((len(ids), self.classifier.head.out_features))
        alike = self.backbone.structure.reads_padding
        lengths = [len(text) for text in ids]
        todo = plan_batches(lengths, default_batch_tokens(self.backbone), one_length=alike)[::-1]
        while todo:
            rows = todo.pop()
            try:
                logits_NC[rows] = self._logits(ids, rows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(rows) == 1:
                    raise
                todo += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
        return logits_NC

    def _logits(self, ids: list[np.ndarray], rows: np.ndarray) -> Floats:
        with torch.inference_mode(), self._autocast():
            logits: torch.Tensor = self.classifier(padded_batch(self.backbone, ids, rows))
        return np.asarray(logits.double().cpu().numpy())

    def _autocast(self) -> Any:
        narrow = self.dtype not in {torch.float32, torch.float64}
        return torch.autocast(self.backbone.device.type, dtype=self.dtype, enabled=narrow)

    def save(self, folder: Path) -> dict[str, Any]:
        """head.safetensors, and adapter/ or backbone/."""
        head = self.classifier.head
        save_file({name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()},
                  folder / "head.safetensors")  # fmt: skip
        with quiet_transformers():
            if self.adapter is not None:
                self.adapter.save_pretrained(folder / "adapter", safe_serialization=True)
                _in_order(folder / "adapter" / "adapter_config.json")
            else:
                model: Any = self.classifier.model
                model.save_pretrained(folder / "backbone")
                self.backbone.tokenizer.save_pretrained(folder / "backbone")
        return {
            "pooling": self.classifier.pooling,
            "bias": head.bias is not None,
            "max_length": self.max_length,
            "prefix": self.prefix,
            "dtype": str(self.dtype).removeprefix("torch."),
            "base": self.base,
        }


def _in_order(path: Path) -> None:
    """peft writes its targets in the order of a set, another one in each process: equal runs write equal files."""
    config = json.loads(path.read_text(encoding="utf-8"))
    ordered = {
        name: sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value
        for name, value in config.items()
    }
    path.write_text(json.dumps(ordered, indent=2, sort_keys=True), encoding="utf-8")


def load_tuned(folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> TunedPredictor:
    """The way back from `TunedPredictor.save`.

    Raises:
        AdaptError: the adapter belongs to another backbone, or a file is damaged.
    """
    adapter = None
    if facts["base"] is not None:
        backbone = known_backbone(facts["base"], loading)
        if isinstance(loading.get("model"), Backbone):  # adapters are put into the model itself
            backbone = with_model(backbone, copy.deepcopy(backbone.model), "copy")
        if facts["base"].get("quantise"):
            quantise(backbone, facts["base"]["quantise"])
        adapter = _adapted(backbone, folder / "adapter")
    else:
        backbone = load_backbone(str(folder / "backbone"), dtype="float32", device=loading.get("device") or "auto")
    head = load_file(folder / "head.safetensors")
    classifier = make_classifier(
        backbone, len(head["weight"]), pooling=facts["pooling"], dropout=0.0, bias=facts["bias"], seed=0
    )
    classifier.head.load_state_dict(head)
    dtype = getattr(torch, facts["dtype"])
    return TunedPredictor(
        classifier.eval(), backbone, facts["max_length"], facts["prefix"], dtype, adapter, facts["base"]
    )


def _adapted(backbone: Backbone, folder: Path) -> Any:
    from peft import PeftModel

    try:
        with quiet_transformers():
            return PeftModel.from_pretrained(backbone.model, folder)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise AdaptError(
            f"the adapter in {folder} does not fit {backbone.name} ({first_line(error)}); it belongs to another "
            "backbone, or its files are damaged"
        ) from error


def origin_of(backbone: Backbone, loading: dict[str, Any], seed: int) -> dict[str, Any]:
    """Where the adapter's backbone is found again."""
    return {**origin(backbone, loading.get("tokenizer")), "seed": seed}
