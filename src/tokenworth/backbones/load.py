"""Loading a backbone: files, configuration, tokenizer, weights, structure."""

import inspect
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.backbone import Backbone
from tokenworth.backbones.files import TOKENIZER_PATTERNS, Source, find_source
from tokenworth.backbones.fingerprint import fingerprint
from tokenworth.backbones.precision import resolve_device, resolve_dtype
from tokenworth.backbones.quiet import quiet_transformers
from tokenworth.backbones.structure import examine, position_padding
from tokenworth.backbones.weights import weight_files
from tokenworth.errors import BackboneError

RANDOM_SUFFIX = "@random"
_LENGTH_KEYS = ("max_position_embeddings", "max_seq_len", "max_sequence_length")
_UNSTATED_LENGTH = 2048
_NO_LIMIT = 10**9  # tokenizers without a limit state 1e30


def load_backbone(
    name: str,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    seed: int = 0,
    revision: str | None = None,
    allow_pickle: bool = False,
) -> Backbone:
    """Load a causal language model or an encoder without its head.

    Args:
        name: a local folder, a hub id or a published name; with ``@random`` appended its twin with random weights from
            the configuration's own initialisation, which needs no weights file.
        device: "auto" (cuda, then mps, then cpu) or a device name.
        dtype: "auto" (bfloat16 where the device computes it natively, else float32) or a name in ``DTYPES``.
        seed: of the random weights; the global random state is left as it was.
        revision: branch, tag or commit of a hub id.
        allow_pickle: read pytorch_model.bin where there are no safetensors (tensors only, by torch's own restriction).

    Raises:
        BackboneError: the model or its tokenizer is missing, incomplete, damaged or of a kind that is not supported.
        SettingError: device, dtype or revision is not understood.
    """
    base, is_random = _split(name)
    place = resolve_device(device)
    precision = resolve_dtype(dtype, place)
    source = find_source(base, revision)
    with quiet_transformers():
        config = _read_config(source)
        tokenizer = _read_tokenizer(source)
        files = source.matching(("config.json", *TOKENIZER_PATTERNS))
        if is_random:
            model, identity = _random_model(config, precision, seed), fingerprint(files, f"random, seed {seed}")
        else:
            weights, safe = weight_files(source, allow_pickle=allow_pickle)
            model, identity = _pretrained_model(source, config, precision, safe), fingerprint([*files, *weights])
        return _backbone(name, source, model.to(place).eval(), tokenizer, identity, random=is_random)


def _split(name: str) -> tuple[str, bool]:
    return name.removesuffix(RANDOM_SUFFIX), name.endswith(RANDOM_SUFFIX)


def _backbone(name: str, source: Source, model: nn.Module, tokenizer: Any, identity: str, *, random: bool) -> Backbone:
    max_length, notes = _context_length(model, tokenizer)
    words = model.get_input_embeddings()  # type: ignore[operator]
    structure = examine(model, words.num_embeddings, max_length)
    if structure.blocks is None:
        notes += (
            "The blocks of this model cannot be told apart: all layers' states of a batch are held in memory at once.",
        )
    parameter = next(model.parameters())
    return Backbone(
        name=name,
        model=model,
        tokenizer=tokenizer,
        device=parameter.device,
        dtype=parameter.dtype,
        n_layers=structure.n_layers,
        width=structure.width,
        causal=structure.causal,
        max_length=max_length,
        n_parameters=sum(p.numel() for p in model.parameters()),
        random=random,
        fingerprint=identity,
        source=str(source),
        notes=notes,
        structure=structure,
    )


def _read_config(source: Source) -> Any:
    """The configuration, if it describes a text model with one stack of blocks that transformers itself knows."""
    import json

    from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig

    path = source.folder / "config.json"
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        kind = stated.get("model_type")
    except (ValueError, AttributeError) as error:
        raise BackboneError(f"{path} cannot be read as JSON ({error}); fetch it again") from error
    if kind not in CONFIG_MAPPING:
        raise BackboneError(_unknown_kind(source, kind, "auto_map" in stated))
    try:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackboneError(f"{path} is not understood ({_first_line(error)}); fetch it again") from error
    if config.is_encoder_decoder:
        raise BackboneError(f"{source} is an encoder-decoder model ({kind}); only decoders and encoders are supported")
    if type(config) not in MODEL_MAPPING:
        raise BackboneError(f"{source} is of the kind {kind}, for which transformers has no model without a head")
    return config


