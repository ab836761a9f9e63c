"""Answers on disk, so that no question is paid for twice: after a kill, or where another run asks the same.

    FOLDER/answers-ENDPOINT-PROCESS.jsonl      a line an answer: key, answer, checksum; written and synced one by one

The key is a hash of the question, so no text is in the file, and neither is the server's key.  A file a process and not
a cell a file (as `CellStore` has it): a million answers are then a few files, nothing waits for a lock, and the line
that a kill cut in two is passed over.  Two runs that ask the same at the same moment pay twice.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import write_errors
from tokenworth.base.cell_store import content_hash
from tokenworth.endpoints.reply import Reply, kept_reply

_REMEDY = "make room there, or choose another folder with --cache"


class AnswerLog:
    """The answers of one served model."""

    def __init__(self, folder: Path | None, endpoint: str) -> None:
        """Read what is there.

        Args:
            folder: where the files lie; None keeps answers in memory alone.
            endpoint: fingerprint of the served model.
        """
        self._name, self._folder = f"answers-{endpoint[:24]}", folder
        self._own = f"{self._name}-{os.getpid()}-{time.time_ns()}.jsonl"
        self._file: int | None = None
        self._kept: dict[str, Reply] = {}
        for path in sorted(folder.glob(f"{self._name}-*.jsonl")) if folder is not None else ():
            self._kept.update(_read(path))

    def find(self, key: str) -> Reply | None:
        """The answer to a question."""
        return self._kept.get(key)

    def keep(self, key: str, reply: Reply) -> None:
        """Write an answer down before anything is done with it.  TokenworthError: it cannot be written."""
        self._kept[key] = reply
        if self._folder is None:
            return
        plain = reply.plain()
        line = json.dumps({"key": key, "answer": plain, "checksum": _checksum(key, plain)}) + "\n"
        with write_errors(self._folder, _REMEDY):
            if self._file is None:
                self._file = self._opened(self._folder)
            os.write(self._file, line.encode())
            os.fsync(self._file)

    def close(self) -> None:
        """End writing; what is kept can still be found."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self, folder: Path) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / self._own, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def _read(path: Path) -> dict[str, Reply]:
    """Whole lines alone."""
    found: dict[str, Reply] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            key, answer, checksum = entry["key"], entry["answer"], entry["checksum"]
        except (ValueError, LookupError, TypeError):  # cut in two by a kill
            continue
        reply = kept_reply(answer)
        if reply is not None and checksum == _checksum(key, answer):
            found[key] = reply
    return found


def _checksum(key: str, plain: dict[str, Any]) -> str:
    return content_hash([key, plain])[:16]
