"""A text, and the labelled examples before it, as token ids that a backbone reads, long texts cut to its room."""

from __future__ import annotations

from dataclasses import dataclass

import tokenworth.adaptation.routes.label_likelihood as likelihood
from tokenworth.adaptation.routes.chat_template import ChatFrame
from tokenworth.adaptation.routes.prompt_wording import Example, chat_turns, plain_prompt
from tokenworth.backbones import Backbone
from tokenworth.errors import SettingError

_SPARE = 16
"""Tokens around an example: its words and those of the pattern."""
_SHORTEST = 4


@dataclass(frozen=True, eq=False, slots=True)
class PromptFormat:
    """How prompts of a task read to a model."""

    backbone: Backbone
    frame: ChatFrame
    pattern: str
    """With {text}; ends where the class would be written."""
    system: str
    """Stands before everything; "" leaves it to the chat template, and nothing before a plain text."""
    words: tuple[str, ...]
    """Of the classes."""
    max_length: int | None
    """Tokens of a text; None: as many as there is room for."""

    def label_ids(self) -> list[list[int]]:
        """Token ids of the words of each class, where they answer a prompt."""
        (prompt,) = self._written([[]], ["x"])
        before = self.frame.before_answer if self.frame.is_there else " "
        return likelihood.label_ids(self.backbone, prompt, [before + words for words in self.words])

    def prompt_ids(self, examples_N: list[list[Example]], texts: list[str], longest_label: int) -> list[list[int]]:
        """Token ids of the prompt of each text, with its examples before it; long texts are cut at their end.

        Raises SettingError: the rest of a prompt leaves no room for its text.
        """
        room_N = self._rooms(examples_N, longest_label)
        short = [likelihood.cut(self.backbone, text, room) for text, room in zip(texts, room_N, strict=True)]
        return [self._ids(prompt) for prompt in self._written(examples_N, short)]

    def example(self, text: str, words: str, shots: int) -> Example:
        """A labelled text, cut so that so many of them leave a share of the room to the text that is asked about."""
        around = len(self._ids(*self._written([[]], [""]))) if self.system else 0
        share = max(_SHORTEST, (self.backbone.max_length - around) // (shots + 1) - _SPARE)
        return likelihood.cut(self.backbone, text, min(share, self.max_length or share)), words

    def _rooms(self, examples_N: list[list[Example]], longest_label: int) -> list[int]:
        """Tokens that each text may take."""
        distinct = {id(examples): examples for examples in examples_N}
        empty = self._written(list(distinct.values()), [""] * len(distinct))
        around = dict(zip(distinct, map(len, map(self._ids, empty)), strict=True))
        rooms = {key: self.backbone.max_length - n - longest_label - 2 for key, n in around.items()}
        tightest = min(rooms, key=lambda key: rooms[key], default=None)
        if tightest is not None and rooms[tightest] < 1:
            raise SettingError(
                f"the prompt without its text takes {around[tightest]} of the {self.backbone.max_length} tokens that "
                "the model reads, so there is no room for the text; use fewer shots, a shorter template or system line"
            )
        most = self.max_length or self.backbone.max_length
        return [min(most, rooms[id(examples)]) for examples in examples_N]

    def _ids(self, prompt: str) -> list[int]:
        """A chat template writes all special tokens itself."""
        ids = likelihood.written_ids(self.backbone, prompt) if self.frame.is_there else []
        return ids or likelihood.plain_ids(self.backbone, prompt)

    def _written(self, examples_N: list[list[Example]], texts: list[str]) -> list[str]:
        pairs = list(zip(examples_N, texts, strict=True))
        if not self.frame.is_there:
            return [plain_prompt(self.pattern, self.system, examples, text) for examples, text in pairs]
        takes = not self.system or self.frame.takes_system
        return self.frame.prompts(
            [chat_turns(self.pattern, self.system, examples, text, takes_system=takes) for examples, text in pairs]
        )
