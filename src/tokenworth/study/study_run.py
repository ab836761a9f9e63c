"""A study on the engine that is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tokenworth.errors import SettingError
from tokenworth.study.grid import Cell, Study
from tokenworth.study.local_engine import run_local
from tokenworth.study.ray_engine import run_on_ray
from tokenworth.study.study_options import StudyEngine


def run_study(study: Study, place: Path, asked: StudyEngine, report: Callable[[Cell, str], None]) -> Counter[str]:
    """Run every cell that is not finished; how many ended in which state.

    Raises:
        SettingError: another engine than local and ray.
    """
    if asked.engine not in ("local", "ray"):
        raise SettingError(f"engine {asked.engine!r} is not understood; choose from local, ray")
    if asked.engine == "local":
        return run_local(study, place, workers=asked.workers, retry_failed=asked.retry_failed, report=report)
    return run_on_ray(
        study, place, address=asked.address, workers=asked.workers, pass_workers=asked.pass_workers,
        retry_failed=asked.retry_failed, report=report,
    )  # fmt: skip
