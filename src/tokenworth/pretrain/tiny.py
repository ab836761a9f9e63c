"""The whole of pretraining in one file: documents -> tokenizer -> token stream -> Llama -> AdamW -> a model folder.

Axes: B sequences of a batch, T tokens of a block, N tokens of a stream, V tokens of the vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tokenworth.backbones.quiet import quiet_transformers
from tokenworth.pretrain.config import PretrainError, TinyConfig, TinyRun
from tokenworth.pretrain.tokenizer import TokenizerConfig, train_tokenizer

MIN_DOCUMENTS = 20


def pretrain_tiny(
    documents: Sequence[str],
    folder: Path | str,
    config: TinyConfig | None = None,
    *,
    log: Callable[[str], None] | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> TinyRun:
    """Pretrain a small Llama on documents and save it as a plain transformers folder.

    In float32 on the CPU; same documents, settings, versions and number of torch's threads, same numbers.

    Args:
        documents: texts, some of which are held out; empty ones are passed over.
        folder: where the model goes; made if missing, files of the same names are replaced once all are written.
        config: settings; None takes the defaults.
        log: takes a line at a time: all derived quantities before any compute is spent on the model, then losses.
        progress: called after every step with steps done, steps in all, and the loss in nats a token.

    Raises:
        PretrainError: too few documents, or a loss or gradient that is no finite number (before it is applied).
    """
    config, began = config or TinyConfig(), time.perf_counter()
    log, progress = log or (lambda _: None), progress or (lambda *_: None)
    rng = torch.Generator().manual_seed(config.seed)

    # 1. Documents, some of them held out; a tokenizer; one stream of tokens of each part.
    train, held_out = _split(documents, config, rng)
    bpe = TokenizerConfig(vocabulary=config.vocabulary, split_digits=False, max_length=config.block_tokens)
    tokenizer = train_tokenizer(train, bpe)
    train_N, held_out_N = _pack(tokenizer, train), _pack(tokenizer, held_out)
    n_bytes, tokens = _n_bytes(train), config.steps * config.batch * config.block_tokens
    log(f"documents  {len(train):,} to learn from, {n_bytes:,} bytes; {len(held_out):,} held out")
    log(f"stream     {len(train_N):,} tokens of {len(tokenizer):,} kinds, {n_bytes / len(train_N):.2f} bytes each")
    if len(train_N) <= config.block_tokens:
        raise PretrainError(
            f"the {len(train)} documents to learn from are {len(train_N)} tokens in all, too few for one block of "
            f"{config.block_tokens} and the token after it; bring more documents, or lower block_tokens"
        )

    # 2. The model, with random weights that depend on the seed alone.
    model = _random_llama(tokenizer, config)
    parameters = sum(p.numel() for p in model.parameters())
    log(f"model      {config.layers} layers x {config.width}, {config.heads} heads: {parameters:,} parameters")
    log(f"training   {config.steps:,} steps x {config.batch} blocks x {config.block_tokens} = {tokens:,} tokens, "
        f"{tokens / len(train_N):.2f} times the stream")  # fmt: skip
    log(f"compute    6 x parameters x tokens = {6 * parameters * tokens:.1e} FLOP")  # 2 forward and 4 backward
    before = bits_per_byte(model, held_out_N, held_out, config.block_tokens)
    log(f"held out   {before:.3f} bits per byte before the first step")

    # 3. AdamW on blocks from anywhere in the stream.
    optimiser = _adamw(model, config)
    block_T = torch.arange(config.block_tokens + 1)
    losses: list[float] = []
    for step in range(config.steps):
        starts_B1 = torch.randint(len(train_N) - config.block_tokens, (config.batch, 1), generator=rng)
        loss = _next_token_nats(model, train_N[starts_B1 + block_T]).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        losses.append(loss.item())
        if not math.isfinite(losses[-1] + norm.item()):  # before the update: the weights are still those of a model
            raise PretrainError(
                f"step {step + 1} of {config.steps}: loss {losses[-1]}, gradient norm {norm.item()}, and nothing can "
                f"be learnt from that; lower learning_rate (now {config.learning_rate:g})"
            )
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, config)
        optimiser.step()
        progress(step + 1, config.steps, losses[-1])
        if step % config.log_every_steps == 0 or step + 1 == config.steps:
            log(f"step {step + 1:5,}  loss {losses[-1]:.3f} nats a token, rate {learning_rate(step, config):.1e}")

    # 4. What was learnt, and where it lies.
    after = bits_per_byte(model, held_out_N, held_out, config.block_tokens)
    log(f"held out   {after:.3f} bits per byte after the last step")
    _save(model, tokenizer, Path(folder))
    return TinyRun(folder=Path(folder), parameters=parameters, tokens=tokens, bits_per_byte_before=before,
                   bits_per_byte_after=after, losses=tuple(losses), seconds=time.perf_counter() - began)  # fmt: skip


@torch.no_grad()
def bits_per_byte(model: Any, stream_N: Tensor, documents: Iterable[str], block_tokens: int) -> float:
    """Bits the model needs to write down documents and where they end, per byte of their text.

    A tokenizer that cuts finer lowers the loss per token though nothing more was learnt.  The bytes of a text are the
    same for every tokenizer, so bits per byte of any two models compare.

    Args:
        model: a causal language model.
        stream_N: the packed documents; every token but the first is predicted once, from those before it in its block.
        documents: the texts themselves, of which the bytes are counted.
        block_tokens: tokens after which the context starts anew.
    """
    starts = range(0, len(stream_N) - 1, block_tokens)
    nats = sum(_next_token_nats(model, stream_N[None, i : i + block_tokens + 1]).sum().item() for i in starts)
    return nats / math.log(2) / _n_bytes(documents)


def learning_rate(step: int, config: TinyConfig) -> float:
    """The rate of a step counted from 0: linear up to the peak, then along a cosine down to a tenth of it."""
    warmup = round(config.warmup_share * config.steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(config.steps - 1 - warmup, 1)
    return config.learning_rate * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)


def _split(documents: Sequence[str], config: TinyConfig, rng: torch.Generator) -> tuple[list[str], list[str]]:
    texts = [text for text in documents if text]
    if len(texts) < MIN_DOCUMENTS:
        raise PretrainError(f"{len(texts)} documents that are not empty; bring {MIN_DOCUMENTS} or more")
    order = torch.randperm(len(texts), generator=rng).tolist()
    n_held_out = max(1, round(config.held_out_share * len(texts)))
    return [texts[i] for i in order[n_held_out:]], [texts[i] for i in order[:n_held_out]]


def _n_bytes(documents: Iterable[str]) -> int:
    return sum(len(text.encode()) for text in documents)


def _pack(tokenizer: Any, documents: list[str]) -> Tensor:
    """All documents as one stream (N,) int64 with a separator before each and behind the last."""
    joined = [[tokenizer.eos_token_id, *ids] for ids in tokenizer(documents, verbose=False)["input_ids"]]
    return torch.tensor([token for ids in joined for token in ids] + [tokenizer.eos_token_id])


def _random_llama(tokenizer: Any, config: TinyConfig) -> Any:
    """Matrices of deviation width^-1/2, which keep the scale of what passes; 0.02 suits widths of thousands."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=config.width, intermediate_size=8 * config.width // 3,
        num_hidden_layers=config.layers, num_attention_heads=config.heads, max_position_embeddings=config.block_tokens,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=True,
        initializer_range=config.width**-0.5)  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        return LlamaForCausalLM(shape)


def _next_token_nats(model: Any, blocks_BT: Tensor) -> Tensor:
    """-log p of every token but the first of each block, given those before it: (B * (T - 1),)."""
    logits_BTV = model(input_ids=blocks_BT[:, :-1], use_cache=False).logits
    return cross_entropy(logits_BTV.flatten(0, 1), blocks_BT[:, 1:].flatten(), reduction="none")


def _adamw(model: Any, config: TinyConfig) -> torch.optim.AdamW:
    matrices, gains = ([p for p in model.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": gains, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), fused=True)


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write beside the place first, then move file by file: what is there under its name is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".writing-") as unfinished:
        with quiet_transformers():
            model.save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
        for path in sorted(Path(unfinished).iterdir()):
            path.replace(folder / path.name)
