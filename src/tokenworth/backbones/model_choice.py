"""Which weights are loaded, and how: settings that every call with a backbone shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokenworth.settings import Seed, Settings

if TYPE_CHECKING:
    import torch

    Device = str | torch.device
    NumberFormat = str | torch.dtype
else:  # declaring a setting loads no library
    Device = NumberFormat = str | object


@dataclass(frozen=True, kw_only=True)
class WeightChoice(Settings):
    """For what reads weights by name alone."""

    allow_pickle: bool = False
    """Also load weights that are not safetensors (tensors only, by torch's own restriction)."""


@dataclass(frozen=True, kw_only=True)
class ModelSource(WeightChoice):
    """Where weights and tokenizer come from, and where they go."""

    device: Device = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda or mps."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    tokenizer: str | None = None
    """Folder, GGUF file or hub id of another tokenizer than the model's own; bytes for one of 256 bytes."""


@dataclass(frozen=True, kw_only=True)
class ModelChoice(ModelSource):
    """The same with the number format."""

    dtype: NumberFormat = "auto"
    """auto (bfloat16 where the device computes it natively, else float32), float32, bfloat16, float16 or float64."""
    device_map: str | dict[str, Any] | None = None
    """auto spreads the model over all devices, main memory and disk; by default it lies on one device."""


@dataclass(frozen=True, kw_only=True)
class BackboneCall(ModelChoice):
    """What `load_backbone` takes."""

    name: str = field(kw_only=False)
    """Folder, GGUF file, hub id or published name; with @random appended its twin with random weights, which needs no
    weights file, and takes the tokenizer of `tokenizer` where a published name's own cannot be reached."""
    seed: Seed = 0
    """Of the random weights; the global random state is left as it was."""
    lm_head: bool = False
    """Also load the head that predicts next tokens, as Backbone.lm_head."""
