"""Questions to an OpenAI-compatible server over HTTP: bounded in number and time, asked again where that may help.

Asked again after 408, 425, 429, 5xx, a time-out, a broken connection or an answer that is cut or none, after pauses of
.5, 1, 2, 4, ... seconds (times a random share from a half to one), or as long as the server says (Retry-After).  Other
statuses are the server's last word on a question, but for one: a server that wants the bound on an answer's tokens
under its newer name, max_completion_tokens, as OpenAI does for models that think first, gets it so from then on.

The library is httpx; the client of the package openai has such retries too, but reads variables of the environment of
its own, tells the server what system it runs on, and leaves whether an answer is whole to its caller all the same.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import random
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tokenworth.endpoints.endpoint_settings import Address, EndpointSettings
from tokenworth.endpoints.reply import MalformedError, Refusal, Reply, read_reply
from tokenworth.errors import EndpointError, SettingError, first_line

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

_AGAIN = frozenset({408, 425, 429})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
"""Seconds."""
_SHORTEST_KEY = 6
"""A shorter one would be found in any text."""
_MOST_BYTES = 16_000_000
"""Of an answer."""
_BOUND, _NEWER_BOUND = "max_tokens", "max_completion_tokens"


class GivenUpError(EndpointError):
    """A question was asked as often as it may be."""


class BusyServerError(Exception):
    """A status after which a question is asked again; how many seconds the server wants to be left alone."""

    def __init__(self, reason: str, pause: float | None) -> None:
        super().__init__(reason)
        self.pause = pause


class Client:
    """Connections to one server."""

    def __init__(self, address: Address, settings: EndpointSettings) -> None:
        self._address, self._settings = address, settings
        self._key = address.key()
        self._stack = AsyncExitStack()
        self.retries = 0
        self._bound = _BOUND

    async def __aenter__(self) -> Self:
        library = _library()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = library.Limits(max_connections=self._settings.concurrency)
        outside = not _is_loopback(self._address.url)  # a proxy knows another loopback
        made = library.AsyncClient(headers=headers, limits=limits, timeout=self._settings.timeout, trust_env=outside)
        self._http: httpx.AsyncClient = await self._stack.enter_async_context(made)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def models(self) -> list[str]:
        """Names of the models that the server lists; none where it keeps no list.

        Raises:
            EndpointError: nothing answers there, or the key is refused.
        """
        httpx = _library()
        try:
            status, text, _ = await self._sent("GET", "/models", None)
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise EndpointError(
                f"no server answers at {self._address.url} ({first_line(error)}); start it, or give the right --url"
            ) from error
        except (httpx.TransportError, asyncio.TimeoutError, MalformedError):  # questions will tell
            return []
        self._refuse_key(status, text)
        try:
            listed = json.loads(text)["data"]
            return [str(entry["id"]) for entry in listed][:20] if status == 200 else []
        except (ValueError, LookupError, TypeError):
            return []

    async def ask(self, path: str, body: dict[str, Any]) -> Reply | Refusal:
        """The answer to one question.

        Raises:
            GivenUpError: there was none in any of the tries.
            EndpointError: the key is refused, or the server has moved.
        """
        httpx = _library()
        pause, why = _FIRST_PAUSE, ""
        for attempt in range(self._settings.retries + 1):
            self.retries += attempt > 0
            wished = None
            try:
                return await self._answer(path, body)
            except BusyServerError as busy:
                why, wished = str(busy), busy.pause
            except (httpx.TransportError, MalformedError) as error:
                why = self._hidden(first_line(error))
            except asyncio.TimeoutError:
                why = f"nothing for {self._settings.timeout:g} s"
            if attempt < self._settings.retries:
                await asyncio.sleep(pause * random.uniform(0.5, 1) if wished is None else wished)  # noqa: S311
                pause = min(2 * pause, _LONGEST_PAUSE)
        raise GivenUpError(
            f"{self._address.url} gave no answer that can be used in {self._settings.retries + 1} tries (the last: "
            f"{why}); look after the server, or raise --timeout or --retries; what was answered is kept, and the same "
            "command goes on"
        )

    async def _answer(self, path: str, body: dict[str, Any]) -> Reply | Refusal:
        begun = time.perf_counter()
        sent = {self._bound if name == _BOUND else name: value for name, value in body.items()}
        status, text, pause = await self._sent("POST", path, sent)
        if status == 400 and _BOUND in sent and _NEWER_BOUND in text:
            self._bound = _NEWER_BOUND
            return await self._answer(path, body)
        if status in _AGAIN or status >= 500:
            raise BusyServerError(f"{status}: {self._said(text)}", pause)
        self._refuse_key(status, text)
        if 300 <= status < 400:
            raise EndpointError(f"{self._address.url} has moved ({status}); give --url where it is now")
        if status >= 400:
            return Refusal(status, self._said(text))
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MalformedError("what it sends is no JSON, or half of one") from error
        return read_reply(content, time.perf_counter() - begun)

    async def _sent(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, str, float | None]:
        """Status, text without the key, and the pause that is asked for; all within the time-out."""
        return await asyncio.wait_for(self._received(method, path, body), self._settings.timeout)

    async def _received(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, str, float | None]:
        content = bytearray()
        async with self._http.stream(method, self._address.url + path, json=body) as response:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MOST_BYTES:
                    raise MalformedError(f"an answer of more than {_MOST_BYTES:,} bytes")
            pause = _seconds(response.headers.get("retry-after"))
            return response.status_code, self._hidden(content.decode("utf-8", errors="replace")), pause

    def _refuse_key(self, status: int, text: str) -> None:
        if status in (401, 403):
            known = f"the key in {self._address.key_variable}" if self._key else "questions without a key"
            raise EndpointError(
                f"{self._address.url} refuses {known} ({status}: {self._said(text)}); put the right key into the "
                "environment variable, whose name --key-variable gives"
            )

    def _hidden(self, text: str) -> str:
        """Servers repeat keys that they do not know."""
        return text.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_KEY else text

    def _said(self, text: str) -> str:
        """What a server says of a failure, in one line."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = text
        for name in ("error", "detail", "message"):
            if isinstance(content, dict) and name in content:
                content = content[name]
        return first_line(ValueError(content if isinstance(content, str) else json.dumps(content))) if content else ""


def _library() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise SettingError("a model on a server needs httpx: pip install tokenworth[endpoints]") from error
    return httpx


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _seconds(wished: str | None) -> float | None:
    """Of a header that may also hold a date, which is passed over."""
    try:
        return min(max(0.0, float(wished or "")), _LONGEST_PAUSE)
    except ValueError:
        return None
