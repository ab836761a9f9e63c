"""A small decoder learns to predict the next token of documents, and is saved as a plain transformers folder.

    python examples/pretrain.py documents.txt RUN --tokens 2000000 --layers 4 --width 256 --heads 4

Documents stand apart by empty lines (.txt) or are the field "text" of a line (.jsonl).

    documents -> separator, tokens, separator, tokens, ... -> windows of `context` tokens and the one that follows
    loss = mean of -log p(next token), a token sees its own document alone -> clip -> AdamW, cosine after a warm-up
    held-out documents -> bits a byte, which models of any two tokenizers can be compared by

Windows, first weights and order are those of `tokenworth pretrain` with the same settings, dtype: float32 and one
source that has the file's name, so losses are the same to float32 rounding.
Axes: B windows of a step, T tokens of a window, D width.
"""

import argparse
import hashlib
import json
import math
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM


@dataclass
class Settings:
    """Every field is an option of the command line."""

    tokenizer: str = ""  # folder of one; none: every byte is a token
    layers: int = 6
    width: int = 384
    heads: int = 6
    kv_heads: int = 0  # 0: as many as heads
    tokens: int = 10_000_000
    context: int = 256
    batch: int = 32
    lr: float = 1e-3
    warmup_share: float = 0.02
    final_share: float = 0.1  # of the rate, at the end
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip_norm: float = 1.0
    held_out_share: float = 0.01
    held_out_tokens: int = 50_000
    seed: int = 0


def main(documents: Path, out: Path, settings: Settings) -> None:
    """Read, pack, train, measure before and after, save."""
    tokenizer = AutoTokenizer.from_pretrained(settings.tokenizer) if settings.tokenizer else Bytes()
    learnt, held = read_documents(documents, settings)
    stream, unseen = Stream(learnt, tokenizer), Stream(held, tokenizer)
    model = first_weights(len(tokenizer), tokenizer.eos_token_id, settings)
    size = sum(weights.numel() for weights in model.parameters())
    print(f"{size:,} weights; {len(stream.tokens):,} tokens of {len(learnt):,} documents; {len(held):,} held out")
    before = evaluate(model, unseen, settings)
    losses = train(model, stream, [settings.seed, *documents.stem.encode()], settings)
    after = evaluate(model, unseen, settings)
    print(f"{len(losses):,} steps, loss {losses[0]:.4f} -> {losses[-1]:.4f}; held out {before} -> {after}")
    model.save_pretrained(out)
    if settings.tokenizer:
        tokenizer.save_pretrained(out)
    (out / "run.json").write_text(json.dumps({"losses": losses, "held_out": [before, after]}, indent=1))


def read_documents(path: Path, settings: Settings) -> tuple[list[str], list[str]]:
    """Documents to learn from and held-out ones, told apart by a hash of their number: more documents move none."""
    lines = path.read_text("utf-8").split("\n")
    if path.suffix == ".jsonl":
        documents = [json.loads(line)["text"] for line in lines if line]
    else:
        documents = ["\n".join(run) for filled, run in groupby(lines, key=lambda line: line.strip() != "") if filled]
    parts: tuple[list[str], list[str]] = ([], [])
    for number, text in enumerate(documents):
        digest = hashlib.sha256(f"{settings.seed}:{number}".encode()).digest()
        parts[int.from_bytes(digest[:8], "big") < settings.held_out_share * 2**64].append(text)
    return parts


class Bytes:
    """Every byte a token, in the order in which byte-level BPE numbers them, behind the separator 0."""

    eos_token_id = 0

    def __init__(self) -> None:
        shown = [*range(33, 127), *range(161, 173), *range(174, 256)]  # what Latin-1 prints comes first
        order = [*shown, *(byte for byte in range(256) if byte not in shown)]
        self.id_of = {byte: 1 + place for place, byte in enumerate(order)}

    def __len__(self) -> int:
        return 257

    def __call__(self, text: str, **_more: bool) -> dict[str, list[int]]:
        return {"input_ids": [self.id_of[byte] for byte in text.encode()]}


