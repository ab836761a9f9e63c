"""What the moments cost: one assessment pass against the same forward pass alone, interleaved, medians of ratios.

    python bench/one_pass.py [--pairs 5] [--threads 1] [--dtype bfloat16] [--sizes 1M 14M]

Same batches, same dtype; decoders with random weights of about 1, 14 and 120 M parameters, short and long texts.
The pass pools every layer and adds it to its moments.  Prints one row a setting, CPU seconds and wall clock, and a
second table of where the rest goes; checks that both passes saw the same tokens.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.backbones.structure.structure import examine
from tokenworth.base.float32_products import float32_products, short_attention
from tokenworth.encode import Tokens, encode, pool
from tokenworth.encode.batches import make_batch, plan_batches
from tokenworth.encode.layer_hooks import Consume
from tokenworth.scores import ContextMoments
from tokenworth.scores.context import Places
from tokenworth.scores.context_batch import gram, shifted_pairs

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
    """Time every setting and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--sizes", nargs="+", choices=[size.name for size in SIZES], default=[s.name for s in SIZES])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {options.threads} CPU thread(s), "
        f"{options.dtype}; medians of {options.pairs} interleaved pairs (min - max)\n"
    )
    print("| decoder | texts | tokens | pass / forward alone: CPU | wall | floor by FLOP, symmetry used / not |")
    print("|---|---|--:|--:|--:|--:|")
    parts = []
    for size in (size for size in SIZES if size.name in options.sizes):
        backbone = random_decoder(size, getattr(torch, options.dtype))
        for name, (shortest, longest) in LENGTHS.items():
            tokens = random_texts(size.tokens, shortest, longest)
            ratios = [pair(backbone, tokens) for _ in range(options.pairs + 1)][1:]  # the first pair warms up
            cpu, wall = (shown(list(column)) for column in zip(*ratios, strict=True))
            floors = f"{1 + flop_share(size, 3):.2f} / {1 + flop_share(size, 4):.2f}"
            print(f"| {size.name} | {name} | {tokens.n_tokens} | {cpu} | {wall} | {floors} |", flush=True)
            parts.append((size.name, name, breakdown(backbone, tokens)))
    print(
        "\nShares of the forward pass alone (CPU), each step alone on the same states, so that sums differ a little:\n"
    )
    print("| decoder | texts | " + " | ".join(parts[0][2]) + " |")
    print("|---|---|" + "--:|" * len(parts[0][2]))
    for name, texts, shares in parts:
        print(f"| {name} | {texts} | " + " | ".join(f"{100 * share:.1f} %" for share in shares.values()) + " |")


def shown(ratios: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"


def flop_share(size: Size, per_width: float) -> float:
    """FLOPs of the moments over those of the forward pass: 3 D^2 a layer and token (4 D^2) against 2 a weight."""
    forward = 2 * size.layers * 12 * size.width**2
    return per_width * size.width**2 * (size.layers + 1) / forward


def random_decoder(size: Size, dtype: torch.dtype) -> Backbone:
    """A Llama with random weights; four maps of D x D and three of D x 8/3 D a block."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.width,
        intermediate_size=size.width * 8 // 3,
        num_hidden_layers=size.layers,
        num_attention_heads=size.width // 48,
        num_key_value_heads=size.width // 48,
        max_position_embeddings=512,
    )
    model = transformers.LlamaModel(config).eval().to(dtype)
    facts: dict[str, Any] = {
        "name": size.name,
        "model": model,
        "tokenizer": SimpleNamespace(pad_token_id=0, eos_token_id=0),
        "device": torch.device("cpu"),
        "dtype": dtype,
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


def pair(backbone: Backbone, tokens: Tokens) -> tuple[float, float]:
    """A pass with all moments over the forward pass alone: CPU seconds, wall clock."""
    moments = {layer: ContextMoments(backbone.width, target_moment=False) for layer in range(backbone.n_layers + 1)}
    places: list[Places] = []

    def consume(layer: int, states: Tensor, mask: Tensor, _rows: np.ndarray) -> None:
        if layer == 0:
            places[:] = [Places.of(mask)]
        pool(states, mask, "mean")
        moments[layer] = moments[layer].update(states, places[0])

    alone = seconds(backbone, tokens, lambda *_: None)
    whole = seconds(backbone, tokens, consume)
    expected = tokens.n_tokens - len(tokens.ids)
    if moments[0].n_pairs != expected:
        raise SystemExit(f"the pass saw {moments[0].n_pairs} pairs of states, expected {expected}")
    return whole[0] / alone[0], whole[1] / alone[1]


def seconds(backbone: Backbone, tokens: Tokens, consume: Consume) -> tuple[float, float]:
    """CPU seconds and wall clock of one pass."""
    cpu, wall = process_time(), perf_counter()
    encode(backbone, tokens, consume)
    return process_time() - cpu, perf_counter() - wall


def breakdown(backbone: Backbone, tokens: Tokens) -> dict[str, float]:
    """Each step's CPU seconds over those of the forward pass alone, from the states of one layer, times layers + 1."""
    held: list[tuple[Tensor, Tensor]] = []
    encode(backbone, tokens, lambda _layer, states, mask, _rows: held.append((states.clone(), mask)), layers=[1])
    spent = dict.fromkeys(("products", "shift, prefix sums", "whole update", "places", "pooling"), 0.0)
    moments = ContextMoments(backbone.width, target_moment=False)
    for states, mask in held:
        places = Places.of(mask)
        s_PD, h_PD = shifted_pairs(states, moments.sums.shift_D, places, "sum")
        steps: dict[str, Callable[[], object]] = {
            "products": partial(products, s_PD, h_PD),
            "shift, prefix sums": partial(shifted_pairs, states, moments.sums.shift_D, places, "sum"),
            "whole update": partial(moments.update, states, places),
            "places": partial(Places.of, mask),
            "pooling": partial(pool, states, mask, "mean"),
        }
        for name, step in steps.items():
            spent[name] += median_seconds(step)
    alone = statistics.median(seconds(backbone, tokens, lambda *_: None)[0] for _ in range(3))
    bare = statistics.median(bare_forward(backbone, tokens) for _ in range(3))
    shares = {name: value * (backbone.n_layers + 1) / alone for name, value in spent.items()}
    whole = shares.pop("whole update")
    shares["places"] /= backbone.n_layers + 1  # once a batch
    shares["totals, float64 additions"] = whole - shares["products"] - shares["shift, prefix sums"]
    shares["hooks and checks (in both)"] = 1 - bare / alone
    return shares


def products(s_PD: Tensor, h_PD: Tensor) -> tuple[Tensor, Tensor]:
    """What cannot be saved: s's and s'h."""
    return gram(s_PD), s_PD[:-1].T @ h_PD[1:]


def median_seconds(step: Callable[[], object]) -> float:
    """CPU seconds of a step, median of five."""
    times = []
    with float32_products():
        for _ in range(5):
            start = process_time()
            step()
            times.append(process_time() - start)
    return statistics.median(times)


def bare_forward(backbone: Backbone, tokens: Tokens) -> float:
    """CPU seconds of the model on the same batches, nothing caught."""
    start = process_time()
    with torch.inference_mode(), float32_products():
        for rows in plan_batches(tokens.lengths, 2048):
            batch = make_batch(backbone, tokens.ids, rows, "right")
            with short_attention(batch.mask_BT.shape[1], backbone.dtype, backbone.device):
                backbone.model(**batch.inputs)
    return process_time() - start


if __name__ == "__main__":
    main()
