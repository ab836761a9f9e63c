"""Log-likelihoods of a few continuations after many prompts, every prompt computed once.

The words of all classes stand behind the prompt as branches of a tree: each token sees the prompt and its own branch,
so one forward pass a text scores all classes.  What all prompts begin with (the labelled examples, say) is computed
once for all of them and kept as keys and values.

Axes: B prompts of a batch, T tokens of the longest row, C classes, V vocabulary.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tokenworth.adaptation.packing import can_pack
from tokenworth.backbones import Backbone
from tokenworth.encode import default_batch_tokens, plan_batches
from tokenworth.errors import AdaptError

Floats = NDArray[np.float64]
_LOGITS_AT_ONCE = 20_000_000
_SHORTEST_PREFIX = 16
"""A shorter common beginning is not worth keeping."""


def plain_ids(backbone: Backbone, text: str) -> list[int]:
    """Token ids of a prompt: with the token that begins a text where the tokenizer has one, never one that ends it."""
    tokenizer = backbone.tokenizer
    ids = list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    begins = tokenizer("a", verbose=False)["input_ids"][:1] == [tokenizer.bos_token_id] != [None]
    if (begins and ids[:1] != [tokenizer.bos_token_id]) or not ids:
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else backbone.pad_id
        ids = [int(first), *ids]
    return ids


def cut(backbone: Backbone, text: str, most: int) -> str:
    """The beginning of a text that is at most so many tokens."""
    ids = backbone.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return text if len(ids) <= most else str(backbone.tokenizer.decode(ids[:most], skip_special_tokens=True))


def label_ids(backbone: Backbone, prompt: str, words: list[str], chat: bool) -> list[list[int]]:
    """Token ids of each class's words as they follow a prompt.

    Raises:
        AdaptError: the words of a class give no token.
    """
    before = plain_ids(backbone, prompt)
    found = []
    for word in words:
        joined = word if chat else f" {word}"
        whole = plain_ids(backbone, prompt + joined)
        same = whole[: len(before)] == before
        ids = whole[len(before) :] if same else backbone.tokenizer(joined, add_special_tokens=False)["input_ids"]
        if not ids:
            raise AdaptError(f"the class {word!r} gives no token for {backbone.name}; rename it")
        found.append(list(ids))
    return found


def mean_log_likelihoods(backbone: Backbone, prompts: list[list[int]], labels: list[list[int]]) -> Floats:
    """Mean log-probability of the tokens of each label after each prompt: (N, C)."""
    found = np.empty((len(prompts), len(labels)))
    tree = can_pack(backbone)
    common = _common(prompts) if tree and "past_key_values" in backbone.structure.accepts else 0
    kept = _prefix(backbone, prompts[0][:common]) if common else None
    extra = sum(len(ids) - 1 for ids in labels) if tree else max(map(len, labels)) - 1
    lengths = [len(ids) - common + extra for ids in prompts]
    with torch.inference_mode():
        for rows in plan_batches(lengths, default_batch_tokens(backbone)):
            left = [prompts[row][common:] for row in rows]
            found[rows] = (
                _by_tree(backbone, left, labels, common, kept) if tree else _one_by_one(backbone, left, labels)
            )
    return found


def _common(prompts: list[list[int]]) -> int:
    """Tokens that all prompts begin with, at least one of each left over."""
    first, last = min(prompts), max(prompts)  # whatever these two share in order, all share
    alike = (own == other for own, other in zip(first, last, strict=False))
    shared = min(sum(1 for _ in takewhile(bool, alike)), min(map(len, prompts)) - 1)
    return shared if shared >= _SHORTEST_PREFIX and len(prompts) > 1 else 0


def _prefix(backbone: Backbone, ids: list[int]) -> Any:
    """Keys and values of a beginning."""
    with torch.inference_mode():
        given = torch.tensor([ids], device=backbone.device)
        return backbone.model(input_ids=given, use_cache=True).past_key_values


def _by_tree(backbone: Backbone, prompts: list[list[int]], labels: list[list[int]], common: int, kept: Any) -> Floats:
    """All labels of a batch of prompts in one forward pass."""
    branches = [ids[:-1] for ids in labels]
    flat = [token for branch in branches for token in branch]
    longest = max(map(len, prompts)) + len(flat)
    ids_BT = torch.full((len(prompts), longest), backbone.pad_id)
    positions_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
    seen_BTT = torch.eye(longest, dtype=torch.bool).repeat(len(prompts), 1, 1)
    inside = (
        torch.block_diag(  # type: ignore[no-untyped-call]
            *[torch.ones(len(b), len(b)).tril() for b in branches if b]
        ).bool()
        if flat
        else None
    )
    steps = torch.tensor([place for branch in branches for place in range(len(branch))])
    for row, prompt in enumerate(prompts):
        n, end = len(prompt), len(prompt) + len(flat)
        ids_BT[row, :end] = torch.tensor([*prompt, *flat])
        positions_BT[row, :n] = torch.arange(n)
        seen_BTT[row, :n, :n] = torch.ones(n, n).tril().bool()
        if inside is not None:
            positions_BT[row, n:end] = n + steps
            seen_BTT[row, n:end, :n] = True
            seen_BTT[row, n:end, n:end] = inside
    states_BTD = _states(backbone, ids_BT, positions_BT + common, seen_BTT, common, kept)
    return np.stack([_of_row(backbone, states_BTD[row], len(prompts[row]), labels) for row in range(len(prompts))])


def _states(
    backbone: Backbone, ids_BT: Tensor, positions_BT: Tensor, seen_BTT: Tensor, common: int, kept: Any
) -> Tensor:
    """States of the last layer under a mask of our own."""
    dtype, device = backbone.dtype, backbone.device
    before = torch.ones(*seen_BTT.shape[:2], common, dtype=torch.bool)
    seen = torch.cat([before, seen_BTT], dim=2)
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
    more: dict[str, Any] = {"use_cache": False} if "use_cache" in backbone.structure.accepts else {}
    if kept is not None:
        cache = deepcopy(kept)
        cache.batch_repeat_interleave(len(ids_BT))
        more = {"past_key_values": cache, "use_cache": True}
    output = backbone.model(
        input_ids=ids_BT.to(device), position_ids=positions_BT.to(device), attention_mask=mask.to(device), **more
    )
    states: Tensor = output.last_hidden_state
    return states


def _of_row(backbone: Backbone, states_TD: Tensor, n: int, labels: list[list[int]]) -> Floats:
    """Means over each label's tokens: the first is told at the prompt's end, the others along the branch."""
    places, targets, start = [], [], n
    for ids in labels:
        places += [n - 1, *range(start, start + len(ids) - 1)]
        targets += ids
        start += len(ids) - 1
    taken = _log_probabilities(backbone, states_TD[torch.tensor(places, device=states_TD.device)], targets)
    ends = np.cumsum([len(ids) for ids in labels])
    return np.array([part.mean() for part in np.split(taken, ends[:-1])])


def _log_probabilities(backbone: Backbone, states_PD: Tensor, targets: list[int]) -> Floats:
    """log p(target) at each place (P,); the logits of a few places at a time."""
    assert backbone.lm_head is not None, "the route checks it"
    parts, size = [], max(1, _LOGITS_AT_ONCE // backbone.structure.n_embeddings)
    target_P = torch.tensor(targets, device=states_PD.device)
    for states, target in zip(torch.split(states_PD, size), torch.split(target_P, size), strict=True):
        logits = backbone.lm_head(states).float()
        parts.append(logits.log_softmax(1).gather(1, target[:, None])[:, 0])
    return np.asarray(torch.cat(parts).double().cpu().numpy())


def _one_by_one(backbone: Backbone, prompts: list[list[int]], labels: list[list[int]]) -> Floats:
    """For models that take no mask of ours: every prompt with every label, padded on the right."""
    found = np.empty((len(prompts), len(labels)))
    for column, label in enumerate(labels):
        rows = [[*prompt, *label[:-1]] for prompt in prompts]
        ids_BT = torch.full((len(rows), max(map(len, rows))), backbone.pad_id)
        for row, ids in enumerate(rows):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
        more = {"use_cache": False} if "use_cache" in backbone.structure.accepts else {}
        states_BTD = backbone.model(input_ids=ids_BT.to(backbone.device), **more).last_hidden_state
        for row, prompt in enumerate(prompts):
            span = states_BTD[row, len(prompt) - 1 : len(prompt) - 1 + len(label)]
            found[row, column] = _log_probabilities(backbone, span, label).mean()
    return found
