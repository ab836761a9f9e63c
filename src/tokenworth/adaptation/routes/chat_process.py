"""The process that runs a chat template, a program that came with a model as data; `chat_template.py` starts this file.

Reads lines of JSON and answers each with one: first the template with its variables and bounds, then lists of chats.
The sandbox is the library's; here are bounds of memory and of what is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def limit(memory: int, seconds: int) -> None:
    """So much memory beside what is in use, and so much processor time: a parent that is gone ends nobody."""
    with suppress(ImportError, OSError, ValueError):  # where a system has no such limits, the parent's clock is left
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def answer(render: Callable[..., Any], limits: dict[str, Any], chats: list[list[dict[str, str]]]) -> dict[str, Any]:
    """The prompts of chats, or why there are none; one that the assistant has the last word in is not asked on."""
    prompts = []
    for turns in chats:
        asks = turns[-1]["role"] != "assistant"
        try:
            (prompt,), _ = render(
                [turns], chat_template=limits["template"], add_generation_prompt=asks, **limits["variables"]
            )
        except Exception as error:
            said = next(iter(str(error).strip().splitlines()), "")[:200]
            return {"error": f"{type(error).__name__}: {said}" if said else type(error).__name__}
        added = len(prompt) - sum(len(turn["content"]) for turn in turns)
        if added > limits["most"]:
            return {"error": f"it adds {added:,} characters to a text"}
        prompts.append(prompt)
    return {"prompts": prompts}


def main() -> None:
    """Until there are no more lines."""
    sys.path.pop(0)  # this file's folder, whose names are not to stand in the place of the libraries'
    from transformers.utils.chat_template_utils import render_jinja_template

    limits = json.loads(sys.stdin.readline())
    limit(limits["memory"], limits["seconds"])
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        try:
            answered = json.dumps(answer(render_jinja_template, limits, json.loads(line)))
        except MemoryError:
            answered = json.dumps({"error": "MemoryError"})
        sys.stdout.write(answered + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
