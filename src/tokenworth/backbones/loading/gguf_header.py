"""What a GGUF file says about itself: architecture, tensors and how they are packed; checked before anything is loaded.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.backbones.loading.configuration_check import MOST_LAYERS, shorten
from tokenworth.base.aliases import Floats
from tokenworth.errors import BackboneError, first_line

_MAGIC = b"GGUF"
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_ELEMENT = struct.Struct("<IQ")
_POSITIONS = ("rope_freqs", "rope_factors")
_LENGTH = struct.Struct("<Q")
_AGAIN = "fetch it again"


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """All of a file but the numbers in its tensors."""

    architecture: str
    """As llama.cpp calls it."""
    sizes: dict[str, int]
    """Numbers by name of tensor, the names being llama.cpp's."""
    packings: dict[str, int]
    """Tensors by the format of their numbers, the one of most numbers first."""
    bits: float
    """Bits a weight, scales and offsets of the blocks included."""
    n_bytes: int
    """Of the file."""
    digest: str
    """sha256 hex of everything before the tensors: settings, vocabulary, names."""
    settings: dict[str, Any]
    """Numbers and texts of the architecture, by llama.cpp's names without its name before them."""
    position_factors: dict[str, Floats]
    """Tensors that scale angles of positions, which are no weights."""

    def __str__(self) -> str:
        return f"{next(iter(self.packings))}, {self.bits:.1f} bits a weight, {self.n_bytes / 1e6:,.1f} MB"


def is_part(path: Path) -> bool:
    """Whether a file is one of several that make up one model, which their names say."""
    return bool(_PART.search(path.stem))


def read_header(path: Path) -> GgufHeader:
    """Read and check a file up to its tensors, and that these end within it.

    Raises BackboneError: the package gguf is missing; or the file is none of that format, damaged, cut short, a part
    of several, or packed in a way that cannot be unpacked.
    """
    stat = path.stat()
    return _read_header(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)
def _read_header(path: Path, n_bytes: int, _changed: int) -> GgufHeader:
    check_readable(path)
    try:
        reader = quick_reader()(path)
        architecture = reader.get_field("general.architecture")
        name = "" if architecture is None else str(bytes(architecture.parts[-1]), "utf-8")
    except Exception as error:  # numpy, struct and enum each have their own, wherever a number is wrong
        raise BackboneError(_damaged(path, n_bytes, error)) from error
    if not name or not reader.tensors:
        raise BackboneError(f"{path} names no architecture or holds no tensors, so it is no model; {_AGAIN}")
    _check_depth(path, reader, name)
    _check_packings(path, reader)
    return _header(reader, name, n_bytes)


def _header(reader: Any, architecture: str, n_bytes: int) -> GgufHeader:
    counts: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for tensor in reader.tensors:
        counts[tensor.tensor_type.name] += 1
        numbers[tensor.tensor_type.name] += int(tensor.n_elements)
    return GgufHeader(
        architecture,
        sizes={tensor.name: int(tensor.n_elements) for tensor in reader.tensors},
        packings={kind: counts[kind] for kind, _ in numbers.most_common()},
        bits=8 * sum(int(tensor.n_bytes) for tensor in reader.tensors) / max(1, sum(numbers.values())),
        n_bytes=n_bytes,
        digest=hashlib.sha256(reader.data[: reader.data_offset]).hexdigest(),
        settings=dict(_settings(reader, f"{architecture}.")),
        position_factors={
            tensor.name: np.array(tensor.data, dtype=float)
            for tensor in reader.tensors
            if tensor.name.startswith(_POSITIONS)
        },
    )


