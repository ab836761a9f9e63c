"""Settings of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tokenworth.errors import SettingError
from tokenworth.settings import AsPath, Bounds, Count, Seed, Settings
from tokenworth.settings.bounds import NotEmpty


@dataclass(frozen=True, kw_only=True)
class DemoCall(Settings):
    """What can be asked of the demo."""

    out: Annotated[str | Path, NotEmpty(), AsPath()] = "demo"
    """Folder for results and pages; the same call goes on in it after an interruption."""
    model: str | None = None
    """Folder, hub id or published name; by default smollm2-135m, from its package."""
    task: str | None = None
    """Built-in task: docstring-kinds, or docstrings, which --pretrain takes by default."""
    pretrain: bool = False
    """Pretrain a small decoder first, and take that."""
    steps: Count = 800
    """Pretraining steps; the default takes a few minutes."""
    budget: str = "3min"
    """Most that a route may cost: 3min, 1h."""
    max_texts: Annotated[int, Bounds(least=2)] | None = None
    """Sample so many texts of each part, in proportion to the classes, at least two of each; by default all."""
    seed: Seed = 0
    """Of sample, probes and training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretrain and self.model is not None:
            raise SettingError(f"--pretrain makes a model of its own, and --model names {self.model}; give one of them")
