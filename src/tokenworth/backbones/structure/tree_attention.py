"""Attention of texts that share a row, under the pattern that each layer has of its own.

A row is a tree: a trunk, and branches that begin where the trunk ends.  A token sees the trunk and its own branch.
Texts packed behind each other are branches without a trunk; the classes' words behind a prompt are branches of it.

Layers may see a window or a chunk of what stands before a token, each its own.  Which one is not looked up: while a
tree is in force, the model's own call for a mask is answered, with the function of places that the layer asked for
(causal, sliding, chunked, two-sided), applied to the places in the text instead of those in the row.

Axes: B rows, S tokens of a row, those kept from an earlier pass included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tokenworth.backbones.structure.text_attention import TextAttention


@dataclass(frozen=True, eq=False, slots=True)
class Tree:
    """Which token belongs where."""

    branch_BS: Tensor
    """0 in the trunk, else the number of the branch; padding is a branch of its own, so that it sees something."""
    place_BS: Tensor
    """Place in the text: 0, 1, ... along the trunk and on in every branch."""
    lengths: list[int] | None = None
    """Of the texts of one row that has no trunk and no padding."""

    def sees(self, pattern: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Whether a query sees a key, by their numbers in the row, where the layer's pattern tells it by places."""

        def seen(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            branch, other = self.branch_BS[row, query], self.branch_BS[row, key]
            near = pattern(row, head, self.place_BS[row, query], self.place_BS[row, key])
            return ((other == 0) | (other == branch)) & near

        return seen


class TreeError(Exception):
    """The model asked for no mask, so it pays no heed to the tree."""


@contextmanager
def tree_attention(tree: Tree) -> Iterator[TextAttention | None]:
    """While this lasts, the masks that a transformers model makes are those of a tree.

    The model has to be called with a two-dimensional attention mask of ones, lest it look for packs by itself.  A row
    of texts attends text by text where it can; what is given says afterwards whether all layers did.

    Raises TreeError: nobody asked for a mask.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    masks: Any = ALL_MASK_ATTENTION_FUNCTIONS
    functions: Any = ALL_ATTENTION_FUNCTIONS
    usual, asked = {kind: masks[kind] for kind in _KINDS}, []
    by_text = TextAttention(tree.lengths, functions["sdpa"]) if tree.lengths else None

    def of_tree(kind: str) -> Callable[..., Any]:
        def mask(**wanted: Any) -> Any:
            asked.append(kind)
            pattern = tree.sees(wanted.pop("mask_function"))
            made = usual[kind](**{**wanted, **_WHOLE, "mask_function": pattern})
            if by_text is not None:
                by_text.know(made)
            return made

        return mask

    for kind in _KINDS:  # of this one object: what is registered for everybody stays
        masks[kind] = of_tree(kind)
    if by_text is not None:
        functions["sdpa"] = by_text
    try:
        yield by_text
    finally:
        if by_text is not None:
            del functions["sdpa"]
        for kind in _KINDS:
            del masks[kind]
    if not asked:
        raise TreeError


_KINDS = ("sdpa", "eager")
"""Forms of attention whose masks are tensors."""
_WHOLE = {"attention_mask": None, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
