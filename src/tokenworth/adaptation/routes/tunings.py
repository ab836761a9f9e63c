"""The tunings that the route lora can make, in one table: how each is put into a model, and what comes of it.

A tuning freezes the base model and lets something small learn in, on or before it.  Whatever runs the model then runs
it with the tuning, so loop, checkpoints, FLOPs and predictions know nothing of which one it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.ia3 import add_ia3
from tokenworth.adaptation.routes.lora import add_lora
from tokenworth.adaptation.routes.loreft import add_loreft, load_loreft
from tokenworth.adaptation.routes.partial_tuning import free_biases, free_last_blocks
from tokenworth.adaptation.routes.virtual_tokens import add_p_tuning, add_prefix, add_soft_prompt, load_virtual_tokens
from tokenworth.adaptation.tuning_settings import TUNINGS

Attach = Callable[[Any, str, AdaptConfig, int], Any]
"""Base model (perhaps without weights), its name, settings and seed -> adapter, None where the model's own weights
learn.  Raises SettingError: the model is none that this tuning can be made on."""


def _load_peft(model: Any, folder: Path) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder)


@dataclass(frozen=True, slots=True)
class TuningKind:
    """One tuning."""

    words: str
    """What it is called at the beginning of a sentence."""
    attach: Attach
    load: Callable[[Any, Path], Any] = _load_peft
    """Base model and the folder of a saved adapter -> the adapter."""
    merges: bool = True
    """Whether its end can be written as weights of a network of the same shape."""
    lengthens: bool = False
    """Whether it puts virtual tokens before every text, which then cannot share a row with others."""


KINDS: dict[str, TuningKind] = {
    "lora": TuningKind("LoRA", add_lora),
    "ia3": TuningKind("IA3 (factors of keys, values and hidden units)", add_ia3),
    "soft_prompt": TuningKind("A soft prompt", add_soft_prompt, load_virtual_tokens, merges=False, lengthens=True),
    "prefix": TuningKind("Prefix tuning", add_prefix, load_virtual_tokens, merges=False, lengthens=True),
    "p_tuning": TuningKind("P-tuning", add_p_tuning, load_virtual_tokens, merges=False, lengthens=True),
    "loreft": TuningKind("LoReFT (changed states of few tokens)", add_loreft, load_loreft, merges=False),
    "last_blocks": TuningKind("Fine-tuning the last blocks", free_last_blocks),
    "bias": TuningKind("Fine-tuning the biases", free_biases),
}
assert tuple(KINDS) == TUNINGS, "every tuning has its row"
