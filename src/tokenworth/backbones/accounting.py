"""What a backbone costs, counted on the model itself: built without weights on the meta device and run once there.

    FLOPs of a block   2 a weight of its linear maps and token + attention (scores and values), counted in the run
    KV cache           the tensors the model itself puts into its cache
    LoRA               rank x (in + out) for every adapted linear map, no bias   (Hu et al. 2021)
    moments            C0 and C1 in float64, 16 D^2 bytes a layer

Axes: T tokens of context, D width.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tokenworth.errors import BackboneError, first_line

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "dense", "qkv_proj", "out_proj")
"""Own names of the linear maps that carry LoRA in the papers: one list for all architectures, so what it adapts is not
the same everywhere (no query, key and value in BERT, no output map in Mistral, no feed-forward map in OpenELM)."""


@dataclass(frozen=True, slots=True)
class BlockAccount:
    """One block of a backbone."""

    parameters: int
    linear_weights: int
    """Weights of its linear maps, biases apart."""
    attention_flops: int
    """FLOPs of scores and values for one text of T tokens, every pair of tokens counted."""
    cache_width: int
    """Numbers a token leaves in the KV cache: keys and values; 0 for an encoder."""

    def flops_per_token(self, context: int, *, causal: bool) -> float:
        """FLOPs of a forward pass a token, in a text of so many tokens; a causal model needs half of the pairs."""
        return 2 * self.linear_weights + self.attention_flops / context * (0.5 if causal else 1)


@dataclass(frozen=True, slots=True)
class Account:
    """One backbone: everything but LM head, pooler and classification head, final norm included."""

    name: str
    width: int
    vocabulary: int
    context: int
    """Tokens of the text the FLOPs are counted for."""
    causal: bool
    """Whether it is a decoder: it keeps a KV cache."""
    embedding: int
    parameters: int
    with_head: int
    """With the LM head the published model has; a tied or missing one adds nothing."""
    blocks: tuple[BlockAccount, ...]
    lora: dict[str, int]
    """LoRA parameters per rank by own name of the linear maps: the sum of in + out over all maps of that name."""

    @property
    def counted_in_paper(self) -> int:
        """The "original" of the first paper's Table 2: one more matrix of vocabulary x width, there or not."""
        return self.parameters + self.vocabulary * self.width

    def lora_parameters(self, rank: int, targets: Sequence[str] = LORA_TARGETS) -> int:
        """Parameters that LoRA of a rank adds on the linear maps of these names."""
        return rank * sum(count for name, count in self.lora.items() if name in targets)

    def flops_per_token(self) -> float:
        """FLOPs of the blocks' forward pass a token, in a text of `context` tokens."""
        return sum(block.flops_per_token(self.context, causal=self.causal) for block in self.blocks)

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
    """Count a base model on the meta device.

    Args:
        model: as `meta_model` builds it.
        name: what the account is called.
        context: tokens of a text.

    Raises:
        BackboneError: the model has no stack of blocks, or does not run without weights.
    """
    path, blocks = _stack(model)
    flops, cache = _run(model, context)
    lora, words = _lora(model), model.get_input_embeddings()  # type: ignore[operator]
    parameters = sum(weights.numel() for weights in model.parameters())
    counted = [_block(block, flops[f"{path}.{i}"], cache[i] if cache else 0, context) for i, block in enumerate(blocks)]
    return Account(
        name=name,
        width=words.embedding_dim,
        vocabulary=words.num_embeddings,
        context=context,
        causal=bool(cache),
        embedding=words.weight.numel(),
        parameters=parameters,
        with_head=parameters,
        blocks=tuple(counted),
        lora=lora,
    )


def _stack(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The blocks: of all module lists the one with the most parameters."""
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m)]
    if not lists:
        raise BackboneError(f"{type(model).__name__} has no stack of blocks, so its layers cannot be counted")
    return max(lists, key=lambda found: sum(weights.numel() for weights in found[1].parameters()))


def _run(model: nn.Module, context: int) -> tuple[dict[str, int], list[int]]:
    """FLOPs by module for one text, and the numbers each block puts into the cache for a token."""
    ids_BT = torch.zeros(1, context, dtype=torch.long, device="meta")
    root = type(model).__name__
    with counting(model), FlopCounterMode(display=False) as counter, torch.no_grad():
        output = model(input_ids=ids_BT, **({"use_cache": True} if _may_cache(model) else {}))
    flops = {
        str(name).removeprefix(f"{root}."): sum(by_kind.values()) for name, by_kind in counter.get_flop_counts().items()
    }
    return flops, [_numbers(layer) // context for layer in getattr(output.get("past_key_values"), "layers", ())]


@contextmanager
def counting(model: nn.Module) -> Iterator[None]:
    """Some models look at numbers on their way, which do not exist without weights.

    Raises:
        BackboneError: the model is one of these.
    """
    try:
        yield
    except (RuntimeError, ValueError, NotImplementedError) as error:
        name = type(model).__name__
        raise BackboneError(
            f"{name} does not run without weights ({first_line(error)}), so its cost cannot be counted"
        ) from error


def _may_cache(model: nn.Module) -> bool:
    config: Any = model.config
    alone = not config.is_encoder_decoder  # the encoder of a pair names the argument, and refuses it
    return alone and "use_cache" in inspect.signature(model.forward).parameters


def _numbers(layer: Any) -> int:
    return int(layer.keys.numel() + layer.values.numel())


def _block(block: nn.Module, flops: int, cache_width: int, context: int) -> BlockAccount:
    linear = sum(weight.numel() for _, weight in _linear_maps(block))
    parameters = sum(weights.numel() for weights in block.parameters())
    return BlockAccount(parameters, linear, flops - 2 * context * linear, cache_width)


def _linear_maps(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Own names and weights; GPT-2's Conv1D is a linear map with its weight turned."""
    from transformers.pytorch_utils import Conv1D

    return [
        (name.rpartition(".")[2], module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    ]


def _lora(model: nn.Module) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for name, weight in _linear_maps(model):
        counted[name] += sum(weight.shape)
    return dict(counted)
