"""Settings of a model that another program serves, and where it is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from tokenworth.base.cell_store import content_hash
from tokenworth.errors import SettingError
from tokenworth.settings import Count, Natural, NonNegative, Positive, Settings, check_fields, quoted

PREFIX = "endpoint:"
"""What the name of a model begins with that a server is asked for."""
KEY_VARIABLE = "TOKENWORTH_API_KEY"
Answers = Literal["auto", "scores", "letters", "schema", "text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSettings(Settings):
    """How a served model is asked, what that may cost, and how long an answer is waited for."""

    url: str | None = None
    """Of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1, for --model endpoint:NAME."""
    key_variable: str = KEY_VARIABLE
    """Environment variable that holds the server's key; the key itself is nowhere written down."""
    answers: Answers = "auto"
    """How classes are read off a server: scores (likelihood of the words, without chat), letters (log-probabilities of
    one letter a class), schema (answers bound to the words), text (read from free text); auto: the first that works."""
    price_in: NonNegative | None = None
    """Money a million tokens that the server reads."""
    price_out: NonNegative | None = None
    """Money a million tokens that the server writes; by default as much as for those it reads."""
    budget: Positive | None = None
    """Most money that a run's answers may cost, predicted before they are asked for and kept to while they come."""
    concurrency: Count = 8
    """Questions on their way to a server at one time."""
    timeout: Positive = 60.0
    """Seconds until an answer is given up."""
    retries: Natural = 5
    """Times that a question is asked again after 429, 5xx, a time-out or half an answer, each after a longer pause."""

    def __post_init__(self) -> None:
        check_fields(self)


DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(EndpointSettings)}
"""Of the settings above, by name."""


def is_endpoint(model: object) -> bool:
    """Whether a model is one that a server is asked for."""
    return isinstance(model, str) and model.startswith(PREFIX)


@dataclass(frozen=True, slots=True)
class Address:
    """A served model."""

    name: str
    """By which the server knows it."""
    url: str
    """Up to what every request shares, without a slash at its end."""
    key_variable: str

    @property
    def model(self) -> str:
        """As a model is named elsewhere: endpoint:NAME."""
        return PREFIX + self.name

    @property
    def fingerprint(self) -> str:
        """sha256 hex of name and URL.  What lies behind them may change; nothing here can see it."""
        return content_hash({"endpoint": self.name, "url": self.url})

    def key(self) -> str:
        """The server's key; "" where there is none.  SettingError: it cannot be sent."""
        key = os.environ.get(self.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise SettingError(f"the key in {self.key_variable} has characters that no header may hold; set it anew")
        return key


def address_of(model: str, url: str | None, key_variable: str = KEY_VARIABLE) -> Address:
    """Where endpoint:NAME is.

    Raises:
        SettingError: there is no name or no URL, the URL is not understood or holds a secret, or the name of the
            variable is none (it may be the key itself and so is not repeated).
    """
    name = model.removeprefix(PREFIX).strip()
    if not name:
        raise SettingError(f"{quoted(model)} names no model; write endpoint:NAME, NAME as the server has it")
    if url is None:
        raise SettingError(f"{model} needs the server's address; give --url, such as http://127.0.0.1:8000/v1")
    if re.fullmatch(r"[A-Z_][A-Z0-9_]*", key_variable) is None:
        raise SettingError(
            "key_variable is not the name of an environment variable in capitals; put the key into one, such as "
            f"{KEY_VARIABLE}, and give its name"
        )
    return Address(name, _checked_url(url), key_variable)


def _checked_url(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingError(f"the url {quoted(url)} is not understood; write it as http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise SettingError(
            f"the url at {parts.hostname} holds a name, a password or a query, and it will be written down; put the "
            f"key into the environment variable {KEY_VARIABLE}"
        )
    return url.strip().rstrip("/").removesuffix("/chat/completions").removesuffix("/completions")


def refuse_misplaced(model: Any, settings: EndpointSettings) -> None:
    """Refuse what goes together with no run.

    Raises:
        SettingError: an address or prices without a served model, or a budget without prices.
    """
    if not is_endpoint(model):
        given = [name for name in ("url", "price_in", "price_out", "budget") if getattr(settings, name) is not None]
        if given:
            raise SettingError(
                f"{given[0].replace('_', '-')} is for a model on a server, and {quoted(model)} is none; name it with "
                "--model endpoint:NAME, or leave it out"
            )
        return
    if settings.price_out is not None and settings.price_in is None:
        raise SettingError("price-out needs price-in, the money a million tokens cost that the server reads")
    if settings.budget is not None and settings.price_in is None:
        raise SettingError("budget is money, so it needs price-in (and price-out): what a million tokens cost")
