"""A model with the weights of its files; every tensor it asks for has to be there."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.loading.adapter import adapted_class, adapter_files, merged
from tokenworth.backbones.loading.configuration_check import shorten
from tokenworth.backbones.loading.configuration_class import without_pooler
from tokenworth.backbones.loading.gguf_file import apart, unpacked, unpacking
from tokenworth.backbones.loading.size_check import check_stored, outline_of
from tokenworth.backbones.loading.sources import ADAPTER, Source
from tokenworth.backbones.loading.text_model import body_of, causal_class, whole_class
from tokenworth.backbones.loading.weight_files import stored_sizes, weight_files
from tokenworth.base.devices import dtype_name
from tokenworth.errors import BackboneError, first_line

DeviceMap = str | dict[str, Any] | None
"""None for one device, "auto", or places by module name."""

_PLAIN = frozenset({torch.float64, torch.float32, torch.bfloat16, torch.float16})
_PACKINGS = {"gptq": "GPTQ", "awq": "AWQ", "fp8": "FP8", "fbgemm_fp8": "FP8", "mxfp4": "MXFP4"}


@dataclass(frozen=True, slots=True)
class _Reading:
    source: Source
    config: Any
    dtype: torch.dtype
    safe: bool
    device_map: DeviceMap

    def into(self, model_class: Any) -> tuple[Any, list[str]]:
        """The model, and the tensors it wanted in vain (transformers fills them with random numbers)."""
        try:
            model, report = self._from_gguf(model_class) if self.source.gguf else self._from_folder(model_class)
        except Exception as error:  # a damaged file fails in whichever library reads it
            if _packing_of(self.config):
                raise BackboneError(_not_unpacked(self.source, self.config, first_line(error))) from error
            raise BackboneError(
                f"the weights of {self.source} cannot be loaded ({shorten(first_line(error))}); {self._remedy}"
            ) from error
        if _packing_of(self.config) and all(p.dtype in _PLAIN for p in model.parameters()):
            self._plain(model)
        return model, sorted(key for key in report["missing_keys"] if "pooler" not in key)

    def _from_folder(self, model_class: Any) -> tuple[Any, dict[str, Any]]:
        with _folder_without_adapter(self.source) as (folder, keep):
            model, report = self._from_pretrained(model_class, folder, use_safetensors=self.safe)
            keep(model)
        return model, report

    def _from_gguf(self, model_class: Any) -> tuple[Any, dict[str, Any]]:
        assert self.source.gguf is not None, "only what lies in a file is unpacked"
        with apart(self.source.gguf) as folder:
            model, report = self._from_pretrained(model_class, folder, **unpacking())
        return unpacked(model, self.source.gguf), report

    def _from_pretrained(self, model_class: Any, folder: Path, **more: Any) -> Any:
        return model_class.from_pretrained(
            folder,
            config=self.config,
            dtype=self.dtype,
            local_files_only=True,
            output_loading_info=True,
            device_map=self.device_map,
            **without_pooler(model_class),
            **more,
        )

    @property
    def _remedy(self) -> str:
        return "fetch it again" if self.source.gguf else "fetch config.json and weights of one and the same model"

    def _plain(self, model: Any) -> None:
        """Weights that were unpacked come in the format of their scales; they are one format, and saved as they are."""
        from transformers.conversion_mapping import get_model_conversion_mapping

        for parameter in model.parameters():
            parameter.data = parameter.data.to(self.dtype)
        if getattr(model, "hf_quantizer", None) is not None:
            model.hf_quantizer.remove_quantization_config(model)
        model._weight_conversions = get_model_conversion_mapping(model)

    def check_whole(self, missing: list[str]) -> None:
        """Raises BackboneError: some of what config.json asks for is missing."""
        if not missing:
            return
        if _packing_of(self.config):
            raise BackboneError(_not_unpacked(self.source, self.config, f"{len(missing)} tensors were not found"))
        stated = "its settings ask" if self.source.gguf else "config.json asks"
        raise BackboneError(
            f"the weights of {self.source} lack {len(missing)} tensors that {stated} for "
            f"({', '.join(missing[:3])}{', ...' if missing[3:] else ''}); {self._remedy}"
        )


def pretrained_model(
    source: Source, config: Any, dtype: torch.dtype, *, allow_pickle: bool, device_map: DeviceMap, lm_head: bool = False
) -> tuple[nn.Module, list[Path]]:
    """What reads a text (or the language model, its head included) with its weights, and the files they came from.

    An adapter is merged into the weights of its base, in the dtype of the model.
    Raises BackboneError: weights are missing, damaged or not those of this configuration.
    """
    base = source.base or source
    files, safe = weight_files(base, allow_pickle=allow_pickle)
    adapter = adapter_files(source, allow_pickle=allow_pickle)
    wanted = causal_class(config, str(source)) if lm_head else whole_class(config)
    shape, stored = outline_of(wanted, config), stored_sizes(files)
    body = body_of(shape)
    if not _packing_of(config):
        check_stored(shape if lm_head else body, sum(stored.values()), str(base))
    reading = _Reading(base, config, dtype, safe, device_map)
    if lm_head:
        model = _language_model(reading, wanted)
    elif adapter:
        # in the class that the adapter was trained in; only what is read of it must have been in the files
        model, missing = reading.into(adapted_class(source, config, adapter[-1]))
        reading.check_whole(_within(model, missing))
    elif base.gguf is not None:
        model, missing = reading.into(
            _class_that_predicts(config) or wanted
        )  # names in such a file are known with the head
        reading.check_whole(_within(model, missing))
    else:
        model = _whole(reading, wanted, body, set(stored))
    if adapter:
        model = merged(model, source, adapter[-1])
    _check_finite(model, str(source), dtype)
    return (model if lm_head or isinstance(model, type(body)) else body_of(model)), [*files, *adapter]


def _language_model(reading: _Reading, wanted: Any) -> Any:
    model, missing = reading.into(wanted)
    if missing:
        raise BackboneError(
            f"the weights of {reading.source} lack {len(missing)} tensors of a language model "
            f"({', '.join(missing[:3])}), so it cannot be prompted; bring a checkpoint with its language-model head"
        )
    return model


def _whole(reading: _Reading, wanted: Any, body: nn.Module, stored: set[str]) -> Any:
    """The model that holds the body, or the body itself where files hold it alone."""
    if not isinstance(body, wanted) and stored >= {name for name, _ in body.named_parameters()}:
        model, missing = replace(reading, config=body.config).into(type(body))
        reading.check_whole(missing)
        return model
    model, missing = reading.into(wanted)
    missing = _within(model, missing)
    headed = _class_with_head(reading.config) if missing else None
    if headed is not None:
        # Tied embeddings may be stored once only, under the head's name, which the base model alone does not look for;
        # and tables of sines, which are not stored, only the class with a head does not miss.
        whole, still_missing = replace(reading, device_map=None).into(headed)
        if not _within(whole, still_missing):
            return whole
    reading.check_whole(missing)
    return model


def _class_with_head(config: Any) -> Any:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING

    if config.is_encoder_decoder:
        return MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING.get(type(config), None)
    if config.get_text_config().tie_word_embeddings:
        return MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return None


def _class_that_predicts(config: Any) -> Any:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    return MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)


def _within(model: nn.Module, missing: list[str]) -> list[str]:
    """Of the missing tensors those that the body is made of."""
    body = body_of(model)
    if body is model:
        return missing
    read = {id(tensor) for tensor in (*body.parameters(), *body.buffers())}
    tensors = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
    return [name for name in missing if name not in tensors or id(tensors[name]) in read]


def _check_finite(model: nn.Module, name: str, dtype: torch.dtype) -> None:
    """No training leaves a weight that is NaN or infinite; what is left on the disk is not looked at."""
    for place, weights in model.named_parameters():
        if weights.is_meta or not weights.is_floating_point() or not weights.numel():
            continue
        values = weights.detach()
        low, high = (values if values.itemsize > 1 else values.float()).aminmax()  # NaN goes through
        if not torch.isfinite(low) or not torch.isfinite(high):
            narrow = dtype not in {torch.float32, torch.float64}
            raise BackboneError(
                f"the weights of {name} are NaN or infinite in {dtype_name(dtype)} ({place});"
                f"{' choose --dtype float32, and where it is so too,' if narrow else ''} fetch the files again"
            )


@contextmanager
def _folder_without_adapter(source: Source) -> Iterator[tuple[Path, Any]]:
    """The folder, or one of links without the adapter in it, which transformers would put on top unasked.

    Weights that are left on the disk are read from it later, so it lasts as long as the model that `keep` is given.
    """
    if not (source.folder / ADAPTER).is_file():
        yield source.folder, lambda _: None
        return
    links = tempfile.TemporaryDirectory(prefix="tokenworth-", ignore_cleanup_errors=True)
    for path in source.folder.iterdir():
        if path.is_file() and not path.name.startswith("adapter_"):
            (Path(links.name) / path.name).symlink_to(path.resolve())
    try:
        yield Path(links.name), lambda model: weakref.finalize(model, links.cleanup)
    except BaseException:
        links.cleanup()
        raise


def _packing_of(config: Any) -> str:
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
    words = _PACKINGS.get(method, shorten(method, 40))
    return f"{words}, {bits} bits" if isinstance(bits, int) else words


def _not_unpacked(source: Source, config: Any, reason: str) -> str:
    """One sentence: what the folder is, why it cannot be read, what to bring."""
    return (
        f"the weights of {source} are quantised ({_packing_of(config)}) and cannot be unpacked here ({reason}); bring "
        "the model in float32, bfloat16 or float16 that it was made from, or install what is named"
    )
