"""Attention of packed texts, text by text, against PyTorch's kernel over the row and over padded texts.

    python bench/text_attention.py [--heads 9] [--groups 3] [--width 64] [--runs 15] [--threads 1]

Forward and backward of one layer, milliseconds of this process (medians); the same texts.  "row" is one row under its
mask, "padded" a batch padded to its longest text, "texts" what training uses.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tokenworth.backbones.structure.text_attention import TextAttention

BATCHES = {
    "8 texts of 14 to 42": [14, 18, 22, 24, 28, 30, 36, 42],
    "4 of 14 to 30, 4 of 256": [14, 20, 24, 30, *[256] * 4],
}


def main() -> None:
    """One row a format and batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=9)
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), {options.heads} heads of {options.width}\n")
    print("| format | texts | row | padded | texts | row / texts | padded / texts |\n|---|---|--:|--:|--:|--:|--:|")
    for dtype in (torch.float32, torch.bfloat16):
        for name, lengths in BATCHES.items():
            row, padded, texts = times(lengths, dtype, options)
            print(
                f"| {str(dtype).removeprefix('torch.')} | {name} | {row:.2f} | {padded:.2f} | {texts:.2f} | "
                f"{row / texts:.1f} | {padded / texts:.1f} |"
            )


def times(lengths: list[int], dtype: torch.dtype, options: argparse.Namespace) -> list[float]:
    """Milliseconds of the three ways, interleaved."""
    size, longest = sum(lengths), max(lengths)
    text = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    mask = (text[:, None] == text) & torch.ones(size, size, dtype=torch.bool).tril()
    ours = TextAttention(lengths, sdpa_attention_forward)
    ours.know(mask := mask[None, None])

    def inputs(n: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
        heads = (options.heads, options.groups, options.groups)
        q, k, v = (torch.randn(n, h, length, options.width).to(dtype).requires_grad_(True) for h in heads)
        return q, k, v

    q, k, v = inputs(1, size)
    q_N, k_N, v_N = inputs(len(lengths), longest)
    ways: list[Callable[[], Tensor]] = [
        lambda: scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True),
        lambda: scaled_dot_product_attention(q_N, k_N, v_N, is_causal=True, enable_gqa=True),
        lambda: ours(SimpleNamespace(), q, k, v, mask)[0],
    ]
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(options.runs + 2):
        for way, seconds in zip(ways, found, strict=True):
            began = process_time()
            output = way()
            torch.autograd.backward(output, torch.ones_like(output))
            seconds.append(process_time() - began)
    return [1000 * median(seconds[2:]) for seconds in found]


if __name__ == "__main__":
    main()