def _unknown_kind(source: Source, kind: str | None, brings_code: bool) -> str:
    if brings_code:
        return (
            f"{source} (model_type {kind!r}) needs Python code that comes with it, which is never run; "
            "choose a model that transformers itself implements"
        )
    return f"{source} has the model_type {kind!r}, which the installed transformers does not know; try a newer version"


def _read_tokenizer(source: Source) -> Any:
    """The tokenizer that lies beside the model, if it has a vocabulary."""
    from transformers import AutoTokenizer

    if not source.matching(TOKENIZER_PATTERNS):
        raise BackboneError(f"{source} has no tokenizer; put its tokenizer.json into {source.folder}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the Rust side raises plain Exception on a damaged file
        raise BackboneError(
            f"the tokenizer of {source} cannot be read ({_first_line(error)}); "
            f"put its tokenizer.json into {source.folder}"
        ) from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise BackboneError(f"the tokenizer of {source} has no vocabulary; put its tokenizer.json into {source.folder}")
    return tokenizer


def _model_class(config: Any) -> Any:
    """The class of the base model; of several the first, as AutoModel does."""
    from transformers import MODEL_MAPPING

    found = MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, tuple) else found


def _without_pooler(model_class: Any) -> dict[str, bool]:
    """A pooling layer is a head: it is on no path to a hidden state."""
    takes = "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def _random_model(config: Any, dtype: torch.dtype, seed: int) -> nn.Module:
    """Random weights, drawn in float32 on the CPU so that every device and dtype starts from the same ones."""
    model_class = _model_class(config)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: nn.Module = model_class(config, **_without_pooler(model_class))
    for parameter in model.parameters():  # not model.to(dtype): it rounds the rotary frequencies, which loading keeps
        parameter.data = parameter.data.to(dtype)
    return _text_model(model)


def _pretrained_model(source: Source, config: Any, dtype: torch.dtype, safe: bool) -> nn.Module:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    model, missing = _read_weights(_model_class(config), source, config, dtype, safe)
    if missing and config.get_text_config().tie_word_embeddings and type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        # Tied embeddings may be stored once only, under the head's name, which the base model alone does not look for.
        whole, still_missing = _read_weights(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)], source, config, dtype, safe)
        if not still_missing:
            model, missing = whole.base_model, []
    if missing:
        raise BackboneError(
            f"the weights of {source} lack {len(missing)} tensors that config.json asks for "
            f"({', '.join(missing[:3])}{', ...' if missing[3:] else ''}); fetch files of one and the same model"
        )
    return _text_model(model)


def _read_weights(
    model_class: Any, source: Source, config: Any, dtype: torch.dtype, safe: bool
) -> tuple[Any, list[str]]:
    """The model, and the tensors it wanted in vain (transformers fills them with random numbers)."""
    try:
        model, report = model_class.from_pretrained(
            source.folder,
            config=config,
            dtype=dtype,
            use_safetensors=safe,
            local_files_only=True,
            output_loading_info=True,
            **_without_pooler(model_class),
        )
    except Exception as error:  # a damaged file fails in whichever library reads it
        raise BackboneError(
            f"the weights of {source} cannot be loaded ({_first_line(error)}); fetch them again"
        ) from error
    return model, sorted(key for key in report["missing_keys"] if "pooler" not in key)


def _text_model(model: nn.Module) -> nn.Module:
    try:
        words = model.get_input_embeddings()  # type: ignore[operator]
    except NotImplementedError:
        words = None
    if not isinstance(words, nn.Embedding):
        raise BackboneError(f"{type(model).__name__} does not embed tokens; only models of text are supported")
    return model


def _context_length(model: nn.Module, tokenizer: Any) -> tuple[int, tuple[str, ...]]:
    """Longest text in tokens: what tokenizer and position table both allow, and a note where neither says."""
    config: Any = model.config
    text_config = config.get_text_config()
    positions = next((n for key in _LENGTH_KEYS if (n := getattr(text_config, key, None))), None)
    padding = position_padding(model)
    if positions and padding is not None:
        positions -= padding + 1  # positions are counted from behind the padding index
    limits = [n for n in (tokenizer.model_max_length, positions) if n and 0 < n < _NO_LIMIT]
    if limits:
        return int(min(limits)), ()
    return _UNSTATED_LENGTH, (f"The model states no longest text; {_UNSTATED_LENGTH} tokens are taken.",)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
