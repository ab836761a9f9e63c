"""Where the jobs of a corpus run, and what an audit looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tokenworth.settings import Count, check_fields
from tokenworth.settings.declarations import OptionName


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """Where jobs run."""

    workers: Count = 1
    """Processes at a time."""
    engine: str = "local"
    """local, or ray."""
    address: str | None = None
    """Of a running Ray cluster; by default one is started here."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class AuditCall:
    """What `audited` takes."""

    path: str | Path = field(kw_only=False)
    """Corpus file (.yaml, whose tasks are looked for, too), or a file or folder of documents."""
    text: Sequence[str] = ()
    """Column of the text, where documents are rows; several times to join some."""
    tasks: Annotated[Sequence[str], OptionName("task")] = ()
    """Task whose texts to look for, as `load_task` takes them; several times."""
    n: Count = 13
    """Words of a run that is looked for."""

    def __post_init__(self) -> None:
        check_fields(self)
