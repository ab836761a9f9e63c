"""What a backbone costs, counted on the model itself: built without weights and run there, on a text of T tokens.

    linear       products with weights; of the experts of a mixture, those that a token is sent to
    attention    products that grow with the square of the text: scores and values, every pair of tokens
    mixing       products between activations that grow with the text: linear attention, state spaces, windows
    KV cache     the tensors the model itself puts into its cache
    LoRA         rank x (in + out) for every adapted linear map, no bias   (Hu et al. 2021)
    moments      C0 and C1 in float64, 16 D^2 bytes a layer

Two runs, on T tokens and one fewer, tell the kinds apart: what takes T^2 / (T - 1)^2 as much is attention.  A sliding
window is counted as the library computes it: all pairs, then masked.

Axes: T tokens of context, D width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.accounting.block_calls import Call, Run, layers_of, run_without_weights
from tokenworth.backbones.structure.causality import is_causal

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "dense", "qkv_proj", "out_proj")
"""Own names of the linear maps that carry LoRA in the papers: one list for all architectures, so what it adapts is not
the same everywhere (no query, key and value in BERT, no output map in Mistral, no feed-forward map in OpenELM)."""


@dataclass(frozen=True, slots=True)
class BlockAccount:
    """One block of a backbone."""

    parameters: int
    """Weights that no earlier block has: blocks may share them."""
    linear_flops: int
    """FLOPs of products with weights, for one text of T tokens."""
    attention_flops: int
    """FLOPs of scores and values for one text of T tokens, every pair of tokens counted."""
    mixing_flops: int = 0
    """FLOPs of other products between activations, for one text of T tokens."""
    cache_width: int = 0
    """Numbers a token leaves in the KV cache, keys and values, on the mean over the text; 0 without such a cache."""

    def flops_per_token(self, context: int, *, causal: bool) -> float:
        """FLOPs of a forward pass a token, in a text of so many tokens; a causal model needs half of the pairs."""
        pairs = self.attention_flops * (0.5 if causal else 1)
        return (self.linear_flops + self.mixing_flops + pairs) / context


@dataclass(frozen=True, slots=True)
class Account:
    """One backbone: everything but LM head, pooler and classification head, final norm included."""

    name: str
    """As it was given."""
    width: int
    """D, numbers of a state."""
    vocabulary: int
    """Rows of the token embedding."""
    context: int
    """Tokens of the text the FLOPs are counted for."""
    causal: bool
    """Whether a token's state ignores the tokens after it; found by trying."""
    embedding: int
    """Parameters of the token embedding."""
    parameters: int
    """Without any head."""
    with_head: int
    """With the LM head the published model has; a tied or missing one adds nothing."""
    blocks: tuple[BlockAccount, ...]
    """One a layer, in the order in which they run."""
    rest: BlockAccount
    """Weights outside blocks and embedding, and the products with them: projections before the first block and after
    the last."""
    lora: dict[str, int]
    """LoRA parameters per rank by own name of the linear maps: the sum of in + out over all maps of that name."""

    @property
    def counted_in_paper(self) -> int:
        """The "original" of the first paper's Table 2: one more matrix of vocabulary x width, there or not."""
        return self.parameters + self.vocabulary * self.width

    def lora_parameters(self, rank: int, targets: Sequence[str] = LORA_TARGETS) -> int:
        """Parameters that LoRA of a rank adds on the linear maps of these names."""
        return rank * sum(count for name, count in self.lora.items() if name in targets)

    def flops_per_token(self, layer: int | None = None) -> float:
        """FLOPs of the forward pass a token, in a text of `context` tokens; up to the state of a layer, if it is given:
        the blocks above it are not run.
        """
        parts = (*self.blocks[:layer], self.rest)
        return sum(part.flops_per_token(self.context, causal=self.causal) for part in parts)

    def moment_flops_per_token(self) -> float:
        """FLOPs of the context moments of all layers a token: 3.25 D^2 each, a symmetric product counted by blocks."""
        return 3.25 * self.width**2 * (len(self.blocks) + 1)

    def moment_bytes(self) -> int:
        """Bytes of the context moments of all layers."""
        return 16 * self.width**2 * (len(self.blocks) + 1)

    def cache_bytes_per_token(self, bytes_a_number: int = 2) -> int:
        """Bytes of the KV cache a token, all blocks."""
        return bytes_a_number * sum(block.cache_width for block in self.blocks)


