"""What a command asks of a study beside its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenworth.settings import Count, OutFolder, check_fields


@dataclass(frozen=True, kw_only=True)
class StudyChoice:
    """Which cells, and where they lie."""

    out: OutFolder = None
    """Folder of the study; by default out/study/NAME."""
    only: Sequence[str] = ()
    """Only this task, backbone or route; several times."""
    data: str | Path | None = None
    """Folder with local copies of published tasks, by name; by default the environment variable TOKENWORTH_DATA."""
    models: str | Path | None = None
    """Folder in which backbones lie by name."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class StudyMetric:
    """What is shown of the cells."""

    metric: str = "weighted_f1"
    """Column of the table of cells: weighted_f1, accuracy, log_loss, train_accuracy, ..."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class StudyEngine:
    """Where cells run."""

    workers: Count | None = None
    """Cells at a time; by default as the machine allows."""
    engine: str = "local"
    """local, or ray."""
    address: str | None = None
    """Of a running Ray cluster; by default one is started here."""
    pass_workers: Count = 1
    """With ray: workers that share a forward pass."""
    retry_failed: bool = False
    """Also run cells that failed before."""

    def __post_init__(self) -> None:
        check_fields(self)
