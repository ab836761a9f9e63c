"""Pretraining throughput: our loop against a plain eager loop and transformers' Trainer, on the same sequences.

    python bench/pretraining.py [--threads 2] [--rounds 5]

6 layers, width 384, 6 heads, context 256, 12 sequences a step, 8,192 pieces: 13.8 M parameters.  Each way has a
process of its own, since ours tells the allocator to keep freed memory.  Rounds of three steps take turns; the median
step counts.  Ratios are against the fastest peer of the same run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CONTEXT, BATCH, WIDTH, LAYERS, HEADS, PIECES = 256, 12, 384, 6, 6, 8192
STEPS = 3
Way = Callable[[], list[float]]
"""Runs STEPS steps and gives the seconds of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rate = matrix_rate()
    with TemporaryDirectory() as folder:
        made: dict[str, tuple[Any, ...]] = {
            "tokenworth": (ours, Path(folder) / "a", False),
            "tokenworth, across documents": (ours, Path(folder) / "b", True),
            "plain eager loop": (eager,),
            "transformers Trainer": (trainer, Path(folder) / "c"),
        }
        ways = {name: apart(options.threads, *how) for name, how in made.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(options.rounds + 1):
            for name, way in ways.items():
                found = way()
                seconds[name] += found if number else []  # the first round warms up
    peers = [median(seconds[name]) for name in ("plain eager loop", "transformers Trainer")]
    flops = flops_per_token()
    print(f"torch {torch.__version__}, {options.threads} threads, float32, {rate / 1e9:.0f} GFLOP/s in products")
    print(f"{'way':<30}{'tokens/s':>10}{'against the fastest peer':>26}{'of the matrix rate':>20}")
    for name, own in seconds.items():
        tokens = BATCH * CONTEXT / median(own)
        print(f"{name:<30}{tokens:>10,.0f}{min(peers) / median(own):>26.2f}{tokens * flops / rate:>20.0%}")


def apart(threads: int, make: Callable[..., Way], *arguments: Any) -> Way:
    """The way in a process of its own, which works when it is asked to and waits otherwise."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_work, args=(there, threads, make, arguments), daemon=True).start()

    def ask() -> list[float]:
        here.send(None)
        found: list[float] = here.recv()
        return found

    return ask


def _work(asked: Connection, threads: int, make: Callable[..., Way], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(threads)
    way = make(*arguments)
    with suppress(EOFError):  # nobody asks any more
        while True:
            asked.recv()
            asked.send(way())


def matrix_rate() -> float:
    """FLOP/s of products of the size of a feed-forward layer by PyTorch's BLAS, the best of ten."""
    x, y = torch.randn(3072, 384), torch.randn(384, 1024)
    best = 1e9
    for _ in range(10):
        began = time.perf_counter()
        for _ in range(5):
            x @ y
        best = min(best, (time.perf_counter() - began) / 5)
    return 2 * 3072 * 384 * 1024 / best


def flops_per_token() -> float:
    """6 a parameter of the products, and all pairs of places."""
    return 6.0 * (LAYERS * (4 * WIDTH**2 + 3 * WIDTH * 1024) + WIDTH * PIECES) + 12 * LAYERS * CONTEXT * WIDTH


def stream() -> np.ndarray:
    """Tokens of documents of about 300, distributed as ranks of words are."""
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.3, 400_000), PIECES - 1)
    tokens[rng.random(len(tokens)) < 1 / 300] = 0
    return tokens


def ours(folder: Path, cross: bool) -> Way:
    """Our loop, from shards."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from tokenworth.base.float32_products import float32_products, short_attention
    from tokenworth.base.machine import keep_freed_memory
    from tokenworth.pretraining import ModelConfig, SourceConfig, TrainingConfig
    from tokenworth.pretraining.data.mixture import Blocks, Mixture
    from tokenworth.pretraining.data.training_data import Material
    from tokenworth.pretraining.next_token_training import NextTokenLearner
    from tokenworth.pretraining.published_models import new_model
    from tokenworth.training.checkpoints import Checkpoints
    from tokenworth.training.devices import Compute, Devices
    from tokenworth.training.loop import Loop
    from tokenworth.training.tracker import Tracker

    folder.mkdir()
    keep_freed_memory(torch.device("cpu"))
    sizes: dict[str, Any] = {"tokens": 10_000_000, "context": CONTEXT, "batch": BATCH, "trace_per_decade": 0}
    training = TrainingConfig(**sizes, cross_documents=cross)
    level = models.WordLevel({str(i): i for i in range(PIECES)}, unk_token="0")
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(level), eos_token="0")
    tokens = stream()
    blocks = Blocks("a", [tokens], [np.flatnonzero(tokens == 0)], CONTEXT, 0)
    mixture = Mixture({"a": blocks}, {"a": SourceConfig(path="")}, training, 0)
    model = new_model(ModelConfig(layers=LAYERS, width=WIDTH, heads=HEADS), training, words, 0)
    compute = Compute(Devices(), torch.device("cpu"), torch.float32)
    learner = NextTokenLearner(model, Material(folder, mixture, {}, words, {}), training, compute, None)
    loop = Loop(learner, Checkpoints(None), Tracker())

    def run() -> list[float]:
        with float32_products(), short_attention(CONTEXT, compute.dtype, compute.device):  # as `pretrain` has it
            return [timed(loop._step) for _ in range(STEPS)]

    return run


def eager() -> Way:
    """A decoder and a loop as short as they come: fused attention, AdamW, cross-entropy over all logits."""
    model, blocks = Plain(), torch.from_numpy(stream())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step() -> None:
        begin = torch.randint(len(blocks) - CONTEXT - 1, (BATCH,))
        rows = torch.stack([blocks[i : i + CONTEXT + 1] for i in begin])
        loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return lambda: [timed(step) for _ in range(STEPS)]


class Plain(nn.Module):
    """GPT-2's shape: LayerNorm, GELU, learned places, one product for queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(PIECES, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(PlainBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = F.linear(self.norm(x), self.words.weight)
        return logits


class PlainBlock(nn.Module):
    """Attention and network of four times the width, both behind a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """States."""
        shape = (*x.shape[:2], 3, HEADS, WIDTH // HEADS)
        q, k, v = self.qkv(self.one(x)).view(shape).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        y: torch.Tensor = x + self.down(F.gelu(self.up(self.two(x))))
        return y


def trainer(folder: Path) -> Way:
    """transformers' Trainer with its Llama of our shape, fused AdamW, no evaluation, no checkpoints."""
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=PIECES,
            hidden_size=WIDTH,
            intermediate_size=1024,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
        )
    )
    tokens = torch.from_numpy(stream())
    rows = [
        {"input_ids": tokens[i : i + CONTEXT], "labels": tokens[i : i + CONTEXT]} for i in range(0, 90_000, CONTEXT)
    ]
    found: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_args: Any, **_more: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_args: Any, **_more: Any) -> None:
            found.append(time.perf_counter() - self.began)

    def run() -> list[float]:
        found.clear()
        arguments = TrainingArguments(
            output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=BATCH, optim="adamw_torch_fused",
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True)  # fmt: skip
        Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[Clock()]).train()
        return list(found)

    return run


def timed(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