class Stream:
    """Documents as one row of tokens, a separator before each and behind the last."""

    def __init__(self, documents: list[str], tokenizer: Any) -> None:
        end, plain = tokenizer.eos_token_id, {"add_special_tokens": False, "split_special_tokens": True}
        ids = [[end, *tokenizer(text, **plain)["input_ids"]] for text in documents]
        self.bytes = [len(text.encode()) for text in documents]
        self.starts = np.cumsum([0, *map(len, ids)])
        self.tokens = np.array([*(token for document in ids for token in document), end])

    def window(self, begin: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (T), those that follow (T), and the number of the document each stands in (T)."""
        piece = torch.tensor(self.tokens[begin : begin + length + 1])
        documents = np.searchsorted(self.starts, np.arange(begin, begin + length), side="right")
        return piece[:-1], piece[1:], torch.tensor(documents)


def first_weights(vocabulary: int, separator: int, settings: Settings) -> LlamaForCausalLM:
    """A Llama with matrices N(0, 1/D), which keep the scale of what passes.

    Those that end a residual branch are smaller by (2 layers)^-1/2: so does the sum over all branches.
    """
    inner = -(-8 * settings.width // 3 // 32) * 32  # three matrices of 8/3 D^2 have the weights of two of 4 D^2
    heads = {"num_attention_heads": settings.heads, "num_key_value_heads": settings.kv_heads or settings.heads}
    sizes = {"vocab_size": vocabulary, "hidden_size": settings.width, "intermediate_size": inner}
    reach = {"num_hidden_layers": settings.layers, "max_position_embeddings": settings.context}
    ends = {"bos_token_id": separator, "eos_token_id": separator, "tie_word_embeddings": True}
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(
        LlamaConfig(**sizes, **heads, **reach, **ends, initializer_range=settings.width**-0.5, rms_norm_eps=1e-5)
    )
    for name, weights in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weights.data *= (2 * settings.layers) ** -0.5
    return model


def nats(model: nn.Module, ids_BT: Tensor, next_BT: Tensor, document_BT: Tensor) -> Tensor:
    """Sum of -log p(next token).  A token sees its own document alone, and its place is counted from there."""
    seen_BTT = (document_BT[:, :, None] == document_BT[:, None, :]).tril()
    place_BT = seen_BTT.sum(-1) - 1
    logits = model(input_ids=ids_BT, attention_mask=seen_BTT[:, None], position_ids=place_BT).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), next_BT.flatten(), reduction="sum")


def train(model: nn.Module, stream: Stream, seed: list[int], settings: Settings) -> list[float]:
    """The loss of every step, in nats a token."""
    matrices = [weights for weights in model.parameters() if weights.ndim > 1]
    gains = [weights for weights in model.parameters() if weights.ndim <= 1]
    decayed = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": gains, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(decayed, betas=(settings.beta1, settings.beta2))
    n_windows, step_tokens = (len(stream.tokens) - 1) // settings.context, settings.batch * settings.context
    steps = settings.tokens // step_tokens
    warmup, losses = round(settings.warmup_share * steps), []
    for step in range(steps):
        windows = []
        for place in range(step * settings.batch, (step + 1) * settings.batch):
            order = np.random.default_rng([*seed, place // n_windows]).permutation(n_windows)  # another one each pass
            windows.append(stream.window(int(order[place % n_windows]) * settings.context, settings.context))
        loss = nats(model, *map(torch.stack, zip(*windows, strict=True))) / step_tokens
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        cosine = (1 + math.cos(math.pi * (step - warmup) / max(1, steps - 1 - warmup))) / 2
        falling = settings.final_share + (1 - settings.final_share) * cosine
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * ((step + 1) / warmup if step < warmup else falling)
        optimiser.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def evaluate(model: nn.Module, stream: Stream, settings: Settings) -> dict[str, float]:
    """Nats a token and bits a byte of the first documents: as many as fit into held_out_tokens, one at least."""
    n = max(1, int(np.searchsorted(stream.starts[1:], settings.held_out_tokens, side="right")))
    end, total = int(stream.starts[n]), 0.0
    for begin in range(0, end, settings.context):
        window = stream.window(begin, min(settings.context, end - begin))
        total += nats(model, *(part[None] for part in window)).item()
    return {"nll": total / end, "bits_per_byte": total / math.log(2) / sum(stream.bytes[:n])}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("documents", type=Path)
    parser.add_argument("out", type=Path)
    for field in fields(Settings):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    options = vars(parser.parse_args())
    main(options.pop("documents"), options.pop("out"), Settings(**options))
