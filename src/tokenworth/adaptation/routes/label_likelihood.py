"""Log-likelihoods of a few continuations after many prompts, every prompt computed once.

The states come from `label_states`, one for every token of every label; the model's own head makes logits of them.

Axes: N prompts, P tokens of all labels, D width, C classes, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tokenworth.adaptation.routes.label_states import Labels, choose_reader
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Floats
from tokenworth.encode import default_batch_tokens, plan_batches
from tokenworth.errors import AdaptError

_LOGITS_AT_ONCE = 20_000_000


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
    ids_of_words = []
    for word in words:
        joined = word if chat else f" {word}"
        whole = plain_ids(backbone, prompt + joined)
        same = whole[: len(before)] == before
        ids = whole[len(before) :] if same else backbone.tokenizer(joined, add_special_tokens=False)["input_ids"]
        if not ids:
            raise AdaptError(f"the class {word!r} gives no token for {backbone.name}; rename it")
        ids_of_words.append(list(ids))
    return ids_of_words


def mean_log_likelihoods(backbone: Backbone, prompts: list[list[int]], labels: list[list[int]]) -> Floats:
    """Mean log-probability of the tokens of each label after each prompt: (N, C)."""
    means_NC = np.empty((len(prompts), len(labels)))
    if not prompts:
        return means_NC
    ends = np.cumsum([len(ids) for ids in labels])
    with torch.inference_mode():
        reader = choose_reader(backbone, prompts, Labels(labels))
        lengths = [reader.places(ids) for ids in prompts]
        for rows in plan_batches(lengths, default_batch_tokens(backbone)):
            for row, states_PD in zip(rows, reader.states([prompts[row] for row in rows]), strict=True):
                values_P = _log_probabilities(backbone, states_PD, reader.labels.tokens)
                means_NC[row] = [part.mean() for part in np.split(values_P, ends[:-1])]
    return means_NC


def _log_probabilities(backbone: Backbone, states_PD: Tensor, targets: list[int]) -> Floats:
    """log p(target) at each place (P,); the logits of a few places at a time."""
    assert backbone.lm_head is not None, "the route checks it"
    parts, size = [], max(1, _LOGITS_AT_ONCE // backbone.structure.n_embeddings)
    target_P = torch.tensor(targets, device=states_PD.device)
    for states, target in zip(torch.split(states_PD, size), torch.split(target_P, size), strict=True):
        logits = backbone.lm_head(states).float()
        parts.append(logits.log_softmax(1).gather(1, target[:, None])[:, 0])
    return np.asarray(torch.cat(parts).double().cpu().numpy())