def account(model: nn.Module, name: str, *, context: int = 128) -> Account:
    """Count a base model on the meta device, as `meta_model` builds it, for a text of `context` tokens.
    Raises BackboneError: the model has no stack of blocks, or does not run without weights.
    """
    run = run_without_weights(model, context)
    layers, kinds, cache = layers_of(model, run), _kinds(model, run, context), _cache_widths(run.output, context)
    cache = cache if len(cache) == len(layers) else [0] * len(layers)
    words = model.get_input_embeddings()  # type: ignore[operator]
    parameters, embedding = sum(weights.numel() for weights in model.parameters()), words.weight.numel()
    seen: set[int] = set()
    blocks = [
        BlockAccount(_new_parameters(model, calls, seen), *_sums(_places(calls), run, kinds), width)
        for calls, width in zip(layers, cache, strict=True)
    ]
    rest = parameters - embedding - sum(block.parameters for block in blocks)
    return Account(
        name=name,
        width=run.width,
        vocabulary=words.num_embeddings,
        context=context,
        causal=is_causal(model.config, layers[0][0].path),
        embedding=embedding,
        parameters=parameters,
        with_head=parameters,
        blocks=tuple(blocks),
        rest=BlockAccount(rest, *_sums(_outside(model, layers, run), run, kinds)),
        lora=_lora(model),
    )


def _kinds(model: nn.Module, run: Run, context: int) -> list[str]:
    """What each product of a run is."""
    shorter = context - 1 or 2
    squares = _squares(run, run_without_weights(model, shorter), context, shorter)
    return [
        "attention" if place in squares else "linear" if product.of_weights else "mixing"
        for place, product in enumerate(run.products)
    ]


def _squares(run: Run, other: Run, here: int, there: int) -> set[int]:
    """Products that grow with the square of the text, from runs on texts of two lengths.

    They are compared call by call: a call that makes one product a token makes fewer of them in a shorter text, and
    none of these is the square of anything.
    """
    ours, theirs = _by_call(run), _by_call(other)
    squares = set()
    for key in ours.keys() & theirs.keys():
        if len(ours[key]) == len(theirs[key]):
            for place, counterpart in zip(ours[key], theirs[key], strict=True):
                flops, flops_there = run.products[place].flops, other.products[counterpart].flops
                if flops and flops * there**2 == flops_there * here**2:
                    squares.add(place)
    return squares


def _by_call(run: Run) -> dict[tuple[str, int], list[int]]:
    """Products by the path that makes them and how often it was called before."""
    often: Counter[str] = Counter()
    keys = []
    for call in run.calls:
        keys.append((call.path, often[call.path]))
        often[call.path] += 1
    products: dict[tuple[str, int], list[int]] = {}
    for place, maker in enumerate(run.makers()):
        products.setdefault(keys[maker], []).append(place)
    return products


def _sums(places: Iterable[int], run: Run, kinds: list[str]) -> tuple[int, int, int]:
    """FLOPs of linear maps, attention and mixing in some products."""
    counted: Counter[str] = Counter()
    for place in places:
        counted[kinds[place]] += run.products[place].flops
    return counted["linear"], counted["attention"], counted["mixing"]


def _places(calls: list[Call]) -> list[int]:
    return [place for call in calls for place in range(call.start, call.stop)]


def _outside(model: nn.Module, layers: list[list[Call]], run: Run) -> list[int]:
    """Products in no layer, made by modules that have weights: the angles of rotary positions are none of these."""
    inside = {place for calls in layers for place in _places(calls)}
    weighty = [any(True for _ in model.get_submodule(call.path).parameters()) for call in run.calls]
    return [place for place, maker in enumerate(run.makers()) if place not in inside and weighty[maker]]


def _new_parameters(model: nn.Module, calls: list[Call], seen: set[int]) -> int:
    """Weights of the called modules that were not seen before."""
    new = {id(weights): weights for call in calls for weights in model.get_submodule(call.path).parameters()}
    count = sum(weights.numel() for key, weights in new.items() if key not in seen)
    seen.update(new)
    return count


def _cache_widths(output: Any, context: int) -> list[int]:
    """Numbers a token leaves in each layer's cache; a state of fixed size is none."""
    layers = getattr(output.get("past_key_values"), "layers", ())
    kept = [[getattr(layer, part, None) for part in ("keys", "values")] for layer in layers]
    return [sum(part.numel() for part in parts if isinstance(part, torch.Tensor)) // context for parts in kept]


def _lora(model: nn.Module) -> dict[str, int]:
    """in + out by the linear maps' last names; GPT-2's Conv1D is a linear map with its weight turned."""
    from transformers.pytorch_utils import Conv1D

    sizes: Counter[str] = Counter()
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D):
            sizes[path.rpartition(".")[2]] += sum(module.weight.shape)
    return dict(sizes)
