"""Log-likelihoods of a few continuations (labels) after many prompts, every prompt computed once.

The labels stand behind the prompt as branches of a tree: each token sees the prompt and its own branch, so one forward
pass a prompt serves all labels.  What all prompts begin with (the labelled examples, say) is computed once for all of
them and kept as keys and values.  Whether a model can do so is asked of it, with prompts of the job; one that cannot
gets every prompt with every label, in passes of its own.  The model's own head makes logits of the states.

Axes: N prompts, B prompts of a batch, T tokens of the longest row, S with those kept before it, P tokens of all labels,
D width, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.adaptation.training.batch_packing import tree_inputs
from tokenworth.backbones import Backbone
from tokenworth.backbones.structure.agreement import agree
from tokenworth.backbones.structure.bounded_indices import bounded_indices
from tokenworth.backbones.structure.tree_attention import Tree, tree_attention
from tokenworth.base.aliases import Floats
from tokenworth.base.float32_products import float32_products, short_attention
from tokenworth.base.machine import is_out_of_memory
from tokenworth.encode import default_batch_tokens, plan_batches
from tokenworth.errors import AdaptError

_LOGITS_AT_ONCE = 20_000_000
_SHORTEST_PREFIX = 16
"""A shorter common beginning is not worth keeping."""
_LABELS_ASKED = 4


def plain_ids(backbone: Backbone, text: str) -> list[int]:
    """Token ids of a prompt: with the token that begins a text where the tokenizer has one, never one that ends it."""
    tokenizer, ids = backbone.tokenizer, written_ids(backbone, text)
    begins = tokenizer("a", verbose=False)["input_ids"][:1] == [tokenizer.bos_token_id] != [None]
    if (begins and ids[:1] != [tokenizer.bos_token_id]) or not ids:
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else backbone.pad_id
        ids = [int(first), *ids]
    return ids


def written_ids(backbone: Backbone, text: str) -> list[int]:
    """Token ids of what stands in a text, special tokens among them; nothing is put before or behind."""
    return list(backbone.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def cut(backbone: Backbone, text: str, most: int) -> str:
    """The beginning of a text that is at most so many tokens."""
    ids = written_ids(backbone, text)
    return text if len(ids) <= most else str(backbone.tokenizer.decode(ids[:most], skip_special_tokens=True))


def label_ids(backbone: Backbone, prompt: str, answers: list[str]) -> list[list[int]]:
    """Token ids of each class's words as they follow a prompt, with the white space before them.

    Raises AdaptError: the words of a class give no token.
    """
    before = written_ids(backbone, prompt)
    ids_of_answers = []
    for answer in answers:
        whole = written_ids(backbone, prompt + answer)
        same = whole[: len(before)] == before
        ids = whole[len(before) :] if same else written_ids(backbone, answer)
        if not ids:
            raise AdaptError(f"the class {answer.strip()!r} gives no token for {backbone.name}; rename it")
        ids_of_answers.append(ids)
    return ids_of_answers


def mean_log_likelihoods(backbone: Backbone, prompts: list[list[int]], labels: list[list[int]]) -> Floats:
    """Mean log-probability of the tokens of each label after each prompt: (N, C)."""
    means_NC = np.empty((len(prompts), len(labels)))
    if not prompts:
        return means_NC
    tokens, ends = [token for ids in labels for token in ids], np.cumsum([len(ids) for ids in labels])
    with torch.inference_mode(), float32_products():
        reader = choose_reader(backbone, prompts, Labels(labels))
        lengths = [reader.places(ids) for ids in prompts]
        for rows in plan_batches(lengths, default_batch_tokens(backbone)):
            longest = max(reader.n_kept + lengths[row] for row in rows)
            with short_attention(longest, backbone.dtype, backbone.device):
                states = reader.states([prompts[row] for row in rows])
            for row, states_PD in zip(rows, states, strict=True):
                values_P = _log_probabilities(backbone, states_PD, tokens)
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


@dataclass(frozen=True, eq=False)
class Labels:
    """Token ids of the labels, and where they stand in a tree."""

    ids: list[list[int]]

    @cached_property
    def behind(self) -> list[int]:
        """Tokens that stand behind a prompt: all but the last of each label, which nothing is told from."""
        return [token for ids in self.ids for token in ids[:-1]]

    def told_at(self, n: int) -> list[int]:
        """Where the label's tokens are told in a row that begins with n tokens of a prompt: (P,)."""
        places, start = [], n
        for ids in self.ids:
            places += [n - 1, *range(start, start + len(ids) - 1)]
            start += len(ids) - 1
        return places


