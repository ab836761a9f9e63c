"""Texts as turns of a conversation: a model's chat template, run within bounds of time, memory and length.

A chat template is a program, and it comes with the model.  It is run by the library, in its sandbox, in a process of
its own that is started once and fed with all texts; a loop that does not end or a text of gigabytes ends there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from tokenworth.errors import BackboneError, first_line

_AT_ONCE = 64
_SECONDS = 10.0
"""For so many texts; rendering one takes less than a millisecond."""
_STARTING_SECONDS = 120.0
_MEMORY = 500_000_000
_PROCESSOR_SECONDS = 3600
_MOST_CHARACTERS = 100_000
"""That a template may add to a text."""
_ADVICE = "go on without the template by --no-chat (chat=False), or repair chat_template in the folder of the tokenizer"


class ChatFrame:
    """The chat template of a tokenizer, or none (or none wanted): then a prompt is the text itself."""

    def __init__(self, tokenizer: Any, name: str, *, wanted: bool = True) -> None:
        self._tokenizer, self._name = tokenizer, name
        self.is_there = wanted and bool(getattr(tokenizer, "chat_template", None))
        self._process: subprocess.Popen[str] | None = None

    def prompts(self, texts: list[str]) -> list[str]:
        """Of each text, what the model reads up to where its answer begins.

        Raises BackboneError: the template fails, takes too long or writes too much.
        """
        if not self.is_there:
            return texts
        answers: list[str] = []
        for start in range(0, len(texts), _AT_ONCE):
            answers += self._ask(self._running(), texts[start : start + _AT_ONCE], _SECONDS)["prompts"]
        return answers

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
