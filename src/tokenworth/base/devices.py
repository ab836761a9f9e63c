"""Which device and which number format a model runs in."""

import torch

from tokenworth.base.keywords import known_keywords
from tokenworth.base.number_format import FORMATS, decision
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
}  # the names an option may use

_AUTO_DEVICES = ("cuda", "mps", "cpu")


@known_keywords
def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device a name stands for; "auto" takes the first there is of cuda, mps and cpu.

    Raises SettingError: the name is not understood, or this machine has no such device.
    """
    if device == "auto":
        return torch.device(next(kind for kind in _AUTO_DEVICES if _count(kind)))
    try:
        named = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise SettingError(f"device {device!r} is not understood; choose one of auto, {_there()}") from error
    if (named.index or 0) >= _count(named.type):
        raise SettingError(f"this machine has no device {str(named)!r}; choose one of auto, {_there()}")
    return named


def resolve_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The number format a name stands for on a device.

    "auto" is bfloat16 where the device computes it natively and faster (CUDA since Ampere; CPUs with AVX512-BF16 or AMX
    on which products of matrices show it: `number_format.decision`, made once a machine), float32 elsewhere.

    Raises SettingError: the name is not understood, or the device cannot compute in it.
    """
    if dtype == "auto":
        return _auto(device)
    named = DTYPES.get(dtype_name(dtype))
    assert named is not None, "a name that is understood is in the table"
    if device.type == "mps" and named == torch.float64:
        raise SettingError("dtype float64 cannot be computed on an mps device; choose float32 or the device cpu")
    return named


def dtype_name(dtype: str | torch.dtype) -> str:
    """The name of a number format as records keep it: "auto", or PyTorch's own name.

    Raises SettingError: the name is not understood.
    """
    if dtype == "auto":
        return "auto"
    named = dtype if isinstance(dtype, torch.dtype) else DTYPES.get(dtype)
    if named is None or named not in DTYPES.values():
        raise SettingError(f"dtype {str(dtype)!r} is not understood; choose one of auto, {', '.join(DTYPES)}")
    return str(named).removeprefix("torch.")


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


def _auto(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return FORMATS[decision().dtype]
    narrow = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if narrow else torch.float32
