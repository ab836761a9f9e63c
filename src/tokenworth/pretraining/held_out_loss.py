"""How well a model predicts documents it has not learnt from: nats a token, perplexity, bits a byte."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tokenworth.base.processes import Processes
from tokenworth.pretraining.data.mixture import Sequences
from tokenworth.pretraining.data.token_shards import read_shards


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """Whole documents of one source, cut into sequences: M of T tokens, the last one filled up."""

    sequences: Sequences
    tokens: int
    """Predicted: every token but the first separator."""
    bytes: int


def read_held_out(folder: Path, context: int, most_tokens: int) -> HeldOut | None:
    """The first documents of a source's held-out part, as many as fit into `most_tokens` but one at least."""
    tokens, starts = read_shards(folder, "held")
    if not tokens:
        return None
    first, begin = tokens[0], starts[0]
    ends = np.append(begin[1:], len(first) - 1)
    n_documents = max(1, int(np.searchsorted(ends, most_tokens, side="right")))
    size = int(ends[n_documents - 1])
    sizes = np.load(folder / "held-00000.bytes.npy", allow_pickle=False)
    stream = torch.from_numpy(np.asarray(first[: size + 1], dtype=np.int64))
    documents = torch.from_numpy(np.searchsorted(begin, np.arange(size), side="right"))
    sequences = Sequences(
        _cut(stream[:-1], context, 0), _cut(stream[1:], context, -1), _cut(documents, context, int(documents[-1]) + 1)
    )
    return HeldOut(sequences, size, int(sizes[:n_documents].sum()))


def _cut(stream: Tensor, context: int, filling: int) -> Tensor:
    missing = -len(stream) % context
    return torch.cat([stream, stream.new_full((missing,), filling)]).view(-1, context)


@torch.no_grad()
def evaluate(
    objective: nn.Module, held: HeldOut, batch: int, device: torch.device, processes: Processes, *, ring: bool = False
) -> dict[str, float]:
    """Nats a token, perplexity and bits a byte.

    A tokenizer that cuts finer lowers the loss a token though nothing more was learnt; the bytes of a text are the same
    for every tokenizer, so bits a byte of any two models compare.

    Every process takes its share of the sequences, and all make the same number of passes, as sharded weights ask; in
    a ring all of them see each sequence.
    """
    n, nats = len(held.sequences.ids_BT), torch.zeros(1, dtype=torch.float64)
    sharers = Processes() if ring else processes
    for begin in range(0, n, batch * sharers.size):
        at = begin + sharers.rank * batch
        idle = at >= n
        local = slice(0, 1) if idle else slice(at, at + batch)
        loss, _ = objective(*(tensor[local].to(device) for tensor in held.sequences))
        nats += 0.0 if idle else loss.double().cpu()
    processes.add_up(nats)
    total = nats.item()
    nll, bits = total / held.tokens, total / math.log(2)
    return {"nll": nll, "perplexity": math.exp(min(nll, 700.0)), "bits_per_byte": bits / max(1, held.bytes)}
