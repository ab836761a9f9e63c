"""A causal language model with its head, and the three things all measures ask of it: losses, samples, its limits.

Axes: N texts, B texts of a batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.backbones.loading.configuration_class import read_config
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.sources import find_source
from tokenworth.backbones.loading.tokenizer import read_tokenizer
from tokenworth.backbones.loading.weights import pretrained_model
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.backbones.twins import random_model
from tokenworth.base.aliases import Floats
from tokenworth.base.float32_products import float32_products, short_attention
from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.measures.measure_settings import DecoderChoice
from tokenworth.settings.signatures import keywords_of

_UNSTATED_CONTEXT = 2048
_TOKENS_AT_ONCE = 16_384
_LOGITS_AT_ONCE = 20_000_000


@dataclass(frozen=True, eq=False, slots=True)
class Decoder:
    """A model that predicts next tokens, in eval mode, with its tokenizer."""

    name: str
    """As it was asked for: a folder or a hub id, with ``@random`` for drawn weights."""
    model: Any
    """input_ids (B, T) to .logits (B, T, V); takes past_key_values and use_cache."""
    tokenizer: Any
    """A transformers tokenizer."""
    device: torch.device
    """Where the weights lie and token ids go."""
    context: int
    """Tokens it says it can read."""
    trained: int
    """Tokens it was trained to read: less than `context` where a scaling of its positions says so."""
    rotary: bool
    """Whether positions are angles, which have no last one; a table of positions has."""

    @property
    def begin(self) -> int | None:
        """Id of the token before the first one of a document; None where the tokenizer has none."""
        token = self.tokenizer.bos_token_id
        return None if token is None else int(token)

    @property
    def head(self) -> list[int]:
        """What stands before the first token of a document."""
        return [] if self.begin is None else [self.begin]

    @property
    def last(self) -> dict[str, int]:
        """What makes the model give the last token's logits alone, where it can: those of all would fill memory."""
        takes = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        return {"logits_to_keep": 1} if takes else {}

    def check_length(self, tokens: int) -> None:
        """Refuse texts that the model has no positions for.

        Raises:
            SettingError: positions come from a table, and the table ends before.
        """
        if tokens > self.context and not self.rotary:
            raise SettingError(
                f"{self.name} has positions for {self.context} tokens and none behind them; {tokens} are too many, "
                f"so ask for {self.context} at most"
            )


@keywords_of(DecoderChoice)
def load_decoder(call: DecoderChoice) -> Decoder:
    """Load a language model from safetensors; no code that comes with it is run.

    Raises:
        BackboneError: it is missing, damaged, or predicts no next tokens.
    """
    name = call.name
    base, place = name.removesuffix(RANDOM_SUFFIX), resolve_device(call.device)
    precision = resolve_dtype(call.dtype, place)
    with quiet_transformers():
        source = find_source(base)
        config, tokenizer = read_config(source), read_tokenizer(source)
        if base != name:
            model: Any = random_model(config, precision, call.seed, lm_head=True)
        else:
            model, _ = pretrained_model(source, config, precision, allow_pickle=False, device_map=None, lm_head=True)
    return decoder_of(model.to(place), tokenizer, name)


@known_keywords
def decoder_of(model: Any, tokenizer: Any, name: str = "model") -> Decoder:
    """A decoder of a model that is already loaded."""
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    context = int(getattr(config, "max_position_embeddings", None) or _UNSTATED_CONTEXT)
    trained = int(rope.get("original_max_position_embeddings") or context)
    if rope.get("rope_type") == "linear":  # the one scaling that does not write down what it began with
        trained = round(context / rope["factor"])
    device = next(model.parameters()).device
    return Decoder(name, model.eval(), tokenizer, device, context, trained, bool(rope))


def token_nll(decoder: Decoder, ids_NT: Tensor) -> Floats:
    """-log q(token | those before it in its row), nats: (N, T - 1) of whole rows without padding."""
    nll_NT = np.empty((ids_NT.shape[0], ids_NT.shape[1] - 1))
    attention = short_attention(ids_NT.shape[1], next(decoder.model.parameters()).dtype, decoder.device)
    with torch.inference_mode(), float32_products(), attention:
        for rows in batches(decoder, ids_NT):
            batch_BT = ids_NT[rows].to(decoder.device)
            logits_BTV = wide(decoder.model(input_ids=batch_BT, use_cache=False).logits[:, :-1])
            losses = cross_entropy(logits_BTV.flatten(0, 1), batch_BT[:, 1:].flatten(), reduction="none")
            nll_NT[rows] = losses.view(len(batch_BT), -1).double().cpu().numpy()
    return nll_NT


def continued(decoder: Decoder, ids_NT: Tensor, tokens: int, uniform_NM: Tensor | None = None) -> Tensor:
    """Rows with so many tokens behind them, each drawn given all before it: (N, T + tokens).

    A drawn token is where the distribution function passes the number of `uniform_NM`, in [0, 1), so that a text's
    sample does not depend on which texts share its batch; None takes the likeliest token (greedy).
    """
    done = [
        _continued(decoder, ids_NT[rows], tokens, None if uniform_NM is None else uniform_NM[rows])
        for rows in batches(decoder, ids_NT, extra=tokens)
    ]
    return torch.cat(done)


@torch.inference_mode()
def _continued(decoder: Decoder, ids_BT: Tensor, tokens: int, uniform_BM: Tensor | None) -> Tensor:
    pieces = [ids_BT]
    new, past = ids_BT.to(decoder.device), None
    for step in range(tokens):
        read = new if past is not None else torch.cat(pieces, dim=1).to(decoder.device)  # some models keep no past
        output = decoder.model(input_ids=read, past_key_values=past, use_cache=True, **decoder.last)
        past = getattr(output, "past_key_values", None)
        logits_BV = wide(output.logits[:, -1])
        new = logits_BV.argmax(-1, keepdim=True) if uniform_BM is None else _draw(logits_BV, uniform_BM[:, step])
        pieces.append(new.cpu())
    return torch.cat(pieces, dim=1)


def _draw(logits_BV: Tensor, uniform_B: Tensor) -> Tensor:
    below_BV = logits_BV.double().softmax(-1).cumsum(-1)
    wanted_B1 = uniform_B.to(below_BV)[:, None] * below_BV[:, -1:]  # the sum is 1 up to rounding
    return torch.searchsorted(below_BV, wanted_B1, right=True).clamp(max=below_BV.shape[1] - 1)


def wide(logits: Tensor) -> Tensor:
    """Float32 at least: sums over a vocabulary do not bear half precision."""
    return logits if logits.dtype == torch.float64 else logits.float()


def batches(decoder: Decoder, ids_NT: Tensor, *, extra: int = 0) -> Iterator[slice]:
    """Slices of rows whose tokens and logits fit at once."""
    length = ids_NT.shape[1] + extra
    vocabulary = int(decoder.model.config.get_text_config().vocab_size)
    size = max(1, min(_TOKENS_AT_ONCE, _LOGITS_AT_ONCE // vocabulary) // max(length, 1))
    yield from (slice(start, start + size) for start in range(0, len(ids_NT), size))