def choose_reader(backbone: Backbone, prompts: list[list[int]], labels: Labels) -> TreeReader | SingleReader:
    """The quickest way that gives the longest and the shortest prompt the states that they have alone."""
    alone = SingleReader(backbone, labels)
    if not {"attention_mask", "position_ids"} <= backbone.structure.accepts:
        return alone
    shared = _shared_beginning(prompts)
    few = Labels(sorted(labels.ids, key=len)[-_LABELS_ASKED:])
    asked = [max(prompts, key=len), min(prompts, key=len)]
    expected = torch.cat(SingleReader(backbone, few).states(asked))
    for beginning in dict.fromkeys((shared, 0)):
        try:
            with bounded_indices(backbone.device):
                reader = TreeReader(backbone, few, prompts[0][:beginning])
                states = torch.cat(reader.states(asked))
        except Exception as error:  # a model that takes no such input says so in any way
            if is_out_of_memory(error):
                raise
            continue
        if agree(states, expected, backbone.dtype):
            return TreeReader(backbone, labels, prompts[0][:beginning], reader.kept)
    return alone


def _shared_beginning(prompts: list[list[int]]) -> int:
    """Tokens that all prompts begin with, at least one of each left over; 0 if they are too few to be kept."""
    first, last = min(prompts), max(prompts)  # whatever these two share in order, all share
    alike = (token == other for token, other in zip(first, last, strict=False))
    shared = min(sum(1 for _ in takewhile(bool, alike)), min(map(len, prompts)) - 1)
    return shared if shared >= _SHORTEST_PREFIX and len(prompts) > 1 else 0


class TreeReader:
    """All labels of a batch of prompts in one forward pass."""

    def __init__(self, backbone: Backbone, labels: Labels, beginning: list[int], kept: Any = None) -> None:
        self.backbone, self.labels, self.n_kept = backbone, labels, len(beginning)
        self.kept = kept
        if beginning and kept is None:
            ids_1T = torch.tensor([beginning], device=backbone.device)
            self.kept = backbone.model(input_ids=ids_1T, use_cache=True).past_key_values

    def places(self, prompt: list[int]) -> int:
        """Tokens computed in one row."""
        return len(prompt) - self.n_kept + len(self.labels.behind)

    def states(self, prompts: list[list[int]]) -> list[Tensor]:
        """(P, D) for every prompt of a batch."""
        ids_BS, tree = self._rows(prompts)
        inputs = tree_inputs(self.backbone, ids_BS[:, self.n_kept :], tree)
        if self.kept is not None:
            cache = deepcopy(self.kept)
            cache.batch_repeat_interleave(len(prompts))
            inputs |= {"past_key_values": cache, "use_cache": True}
        with tree_attention(tree):
            states_BTD = self.backbone.model(**inputs).last_hidden_state
        return [
            states_TD[self.labels.told_at(len(prompt) - self.n_kept)]
            for prompt, states_TD in zip(prompts, states_BTD, strict=True)
        ]

    def _rows(self, prompts: list[list[int]]) -> tuple[Tensor, Tree]:
        """Prompt, labels, padding: token ids (B, S) and their tree."""
        labels, longest = self.labels, max(map(len, prompts)) + len(self.labels.behind)
        label_branch = [number for number, label in enumerate(labels.ids, 1) for _ in label[:-1]]
        label_place = [place for label in labels.ids for place in range(len(label) - 1)]
        ids, branches, places = [], [], []
        for prompt in prompts:
            n, spare = len(prompt), longest - len(prompt) - len(labels.behind)
            ids.append([*prompt, *labels.behind, *[self.backbone.pad_id] * spare])
            branches.append([*[0] * n, *label_branch, *[len(labels.ids) + 1] * spare])
            places.append([*range(n), *(n + place for place in label_place), *[n] * spare])
        ids_BS, branch_BS, place_BS = (torch.tensor(x, device=self.backbone.device) for x in (ids, branches, places))
        return ids_BS, Tree(branch_BS, place_BS)


class SingleReader:
    """Every prompt with every label, padded on the right, for models that take no trees."""

    n_kept = 0

    def __init__(self, backbone: Backbone, labels: Labels) -> None:
        self.backbone, self.labels = backbone, labels

    def places(self, prompt: list[int]) -> int:
        """Tokens computed in one row."""
        return len(prompt) + max(map(len, self.labels.ids)) - 1

    def states(self, prompts: list[list[int]]) -> list[Tensor]:
        """(P, D) for every prompt of a batch."""
        parts = [self._of_label(prompts, label) for label in self.labels.ids]
        return [torch.cat(rows) for rows in zip(*parts, strict=True)]

    def _of_label(self, prompts: Sequence[list[int]], label: list[int]) -> list[Tensor]:
        rows = [[*prompt, *label[:-1]] for prompt in prompts]
        longest = max(map(len, rows))
        ids_BT = torch.tensor([[*row, *[self.backbone.pad_id] * (longest - len(row))] for row in rows])
        more = {"use_cache": False} if "use_cache" in self.backbone.structure.accepts else {}
        states_BTD = self.backbone.model(input_ids=ids_BT.to(self.backbone.device), **more).last_hidden_state
        return [
            states_TD[len(prompt) - 1 : len(prompt) - 1 + len(label)]
            for prompt, states_TD in zip(prompts, states_BTD, strict=True)
        ]
