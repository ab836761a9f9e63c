"""Checkpoints whose weights are packed into fewer bits: what they are, and what to do where they cannot be unpacked."""

from __future__ import annotations

from typing import Any

from tokenworth.backbones.loading.configuration_check import shorten
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
    stated = getattr(config, "quantization_config", None)
    if stated is None:
        stated = getattr(config.get_text_config(), "quantization_config", None)
    if stated is None:
        return ""
    stated = stated if isinstance(stated, dict) else stated.to_dict()
    flagged = 8 if stated.get("load_in_8bit") else 4 if stated.get("load_in_4bit") else None
    # bitsandbytes of older versions names no method
    method = str(stated.get("quant_method") or ("bitsandbytes" if flagged else "an unnamed method"))
    bits = stated.get("bits") or stated.get("w_bit") or flagged
    words = _NAMES.get(method, shorten(method, 40))
    return f"{words}, {bits} bits" if isinstance(bits, int) else words


def unreadable(source: Source, config: Any, reason: str) -> str:
    """One sentence: what the folder is, why it cannot be read, what to bring."""
    return (
        f"the weights of {source} are quantised ({packing_of(config)}) and cannot be unpacked here ({reason}); bring "
        "the model in float32, bfloat16 or float16 that it was made from, or install what is named"
    )
