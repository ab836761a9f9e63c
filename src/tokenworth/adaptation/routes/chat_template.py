"""Turns of a conversation as text: a model's chat template, run within bounds of time, memory and length.

A chat template is a program, and it comes with the model.  It is run by the library, in its sandbox, in a process of
its own that is started once and fed with all chats; a loop that does not end or a text of gigabytes ends there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenworth.errors import BackboneError, first_line

_AT_ONCE = 64
_SECONDS = 10.0
"""For so many chats; rendering one takes less than a millisecond."""
_STARTING_SECONDS = 120.0
_MEMORY = 500_000_000
_PROCESSOR_SECONDS = 3600
_MOST_CHARACTERS = 100_000
"""That a template may add to the turns of a chat."""
_MARK = "Xyzzy"
"""A word that no template writes by itself."""
_ADVICE = "go on without the template by --no-chat (chat=False), or repair chat_template in the folder of the tokenizer"


Turn = dict[str, str]
"""role (system, user or assistant) and content."""


def turn(role: str, content: str) -> Turn:
    """One turn of a chat."""
    return {"role": role, "content": content}


class ChatFrame:
    """The chat template of a tokenizer, or none (or none wanted): then prompts are made without it."""

    def __init__(self, tokenizer: Any, name: str, *, wanted: bool = True) -> None:
        self._tokenizer, self._name = tokenizer, name
        self.is_there = wanted and bool(getattr(tokenizer, "chat_template", None))
        self._process: subprocess.Popen[str] | None = None

    def prompts(self, chats: list[list[Turn]]) -> list[str]:
        """Of each chat, what the model reads up to where its next answer begins.

        Raises BackboneError: the template fails, takes too long or writes too much.
        """
        prompts: list[str] = []
        for start in range(0, len(chats), _AT_ONCE):
            prompts += self._ask(self._running(), chats[start : start + _AT_ONCE], _SECONDS)["prompts"]
        return prompts

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template writes a system line down; some fail where there is one, others leave it out."""
        try:
            (prompt,) = self.prompts([[turn("system", _MARK), turn("user", "x")]])
        except BackboneError:
            return False
        return _MARK in prompt

    @cached_property
    def before_answer(self) -> str:
        """White space that the template writes between the place where an answer begins and the answer itself."""
        question = [turn("user", "x")]
        (asked,) = self.prompts([question])
        try:
            (answered,) = self.prompts([[*question, turn("assistant", _MARK)]])
        except BackboneError:  # examples will fail with a sentence; without them, nobody answers
            return ""
        between, mark, _ = answered.removeprefix(asked).partition(_MARK)
        return between if answered.startswith(asked) and mark and not between.strip() else ""

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            command, pipe = [sys.executable, str(Path(__file__).with_name("chat_process.py"))], subprocess.PIPE
            process = subprocess.Popen(  # noqa: S603 - our own file
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, encoding="utf-8"
            )
            weakref.finalize(self, _end, process)
            self._process = process
            self._ask(process, self._given(), _STARTING_SECONDS)
        return self._process

    def _given(self) -> dict[str, Any]:
        """What `apply_chat_template` hands to the template."""
        try:
            template = self._tokenizer.get_chat_template()
        except Exception as error:  # a mapping without a default, or no text at all
            raise self._refused(first_line(error)) from error
        variables = {name: str(value) for name, value in self._tokenizer.special_tokens_map.items()}
        bounds = {"memory": _MEMORY, "seconds": _PROCESSOR_SECONDS, "most": _MOST_CHARACTERS}
        return {"template": template, "variables": variables, **bounds}

    def _ask(self, process: subprocess.Popen[str], question: Any, seconds: float) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        clock = threading.Timer(seconds, process.kill)
        clock.start()
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError):  # it was ended, or ended itself
            answer = {"error": f"it does not end within {seconds:g} s, or ends its process"}
        finally:
            clock.cancel()
        if "error" in answer:
            _end(process)
            self._process = None
            raise self._refused(answer["error"])
        return answer

    def _refused(self, reason: str) -> BackboneError:
        return BackboneError(f"the chat template of {self._name} cannot be used ({reason}); {_ADVICE}")


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # a line that nobody reads any more
                pipe.close()
