"""Checkpoints whose weights are packed into fewer bits: what they are, and what to do where they cannot be unpacked."""

from __future__ import annotations

from typing import Any

from tokenworth.backbones.loading.configuration_check import shortened
from tokenworth.backbones.loading.sources import Source

_NAMES = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "GPTQ",
    "awq": "AWQ",
    "fp8": "FP8",
    "fbgemm_fp8": "FP8",
    "compressed-tensors": "compressed-tensors",
    "mxfp4": "MXFP4",
}


def packing_of(config: Any) -> str:
    """In words how the weights are packed, such as "GPTQ, 4 bits"; "" where they are plain."""
    stated = _stated(config)
    if stated is None:
        return ""
    method = str(stated.get("quant_method") or _by_flags(stated))
    bits = stated.get("bits") or stated.get("w_bit") or _by_flags(stated, bits=True)
    words = _NAMES.get(method, shortened(method, 40))
    return f"{words}, {bits} bits" if isinstance(bits, int) else words


def unreadable(source: Source, config: Any, reason: str) -> str:
    """One sentence: what the folder is, why it cannot be read, what to bring."""
    return (
        f"the weights of {source} are quantised ({packing_of(config)}) and cannot be unpacked here ({reason}); bring "
        "the model in float32, bfloat16 or float16 that it was made from, or install what is named"
    )


def _stated(config: Any) -> dict[str, Any] | None:
    found = getattr(config, "quantization_config", None)
    if found is None:
        found = getattr(config.get_text_config(), "quantization_config", None)
    return found if found is None or isinstance(found, dict) else dict(found.to_dict())


def _by_flags(stated: dict[str, Any], *, bits: bool = False) -> Any:
    """bitsandbytes of older versions names no method."""
    width = 8 if stated.get("load_in_8bit") else 4 if stated.get("load_in_4bit") else None
    return width if bits else "bitsandbytes" if width else "an unnamed method"
