"""Settings of `export`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.settings import Count


@dataclass(frozen=True, kw_only=True)
class ExportSettings(WeightChoice):
    """In what form a classifier leaves."""

    format: Literal["transformers", "onnx", "peft"] = "transformers"
    """transformers: the library's own class, or backbone and head with a plain module that loads them; onnx: one graph
    and its tokenizer (extra onnx); peft: the LoRA adapter with its head."""
    int8: bool = False
    """Of onnx, also a graph with weights of 8 bits."""
    with_base: bool = False
    """Of peft, also the base as a sequence classifier, which vLLM wants and which a GGUF file needs."""
    texts: Count = 200
    """Test texts of the run on which an ONNX graph is compared with the classifier."""
