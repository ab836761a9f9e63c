"""A GGUF file as a model: configuration, tokenizer and weights, unpacked by transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenworth.backbones.loading.configuration_check import shorten
from tokenworth.backbones.loading.gguf_header import quick_reader, read_header
from tokenworth.backbones.loading.gguf_settings import completed
from tokenworth.errors import BackboneError, first_line

SUFFIX = ".gguf"
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")
LINK = "model.gguf"
"""What a file is called where transformers reads it."""


@contextmanager
def apart(path: Path) -> Iterator[Path]:
    """A folder that holds a link to the file alone: what lies beside it belongs, for all one knows, to other models.

    Within, transformers reads a vocabulary in a fraction of a second where it would take seconds, makes the table of
    names once and not for every module, and draws no bars.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as library

    with tempfile.TemporaryDirectory(prefix="tokenworth-", ignore_cleanup_errors=True) as name:
        (Path(name) / LINK).symlink_to(path.resolve())
        names = lru_cache(gguf.get_tensor_name_map)
        with (
            _replaced(gguf, "GGUFReader", quick_reader()),
            _replaced(gguf, "get_tensor_name_map", names),
            _replaced(library, "tqdm", _without_bar),
        ):
            yield Path(name)


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _without_bar(rows: Iterable[Any], **_: Any) -> Iterable[Any]:
    return rows


def gguf_config(path: Path) -> Any:
    """The configuration that a file's settings describe.

    Raises BackboneError: as `read_header`; or transformers does not read this architecture from GGUF.
    """
    from transformers import AutoConfig

    header = read_header(path)
    try:
        with apart(path) as folder:
            config = AutoConfig.from_pretrained(folder, gguf_file=LINK, trust_remote_code=False, local_files_only=True)
        vars(config).pop("_model_name_or_path", None)
        config = completed(config, header, path)
    except BackboneError:
        raise
    except Exception as error:  # a wrong value comes to light wherever a constructor meets it
        raise BackboneError(
            f"{path} has the architecture {shorten(header.architecture)!r}, which the installed transformers cannot "
            f"make a model of from GGUF ({shorten(first_line(error))}); give the model that it was made from, as a "
            "folder with config.json and model.safetensors"
        ) from error
    config.name_or_path = str(path)
    return config


def gguf_tokenizer(path: Path) -> Any:
    """The tokenizer of a file, chat template included.

    It is of the class that takes its parts from tokenizer.json as they are: the class of a model's kind (Gemma's) would
    put its own in their place as soon as the tokenizer was saved and read again.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    read_header(path)
    with apart(path) as folder:
        read = AutoTokenizer.from_pretrained(folder, gguf_file=LINK, trust_remote_code=False, local_files_only=True)
    named = {name: token for name in _SPECIAL if (token := getattr(read, name, None)) is not None}
    longest = read.model_max_length
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=read.backend_tokenizer, model_max_length=longest, **named)
    tokenizer.chat_template = read.chat_template
    tokenizer.name_or_path = str(path)
    return tokenizer


def unpacked(model: Any, path: Path) -> Any:
    """The model as any other: without what transformers keeps of the file, for which it refuses to save and train."""
    model.name_or_path = model.config.name_or_path = str(path)
    if getattr(model, "hf_quantizer", None) is not None:
        model.hf_quantizer.remove_quantization_config(model)
    vars(model.config).pop("_pre_quantization_dtype", None)
    return model


def unpacking() -> dict[str, Any]:
    """What `from_pretrained` takes so that it reads the file in the folder and unpacks all of it."""
    import transformers

    settings = getattr(transformers, "GgufConfig", None)  # there since weights may also stay packed
    return {"gguf_file": LINK} | ({} if settings is None else {"quantization_config": settings(dequantize=True)})