def _settings(reader: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in reader.fields.items():
        if name.startswith(prefix) and len(field.types) == 1:
            value = field.parts[-1]
            is_text = field.types[0].name == "STRING"
            yield name.removeprefix(prefix), str(bytes(value), "utf-8") if is_text else value[0].item()


def check_readable(path: Path) -> None:
    """Raises BackboneError: the file is a part, does not begin as GGUF does, or there is no package to read it."""
    if is_part(path):
        raise BackboneError(
            f"{path} is one part of a model in several GGUF files; join them with llama.cpp's llama-gguf-split "
            "--merge and give the one file"
        )
    with path.open("rb") as file:
        begin = file.read(len(_MAGIC))
    if begin != _MAGIC:
        raise BackboneError(f"{path} is no GGUF file, whatever its name says: it begins with {begin!r}; {_AGAIN}")
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise BackboneError(
            f"{path} is a GGUF file, which the package gguf reads, and that is not installed; "
            "pip install 'tokenworth[gguf]'"
        ) from error


def _damaged(path: Path, n_bytes: int, error: Exception) -> str:
    said = shorten(first_line(error))
    if "GGMLQuantizationType" in said:
        return (
            f"{path} has weights packed in a format that the installed package gguf does not know ({said}); "
            "try a newer version of gguf, or fetch a file packed otherwise, such as Q8_0 or Q4_K_M"
        )
    return f"{path} is damaged or cut short ({n_bytes:,} bytes: {said}); {_AGAIN}"


def _check_depth(path: Path, reader: Any, architecture: str) -> None:
    """Configurations loop over their blocks, so their number is looked at first."""
    blocks = reader.get_field(f"{architecture}.block_count")
    n_blocks = 0 if blocks is None else int(blocks.parts[-1][0])
    if n_blocks > min(MOST_LAYERS, len(reader.tensors)):
        raise BackboneError(
            f"{path}: {architecture}.block_count is {n_blocks}, but there are {len(reader.tensors)} tensors; {_AGAIN}"
        )


def _check_packings(path: Path, reader: Any) -> None:
    """Raises BackboneError: a format that has a name, but nothing here turns it into numbers."""
    kinds = {tensor.tensor_type for tensor in reader.tensors}
    if strange := sorted(kind.name for kind in kinds if not _unpacks(kind)):
        raise BackboneError(
            f"{path} has weights packed as {' and '.join(strange)}, which cannot be unpacked here; fetch a file packed "
            "otherwise, such as Q8_0 or Q4_K_M"
        )


def _unpacks(kind: Any) -> bool:
    """Whether a block of zeros becomes numbers."""
    import gguf

    try:
        gguf.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


@lru_cache(maxsize=1)
def quick_reader() -> Any:
    """The reader of the package gguf, which takes seconds for a vocabulary, reading lists at once instead."""
    import gguf

    class Reader(gguf.GGUFReader):  # type: ignore[misc]
        """The same fields and tensors, sooner."""

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type == gguf.GGUFValueType.ARRAY and self.byte_order == "I":
                raw_element, count = _ELEMENT.unpack_from(self.data, orig_offs)
                element = gguf.GGUFValueType(raw_element)
                number = self.gguf_scalar_to_np.get(element)
                if count and (number is not None or element == gguf.GGUFValueType.STRING):
                    return _list_parts(self.data.view(np.ndarray), orig_offs, element, number, count)
            return super()._get_field_parts(orig_offs, raw_type)

    return Reader


def _list_parts(data: Any, start: int, element: Any, number: Any, count: int) -> tuple[int, list[Any], list[int], Any]:
    """Bytes, parts, which of the parts are values, and types of a list, as the package's own reader gives them."""
    place = start + _ELEMENT.size
    parts = [data[start : start + 4].view(np.uint32), data[start + 4 : place].view(np.uint64)]
    if number is not None:
        end = place + count * np.dtype(number).itemsize
        parts += list(data[place:end].view(number).reshape(count, 1))
        values = range(2, 2 + count)
    else:
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(data, place)
            end = place + _LENGTH.size + length
            if end > len(data):
                raise ValueError("a text ends behind the end of the file")
            parts += (data[place : place + 8].view(np.uint64), data[place + 8 : end])
            place = end
        values, end = range(3, 3 + 2 * count, 2), place
    return end - start, parts, list(values), [type(element).ARRAY, element]
