"""Which device and which number format a model runs in."""

import timeit
from functools import cache
from pathlib import Path

import torch

from tokenworth.errors import SettingError

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
    "float64": torch.float64,
    "fp64": torch.float64,
}
"""The names an option may use."""

_AUTO_DEVICES = ("cuda", "mps", "cpu")
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_LEAST_GAIN = 1.5
"""Far from both measured gains, so that noise does not choose the format; less would not repay the casts."""
_SIDE, _PRODUCTS = 512, 8


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device a name stands for; "auto" takes the first there is of cuda, mps and cpu.

    Raises:
        SettingError: the name is not understood, or this machine has no such device.
    """
    if device == "auto":
        return torch.device(next(kind for kind in _AUTO_DEVICES if _count(kind)))
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise SettingError(f"device {device!r} is not understood; choose one of auto, {_there()}") from error
    if (found.index or 0) >= _count(found.type):
        raise SettingError(f"this machine has no device {str(found)!r}; choose one of auto, {_there()}")
    return found


def resolve_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The number format a name stands for on a device.

    "auto" is bfloat16 where the device computes it natively and faster (CUDA since Ampere; CPUs with AVX512-BF16 or AMX
    on which a product of matrices shows it), float32 elsewhere.

    Raises:
        SettingError: the name is not understood, or the device cannot compute in it.
    """
    if dtype == "auto":
        return torch.bfloat16 if _computes_bfloat16(device) else torch.float32
    found = dtype if isinstance(dtype, torch.dtype) else DTYPES.get(dtype)
    if found is None or found not in DTYPES.values():
        raise SettingError(f"dtype {str(dtype)!r} is not understood; choose one of auto, {', '.join(DTYPES)}")
    if device.type == "mps" and found == torch.float64:
        raise SettingError("dtype float64 cannot be computed on an mps device; choose float32 or the device cpu")
    return found


def _count(kind: str) -> int:
    """How many devices of a kind this machine has."""
    if kind == "cpu":
        return 1
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    if kind == "xpu" and hasattr(torch, "xpu"):
        return torch.xpu.device_count()
    return 0


def _there() -> str:
    return ", ".join(kind for kind in ("cuda", "mps", "xpu", "cpu") if _count(kind))


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and not _BFLOAT16_FLAGS.isdisjoint(_cpu_flags()) and _bfloat16_gain() > _LEAST_GAIN


@cache
def _bfloat16_gain() -> float:
    """Rate of a product in bfloat16 over that in float32 on this CPU, asked once a process.

    The flags do not tell: of two machines with the same (AVX512-BF16, no AMX) one had a gain of 4.4, the other of 0.6.
    """
    seconds = {dtype: _product_seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _product_seconds(dtype: torch.dtype) -> float:
    """The shortest of several products: other work on the machine only adds to it."""
    matrix = torch.ones(_SIDE, _SIDE, dtype=dtype)
    with torch.inference_mode():
        return min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=_PRODUCTS))


def _cpu_flags() -> set[str]:
    """Instruction sets of this CPU, from torch where its version tells them, else from the kernel."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        return {flag for flag, there in capabilities().items() if there is True}
    listing = Path("/proc/cpuinfo")
    text = listing.read_text() if listing.is_file() else ""
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(flags.partition(":")[2].split())
