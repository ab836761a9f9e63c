"""Loading a backbone: files, configuration, tokenizer, weights, structure."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.adapter import adapter_files, note_of
from tokenworth.backbones.backbone import Backbone, padding_id
from tokenworth.backbones.body import body_of, outline_of, whole_class
from tokenworth.backbones.catalog import Published, find_published
from tokenworth.backbones.config import published_config, read_config, without_pooler
from tokenworth.backbones.files import ADAPTER, TOKENIZER_PATTERNS, Source, find_source, is_local
from tokenworth.backbones.fingerprint import fingerprint
from tokenworth.backbones.language_head import LanguageHead
from tokenworth.backbones.precision import resolve_device, resolve_dtype
from tokenworth.backbones.pretrained import causal_class, pretrained_model
from tokenworth.backbones.quiet import quiet_transformers
from tokenworth.backbones.sizes import check_memory, size_of
from tokenworth.backbones.structure import Structure, examine, position_padding
from tokenworth.backbones.tokenizer import BYTES, bytes_tokenizer, read_tokenizer, tokenizer_place, tokenizer_source
from tokenworth.backbones.weights import weight_files
from tokenworth.errors import BackboneError, first_line
from tokenworth.settings import Seed, checked_arguments

RANDOM_SUFFIX = "@random"
_LENGTH_KEYS = ("max_position_embeddings", "max_seq_len", "max_sequence_length")
_UNSTATED_LENGTH = 2048
_NARROW = frozenset({torch.bfloat16, torch.float16})
_NO_LIMIT = 10**9  # tokenizers without a limit state 1e30


@checked_arguments
def load_backbone(
    name: str,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    seed: Seed = 0,
    revision: str | None = None,
    allow_pickle: bool = False,
    tokenizer: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    lm_head: bool = False,
) -> Backbone:
    """Load a causal language model or an encoder without its head.

    Args:
        name: a local folder, a hub id or a published name; with ``@random`` appended its twin with random weights from
            the configuration's own initialisation, which needs no weights file.
        device: "auto" (cuda, then mps, then cpu) or a device name.
        dtype: "auto" (bfloat16 where the device computes it natively, else float32) or a name in ``DTYPES``.
        seed: of the random weights; the global random state is left as it was.
        revision: branch, tag or commit of a hub id.
        tokenizer: folder or hub id of the tokenizer, where it is not the model's own; "bytes" for one of 256 bytes.  A
            published name ``@random`` whose tokenizer cannot be reached takes this one, and says so in its notes.
        device_map: "auto" spreads the model over all devices of this machine, then its memory, then the disk
            (accelerate); or places by module name.  ``device`` is then where texts enter.
        allow_pickle: read pytorch_model.bin where there are no safetensors (tensors only, by torch's own restriction).
        lm_head: also load the head that predicts next tokens, as ``Backbone.lm_head``.

    Raises:
        BackboneError: the model or its tokenizer is missing, incomplete, damaged or of a kind that is not supported.
        SettingError: device, dtype or revision is not understood.
    """
    base, is_random = _split(name)
    place = resolve_device(device)
    precision = resolve_dtype(dtype, place)
    entry = None if is_local(base) or not is_random else find_published(base)
    with quiet_transformers():
        parts = _published(entry, tokenizer, seed) if entry else _from_files(base, revision, tokenizer, is_random, seed)
        if is_random:
            model: Any = random_model(parts.config, precision, seed, lm_head=lm_head)
        else:
            assert parts.source is not None, "only random weights need no files"
            model, weights = pretrained_model(
                parts.source,
                parts.config,
                precision,
                allow_pickle=allow_pickle,
                device_map=device_map,
                lm_head=lm_head,
            )
            parts.files += weights
        model = _placed(_text_model(model), place, device_map, name).eval()
        try:
            head = LanguageHead(model) if lm_head else None
            backbone = _backbone(name, parts, head.body if head else model, place, random=is_random)
        except BackboneError as error:
            if precision not in _NARROW or device_map is not None:
                raise
            failure = _failure_in_float32(name, parts, body_of(model) if lm_head else model, place)
            if failure is not None:
                raise failure from error
            if dtype != "auto":
                raise BackboneError(f"{name} does not run in {_written(precision)}; choose --dtype float32") from error
        else:
            return _with_head(backbone, head) if head else backbone
    del model
    found = load_backbone(
        name,
        device=device,
        dtype="float32",
        seed=seed,
        revision=revision,
        allow_pickle=allow_pickle,
        tokenizer=tokenizer,
        lm_head=lm_head,
    )
    note = f"{type(found.model).__name__} does not run in {_written(precision)}, so it is computed in float32."
    return replace(found, notes=(*found.notes, note))


def _failure_in_float32(name: str, parts: _Parts, body: Any, place: torch.device) -> BackboneError | None:
    """What keeps a model from running whatever its number format; None where only the narrow one does."""
    try:
        _backbone(name, parts, body.float(), place, random=True)
    except BackboneError as error:
        return error
    return None


def _written(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def identity(
    name: str, *, seed: int = 0, revision: str | None = None, tokenizer: str | None = None, allow_pickle: bool = False
) -> str:
    """The fingerprint `load_backbone` would give, without loading: files are read, no model is made.

    Raises:
        BackboneError: as `load_backbone`, as far as files show it.
    """
    base, is_random = _split(name)
    entry = None if is_local(base) or not is_random else find_published(base)
    with quiet_transformers():
        parts = _published(entry, tokenizer, seed) if entry else _from_files(base, revision, tokenizer, is_random, seed)
    if not is_random:
        assert parts.source is not None, "only random weights need no files"
        parts.files += weight_files(parts.source.base or parts.source, allow_pickle=allow_pickle)[0]
        parts.files += adapter_files(parts.source, allow_pickle=allow_pickle)
    return fingerprint(parts.files, *parts.facts)


def _with_head(backbone: Backbone, head: LanguageHead) -> Backbone:
    if not backbone.causal:
        raise BackboneError(
            f"{backbone.name} sees the tokens ahead, so it predicts no next ones and cannot be prompted"
        )
    head.check(backbone.name)
    return replace(backbone, lm_head=head)


def _placed(model: nn.Module, place: torch.device, device_map: str | dict[str, Any] | None, name: str) -> nn.Module:
    """The model on its device; already there where it was loaded by a map."""
    if hasattr(model, "hf_device_map"):
        return model
    try:
        return model.to(place) if device_map is None else _spread(model, device_map)
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        raise BackboneError(
            f"{name} does not fit into the memory of {place}; choose --dtype bfloat16, --device-map auto, which uses "
            "all devices and main memory, or --shard under torchrun"
        ) from error


def _spread(model: Any, device_map: str | dict[str, Any]) -> nn.Module:
    from accelerate import dispatch_model, infer_auto_device_map

    if isinstance(device_map, str):
        device_map = infer_auto_device_map(model, no_split_module_classes=list(model._no_split_modules or ()))
    try:
        spread: nn.Module = dispatch_model(model, device_map)
    except ValueError as error:  # weights that were never in a file cannot be left in it
        raise BackboneError(
            f"random weights can be spread over devices and memory, not to the disk ({first_line(error)})"
        ) from error
    return spread


@dataclass(slots=True)
class _Parts:
    """What a backbone is put together from."""

    config: Any
    tokenizer: Any
    source: Source | None
    origin: str
    """In words."""
    files: list[Path]
    """Everything but weights that makes its fingerprint."""
    facts: tuple[str, ...]
    """The same, where there is no file."""
    notes: tuple[str, ...] = ()


def _from_files(base: str, revision: str | None, tokenizer: str | None, is_random: bool, seed: int) -> _Parts:
    source = find_source(base, revision)
    if is_random:
        source = source.base or source
    config = read_config(source)
    words = tokenizer_place(source) if tokenizer is None else tokenizer_source(tokenizer)
    files = (source.base or source).matching(("config.json",))
    facts = (f"random, seed {seed}",) if is_random else ()
    notes = () if is_random else _notes_on(source)
    if words is None:
        return _Parts(config, bytes_tokenizer(), source, str(source), files, (BYTES, *facts), notes)
    found = read_tokenizer(words)
    if words is source.base or words is source:
        files = sorted({*files, *words.matching(TOKENIZER_PATTERNS)})
    else:
        files += words.matching(TOKENIZER_PATTERNS)
    return _Parts(config, found, source, str(source), files, facts, notes)


def _notes_on(source: Source) -> tuple[str, ...]:
    """What is done with an adapter in the folder."""
    if source.base is not None:
        return (note_of(source),)
    if (source.folder / ADAPTER).is_file():
        return (f"{ADAPTER} lies beside the weights of {source} and is left aside: the weights are taken as they are.",)
    return ()


def _published(entry: Published, tokenizer: str | None, seed: int) -> _Parts:
    """Random weights of a published backbone: its configuration is known, its tokenizer has to be found."""
    origin = f"{entry.hub}, configuration as published"
    facts = (json.dumps(entry.config, sort_keys=True), f"random, seed {seed}")
    config = published_config(entry)
    notes: tuple[str, ...] = ()
    try:
        words = tokenizer_source(tokenizer or entry.tokenizer)
    except BackboneError as error:
        if tokenizer is not None:
            raise
        words, notes = None, (_BYTES_INSTEAD.format(entry.tokenizer, error),)
    if words is None:
        return _Parts(config, bytes_tokenizer(), None, origin, [], (BYTES, *facts), notes)
    return _Parts(config, read_tokenizer(words), None, origin, words.matching(TOKENIZER_PATTERNS), facts, notes)


_BYTES_INSTEAD = (
    "The tokenizer {} cannot be had, so texts are read byte by byte; bring it and name its folder with --tokenizer "
    "({})."
)


def _split(name: str) -> tuple[str, bool]:
    return name.removesuffix(RANDOM_SUFFIX), name.endswith(RANDOM_SUFFIX)


def _backbone(name: str, parts: _Parts, model: nn.Module, place: torch.device, *, random: bool) -> Backbone:
    max_length, notes = _context_length(model, parts.tokenizer)
    structure = _examined(model, max_length, place, parts.tokenizer)
    if structure.blocks is None:
        notes += (
            "The blocks of this model cannot be told apart: all layers' states of a batch are held in memory at once.",
        )
    if structure.reads_padding:
        notes += (_READS_PADDING,)
    return Backbone(
        name=name,
        model=model,
        tokenizer=parts.tokenizer,
        device=place,
        dtype=next(p.dtype for p in model.parameters() if p.is_floating_point()),
        n_layers=structure.n_layers,
        width=structure.width,
        causal=structure.causal,
        max_length=max_length,
        n_parameters=sum(p.numel() for p in model.parameters()),
        random=random,
        fingerprint=fingerprint(parts.files, *parts.facts),
        source=parts.origin,
        notes=(*parts.notes, *notes),
        structure=structure,
    )


def _examined(model: Any, max_length: int, place: torch.device, tokenizer: Any) -> Structure:
    n_embeddings = model.get_input_embeddings().num_embeddings
    try:
        return examine(model, n_embeddings, max_length, place, pad_id=padding_id(tokenizer, n_embeddings))
    except BackboneError:
        raise
    except Exception as error:  # a value that no constructor looked at is met in the forward pass
        raise BackboneError(
            f"{type(model).__name__} does not run on a short text ({first_line(error)}); check that config.json fits "
            "the model"
        ) from error


_READS_PADDING = (
    "The states of this model depend on the padding beside a text, so only texts of one length share a pass: as many "
    "passes as there are lengths, at least."
)


def retokenised(backbone: Backbone, tokenizer: Any, seed: int) -> Backbone:
    """A twin with random weights for another tokenizer: the embedding has a row for each of its tokens."""
    config: Any = deepcopy(backbone.model.config)
    text_config = config.get_text_config()
    text_config.vocab_size = len(tokenizer)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(text_config, name, getattr(tokenizer, name))
    facts = (config.to_json_string(), tokenizer_facts(tokenizer), f"random, seed {seed}")
    parts = _Parts(config, tokenizer, None, f"{backbone.source}, tokenizer retrained", [], facts, backbone.notes)
    with quiet_transformers():
        model = random_model(config, backbone.dtype, seed).to(backbone.device).eval()
        return _backbone(backbone.name, parts, model, backbone.device, random=True)


def tokenizer_facts(tokenizer: Any) -> str:
    """What a tokenizer is, as text for a fingerprint."""
    return str(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else json.dumps(tokenizer.get_vocab())


def with_model(backbone: Backbone, model: nn.Module, fact: str) -> Backbone:
    """The backbone with another model of the same shape (adapted, say); `fact` tells its weights in the fingerprint."""
    n_embeddings, pad_id = backbone.structure.n_embeddings, backbone.pad_id
    structure = examine(model, n_embeddings, backbone.max_length, backbone.device, pad_id=pad_id)
    return replace(backbone, model=model, structure=structure, fingerprint=fingerprint([], backbone.fingerprint, fact))


def as_it_is_now(backbone: Backbone) -> Backbone:
    """The backbone, examined anew where blocks of its model were swapped or replaced since it was loaded.

    Raises:
        BackboneError: the model has another number or width of layers now, or does not run.
    """
    blocks = backbone.structure.blocks
    lists = (tuple(module) for module in backbone.model.modules() if isinstance(module, nn.ModuleList))
    if blocks is None or blocks in lists:
        return backbone
    n_embeddings, pad_id = backbone.structure.n_embeddings, backbone.pad_id
    structure = examine(backbone.model, n_embeddings, backbone.max_length, backbone.device, pad_id=pad_id)
    now, before = (structure.n_layers, structure.width), (backbone.n_layers, backbone.width)
    if now != before:
        raise BackboneError(
            f"{backbone.name} was changed in memory: it has {now[0]} blocks of width {now[1]} and had {before[0]} of "
            f"width {before[1]} when it was loaded; save it and load the folder"
        )
    return replace(backbone, structure=structure, causal=structure.causal)


def random_model(config: Any, dtype: torch.dtype, seed: int, *, lm_head: bool = False) -> nn.Module:
    """Random weights, drawn in float32 on the CPU so that every device and dtype starts from the same ones."""
    model_class = causal_class(config, config.model_type) if lm_head else whole_class(config)
    check_memory(size_of(outline_of(model_class, config)), config.name_or_path or f"a {config.model_type} model")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: nn.Module = model_class(config, **without_pooler(model_class))
    model = model if lm_head else body_of(model)
    for parameter in model.parameters():  # not model.to(dtype): it rounds the rotary frequencies, which loading keeps
        parameter.data = parameter.data.to(dtype)
    return model


def _text_model(model: nn.Module) -> nn.Module:
    """The model, or the outermost one inside that embeds tokens (BART keeps its decoder in a wrapper)."""
    from transformers import PreTrainedModel

    for part in model.modules():
        if isinstance(part, PreTrainedModel) and _embeds_tokens(part):
            return part
    raise BackboneError(f"{type(model).__name__} does not embed tokens; only models of text are supported")


def _embeds_tokens(model: Any) -> bool:
    try:
        return isinstance(model.get_input_embeddings(), nn.Embedding)
    except (NotImplementedError, AttributeError):
        return False


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
