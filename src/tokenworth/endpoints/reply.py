"""What a server answers, checked and cut down to what is kept: words, log-probabilities, tokens counted.

Both forms of OpenAI's API are read, chat completions and completions; the log-probabilities of the second came first as
lists side by side, and newer servers give them in the form of the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tokenworth.base.schema import COUNT, FINITE, TEXT, Each, Maybe, Shape, mistake_in

_KEPT: Shape = {
    "text": TEXT,
    "top": Maybe(Each(FINITE)),
    "tokens": Maybe([TEXT]),
    "log_probabilities": Maybe([FINITE]),
    "tokens_in": Maybe(COUNT),
    "tokens_out": Maybe(COUNT),
    "seconds": FINITE,
}
_UNKNOWN = -1e4
"""Stands for a log-probability that there is none of: that of a text's first token, or minus infinity."""


class MalformedError(ValueError):
    """What a server sent is no answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    text: str
    top: dict[str, float] | None
    """Log-probabilities of the likeliest first tokens of the answer, where the server gives them."""
    tokens: list[str] | None
    """Of prompt and answer where they were asked for, else of the answer."""
    log_probabilities: list[float] | None
    """Of each of these tokens, given those before it."""
    tokens_in: int | None
    tokens_out: int | None
    """As the server counts them; None where it does not."""
    seconds: float
    """From question to answer."""

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A question that a server does not take, such as one with a text that is too long."""

    status: int
    """Of HTTP."""
    said: str


def kept_reply(value: Any) -> Reply | None:
    """The way back from `Reply.plain`; None where it is not one."""
    if not isinstance(value, dict) or mistake_in(value, _KEPT) is not None:
        return None
    return Reply(**{name: value[name] for name in _KEPT})


def read_reply(content: Any, seconds: float) -> Reply:
    """The first choice of an answer.  MalformedError: it is none; the error says what is missing."""
    choices = content.get("choices") if isinstance(content, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise MalformedError("it has no choices")
    choice = choices[0]
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    if not isinstance(text, str | None) or not (isinstance(message, Mapping) or "text" in choice):
        raise MalformedError("its first choice has no words")
    top, tokens, values = _log_probabilities(choice.get("logprobs"))
    usage = content.get("usage")
    counted = [_count(usage, name) for name in ("prompt_tokens", "completion_tokens")]
    return Reply(text or "", top, tokens, values, counted[0], counted[1], seconds)


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if COUNT.fits(value) else None


def _log_probabilities(given: Any) -> tuple[dict[str, float] | None, list[str] | None, list[float] | None]:
    """Of the likeliest first tokens; and every token with its own."""
    if not isinstance(given, Mapping):
        return None, None, None
    steps = given.get("content")
    if isinstance(steps, list) and all(isinstance(step, Mapping) for step in steps):
        tokens = [str(step.get("token", "")) for step in steps]
        values = [_number(step.get("logprob")) for step in steps]
        listed = [
            entry for entry in (steps[0].get("top_logprobs") or [] if steps else []) if isinstance(entry, Mapping)
        ]
        top = {str(entry.get("token", "")): _number(entry.get("logprob")) for entry in listed}
    else:
        tokens = [str(token) for token in given.get("tokens") or []]
        values = [_number(value) for value in given.get("token_logprobs") or []]
        first = next(iter(given.get("top_logprobs") or []), None)
        top = {str(token): _number(value) for token, value in first.items()} if isinstance(first, Mapping) else {}
    if len(tokens) != len(values):
        raise MalformedError("it has not as many log-probabilities as tokens")
    return top or None, tokens or None, values or None


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return max(float(value), _UNKNOWN) if is_number else _UNKNOWN
