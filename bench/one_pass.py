"""What the moments cost: one assessment pass against the same forward pass alone, interleaved, medians of ratios.

    python bench/one_pass.py [--pairs 5] [--threads 1]

Same batches, same dtype; decoders with random weights of about 1, 14 and 120 M parameters, short and long texts.
Prints one line a setting and checks that both passes saw the same tokens.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.backbones.structure import examine
from tokenworth.encode import Tokens, encode, pool
from tokenworth.encode.delivery import Consume
from tokenworth.scores import ContextMoments

VOCABULARY = 8192


@dataclass(frozen=True)
class Size:
    """One decoder: what it is called and how large it is."""

    name: str
    layers: int
    width: int
    tokens: int
    """Tokens passed in one run, so that a run takes seconds."""


SIZES = (Size("1M", 4, 96, 20_000), Size("14M", 6, 384, 6_000), Size("120M", 12, 768, 2_400))
LENGTHS = {"short (8-40)": (8, 40), "long (200-400)": (200, 400)}


def main() -> None:
    """Time every setting and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} CPU thread(s); medians of {options.pairs} interleaved pairs")
    print("decoder  texts            tokens | pass with moments / forward alone (min - max) | floor by FLOPs")
    for size in SIZES:
        backbone = random_decoder(size)
        for name, (shortest, longest) in LENGTHS.items():
            tokens = random_texts(size.tokens, shortest, longest)
            ratios = [pair(backbone, tokens) for _ in range(options.pairs + 1)][1:]  # the first pair warms up
            print(
                f"{size.name:<8} {name:<15} {tokens.n_tokens:>7} | {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} - {max(ratios):.2f})"
                f"{'':<24}| {1 + flop_share(size):.2f}"
            )


def flop_share(size: Size) -> float:
    """FLOPs of the moments over those of the forward pass: 4 D^2 a layer and token against 2 a weight."""
    forward = 2 * size.layers * 12 * size.width**2
    return 4 * size.width**2 * (size.layers + 1) / forward


def random_decoder(size: Size) -> Backbone:
    """A Llama with random weights; four maps of D x D and three of D x 8/3 D a block."""
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.width,
        intermediate_size=size.width * 8 // 3,
        num_hidden_layers=size.layers,
        num_attention_heads=size.width // 48,
        num_key_value_heads=size.width // 48,
        max_position_embeddings=512,
    )
    model = LlamaModel(config).eval()
    facts: dict[str, Any] = {
        "name": size.name,
        "model": model,
        "tokenizer": SimpleNamespace(pad_token_id=0, eos_token_id=0),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "n_layers": size.layers,
        "width": size.width,
        "causal": True,
        "max_length": 512,
        "n_parameters": sum(weights.numel() for weights in model.parameters()),
        "random": True,
        "fingerprint": "",
        "source": "",
        "notes": (),
        "structure": examine(model, VOCABULARY, 512),
    }
    return Backbone(**facts)


def random_texts(n_tokens: int, shortest: int, longest: int) -> Tokens:
    """Texts of random ids and lengths, about n_tokens in all."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(shortest, longest + 1, size=2 * n_tokens // (shortest + longest))
    ids = [rng.integers(0, VOCABULARY, size=length).astype(np.int32) for length in lengths]
    return Tokens(ids, truncated=0, empty=0, one_token=0, max_length=512)


def pair(backbone: Backbone, tokens: Tokens) -> float:
    """Seconds of a pass with all moments over seconds of the forward pass alone."""
    moments = {layer: ContextMoments(backbone.width, target_moment=False) for layer in range(backbone.n_layers + 1)}

    def consume(layer: int, states: Tensor, mask: Tensor, _rows: np.ndarray) -> None:
        pool(states, mask, "mean")
        moments[layer] = moments[layer].update(states, mask)

    alone = seconds(backbone, tokens, lambda *_: None)
    with_moments = seconds(backbone, tokens, consume)
    expected = tokens.n_tokens - len(tokens.ids)
    if moments[0].n_pairs != expected:
        raise SystemExit(f"the pass saw {moments[0].n_pairs} pairs of states, expected {expected}")
    return with_moments / alone


def seconds(backbone: Backbone, tokens: Tokens, consume: Consume) -> float:
    """Wall-clock time of one pass."""
    start = perf_counter()
    encode(backbone, tokens, consume)
    return perf_counter() - start


if __name__ == "__main__":
    main()
