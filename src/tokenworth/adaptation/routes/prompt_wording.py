"""A text, and the labelled examples before it, in words: turns of a chat, or one plain text.

chat     system line | user: example, assistant: its class | ... | user: text
plain    system line, examples with their classes, and the text, an empty line between them
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenworth.adaptation.routes.chat_template import Turn, turn

Example = tuple[str, str]
"""A text and the words of its class."""


def chat_turns(
    pattern: str, system: str, examples: Sequence[Example], text: str, *, takes_system: bool = True
) -> list[Turn]:
    """Turns up to the text, whose answer comes next.

    Args:
        pattern: with {text}.
        system: stands before everything; "" is left out.
        examples: each is asked about and answered before the text.
        text: what is asked about.
        takes_system: whether there is a turn for the system line; otherwise it stands before the first text.
    """
    turns = []
    for shown, words in examples:
        turns += [turn("user", filled(pattern, shown)), turn("assistant", words)]
    turns.append(turn("user", filled(pattern, text)))
    if not system:
        return turns
    if takes_system:
        return [turn("system", system), *turns]
    return [turn("user", f"{system}\n\n{turns[0]['content']}"), *turns[1:]]


def plain_prompt(pattern: str, system: str, examples: Sequence[Example], text: str) -> str:
    """One text that ends where the class of the last would be written; arguments as of `chat_turns`."""
    shown = [f"{filled(pattern, shown)} {words}" for shown, words in examples]
    return "\n\n".join([*([system] if system else []), *shown, filled(pattern, text)])


def filled(pattern: str, text: str) -> str:
    """A pattern with its text."""
    return pattern.replace("{text}", text)
