"""A checkpoint made ready for a longer context: the same weights, other angles.

Rotary positions turn pair i of a head's d numbers at position t by t w_i, w_i = base^(-2i/d), i = 0 .. d/2 - 1.  For a
context s times as long:

    linear   w_i / s                                   positions are squeezed into the range that was trained
    ntk      base' = base s^(d/(d-2))                  w_0 stays, the slowest becomes w/s exactly, the rest in between
    base     base' as given                            for instance 10,000 -> 500,000
    yarn     (1 - r_i) w_i / s + r_i w_i               r_i: 1 for pairs that turn 32 times or more within the trained
                                                       context, 0 for once or less, linear in i between (rounded ends);
             cos and sin times 0.1 ln s + 1            which makes attention sharper

What is written is a plain folder; the transformers library makes the angles from its `rope_parameters`.  The weights
have to be trained further at the new length to make good use of it.

Sources: Chen et al. (2023), arXiv 2306.15595 (linear); Peng et al. (2024), ICLR, arXiv 2309.00071 (NTK-aware, YaRN);
Xiong et al. (2023), arXiv 2309.16039 (base).
"""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenworth.backbones.accounting.meta_model import meta_model
from tokenworth.backbones.loading.configuration_class import read_config
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.sources import TOKENIZER_PATTERNS, find_source
from tokenworth.backbones.loading.weight_files import weight_files
from tokenworth.base.atomic_files import write_text, writing
from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.pretraining.mixture_settings import ExtendCall
from tokenworth.settings.signatures import keywords_of

METHODS = ("yarn", "ntk", "linear", "base")
"""How angles are stretched: docs/measures.md."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What was done to a checkpoint."""

    source: str
    """The checkpoint it was made from."""
    method: str
    """One of METHODS."""
    factor: float
    """s, how many times longer the context became."""
    context_before: int
    """Tokens."""
    context: int
    """Tokens."""
    rope_parameters: dict[str, Any]
    """As they stand in the new config.json."""

    def asdict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@known_keywords
def extended(
    config: Any, factor: float, method: str = "yarn", *, base: float | None = None, trained: int | None = None
) -> Any:
    """A copy of a configuration for a context `factor` times as long.

    Args:
        config: a transformers configuration of a model with rotary positions.
        factor: s, above 1.
        method: one of METHODS.
        base: the new base, for the method "base" alone.
        trained: tokens the model was trained to read, where the configuration states another number.

    Raises:
        SettingError: no rotary positions, angles that are already scaled, or settings that contradict each other.
    """
    if method not in METHODS:
        raise SettingError(f"method {method!r} is not understood; choose from {', '.join(METHODS)}")
    if not factor > 1:
        raise SettingError(f"factor {factor:g} makes no context longer; take one above 1, such as 4")
    if (method == "base") != (base is not None):
        raise SettingError("a new base is for the method base, which needs one; give --method base --base 500000")
    if trained is not None and trained < 2:
        raise SettingError(f"a model trained to read {trained} tokens has no context to make longer")
    changed = deepcopy(config)
    text = changed.get_text_config()
    rope = _plain_rope(text)
    before = trained or int(text.max_position_embeddings)
    if method == "yarn":
        scaling = {"rope_type": "yarn", "factor": float(factor), "original_max_position_embeddings": before}
    elif method == "linear":
        scaling = {"rope_type": "linear", "factor": float(factor)}
    elif base is not None:
        scaling = {"rope_theta": float(base)}
    else:
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        turned = int(head * rope.get("partial_rotary_factor", 1.0))
        scaling = {"rope_theta": ntk_base(rope["rope_theta"], factor, turned)}
    text.rope_parameters = {**rope, **scaling}
    text.max_position_embeddings = round(factor * before)
    return changed


def _plain_rope(text: Any) -> dict[str, Any]:
    """The configuration's rotary positions, if they are plain ones."""
    rope = getattr(text, "rope_parameters", None)
    if not rope or not any(name.endswith("inv_freq") for name, _ in meta_model(text).named_buffers()):
        raise SettingError(
            f"a model of the kind {text.model_type} has no rotary positions to stretch: what it knows of positions "
            "ends with its table; train one with rotary positions, or one with a longer table"
        )
    if "rope_type" not in rope:
        raise SettingError(
            f"a model of the kind {text.model_type} turns some layers otherwise than others, and here all are "
            "stretched alike; take a model whose layers share their positions"
        )
    if rope["rope_type"] != "default":
        raise SettingError(
            f"these positions are already scaled ({rope['rope_type']}, factor {rope.get('factor')}); extend the "
            "checkpoint that was there before, with the factor for both"
        )
    return dict(rope)


def ntk_base(base: float, factor: float, d: int) -> float:
    """base s^(d/(d-2)), d the numbers of a head that are turned: the slowest pair is slowed down by s exactly.

    Raises:
        SettingError: one pair alone, which is both the fastest and the slowest.
    """
    if d <= 2:
        raise SettingError(f"heads that turn {d} numbers have one pace alone, which ntk cannot spread; take linear")
    return float(base * factor ** (d / (d - 2)))


@keywords_of(ExtendCall)
def extend_checkpoint(call: ExtendCall) -> Extension:
    """Write a checkpoint with the same weights, bit for bit, that reads `factor` times as many tokens.

    Raises:
        BackboneError: the model is missing or damaged.
        SettingError: as `extended`; or `out` is the model's own folder.
    """
    name, out, factor, method, trained = call.name, call.out, call.factor, call.method, call.trained
    assert out is not None, "a folder must be given"
    with quiet_transformers():
        source = find_source(str(name))
        if source.gguf is not None:
            raise SettingError(
                f"{source} keeps its settings beside its weights; give the plain folder it was made from"
            )
        if Path(out).resolve() == source.folder.resolve():
            raise SettingError(f"{out} is the model itself; choose another folder with --out")
        config = read_config(source)
        changed = extended(config, factor, method, base=call.base, trained=trained)
        weights, _ = weight_files(source)
    before, text = trained or int(config.get_text_config().max_position_embeddings), changed.get_text_config()
    copied = [*weights, *source.matching((*TOKENIZER_PATTERNS, "generation_config.json", "*.index.json"))]
    with writing(out) as place, TemporaryDirectory(dir=place, prefix=".writing-") as unfinished:
        for path in copied:
            shutil.copyfile(path, Path(unfinished, path.name))
        changed.save_pretrained(unfinished)
        _lengthen_tokenizer(Path(unfinished, "tokenizer_config.json"), text.max_position_embeddings)
        for path in sorted(Path(unfinished).iterdir()):
            path.replace(place / path.name)
    rope = dict(text.rope_parameters)
    return Extension(str(source), method, float(factor), before, text.max_position_embeddings, rope)


def _lengthen_tokenizer(path: Path, tokens: int) -> None:
    """Tokenizers that state no length, or one that is longer, are left as they are."""
    stated = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if 0 < stated.get("model_max_length", 0) < tokens:
        write_text(path, json.dumps(stated | {"model_max_length": tokens}, indent=2))
