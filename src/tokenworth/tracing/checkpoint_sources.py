"""Where the checkpoints of a trace lie: a run's folder, a list of folders, a pattern, or revisions of a hub id."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from tokenworth.backbones.loading.sources import Source, find_source
from tokenworth.backbones.model_names import run_name
from tokenworth.base.sentences import quoted
from tokenworth.errors import BackboneError, SettingError
from tokenworth.settings import exists
from tokenworth.tracing.token_counts import without_count

_FOLDER = re.compile(r"tokens-(\d+)")
Runs = str | Path | Sequence[str | Path]
"""A run's folder, a hub id, a pattern with *, a checkpoint's folder, or several of them."""


@dataclass(frozen=True, slots=True)
class CheckpointSources:
    """Checkpoints in the order given."""

    sources: tuple[Source, ...]
    name: str
    """Of all of them together."""
    folder: Path | None = None
    """Of the run; None for a list."""
    hub_id: str | None = None

    @property
    def names(self) -> list[str]:
        """What tokens are read from: the paths, or the revisions of a hub id."""
        return [source.revision or str(source.folder) for source in self.sources]


def find_checkpoints(run: Runs, revisions: Sequence[str] = ()) -> CheckpointSources:
    """What is given, as folders that exist.

    Raises:
        SettingError: no such folder, no checkpoints in it, or revisions of what is no hub id.
        BackboneError: revisions that cannot be had; all of them are named.
    """
    if revisions:
        return _of_hub(run, revisions)
    if not isinstance(run, str | Path):
        return _of_list(_folders(run))
    if _is_pattern(run):
        return _of_list(sorted(path for path in glob.glob(str(run)) if is_checkpoint(path)), str(run))  # noqa: PTH207
    if is_checkpoint(run):
        return _of_list([run])
    return _of_folder(Path(run))


def is_checkpoint(place: str | Path) -> bool:
    """Whether it is the folder of a model, and so no task and no run."""
    return exists(Path(place) / "config.json")


def split_places(places: Sequence[str]) -> tuple[Runs, list[str]]:
    """Of what stands on a command line the run, or the checkpoints it begins with, and the tasks behind them."""
    checkpoints = list(takewhile(is_checkpoint, places))
    count = max(1, len(checkpoints))
    return (checkpoints if len(checkpoints) > 1 else places[0]), list(places[count:])


def default_folder(run: Runs, revisions: Sequence[str] = ()) -> Path:
    """Where a trace goes when nothing is said: RUN/trace, or out/trace/NAME for what is no run's folder."""
    if isinstance(run, str | Path) and not revisions and not _is_pattern(run) and not is_checkpoint(run):
        return Path(run) / "trace"
    name = str(run) if revisions else find_checkpoints(run).name
    return Path("out/trace") / (re.sub(r"[^\w.-]+", "-", name).strip("-.") or "checkpoints")


def _is_pattern(run: str | Path) -> bool:
    return bool(set("*?[") & set(str(run))) and not exists(Path(run))


def _of_hub(run: Runs, revisions: Sequence[str]) -> CheckpointSources:
    hub_id = run if isinstance(run, str) else ""
    if not hub_id or exists(Path(hub_id)):
        raise SettingError(f"revisions are those of one hub id, such as EleutherAI/pythia-70m, not of {run}")
    _check_once(revisions)
    sources = each_source(list(revisions), lambda revision: find_source(hub_id, revision), f" of {hub_id}")
    return CheckpointSources(tuple(sources), hub_id, hub_id=hub_id)


def _folders(run: Any) -> list[str | Path]:
    """The list, if it is one of paths."""
    places = list(run) if isinstance(run, Sequence) else [run]
    strange = next((place for place in places if not isinstance(place, str | Path)), None)
    if strange is not None:
        raise SettingError(f"run must be a folder, a hub id or a list of folders, not {quoted(strange)}")
    return places


def _of_list(places: Sequence[str | Path], given: str = "") -> CheckpointSources:
    if not places:
        raise SettingError(f"{given or 'the list'} gives no checkpoints; give folders that each hold a config.json")
    missing = [str(place) for place in places if not is_checkpoint(place)]
    if missing:
        raise SettingError(
            f"{', '.join(missing)}: no folder with a config.json, so no checkpoint; give plain transformers folders, "
            "or a hub id with revisions (--revisions)"
        )
    _check_once([str(place) for place in places])
    sources = each_source([str(place) for place in places], find_source)
    last = sources[-1].folder.resolve()
    return CheckpointSources(tuple(sources), without_count(last.name) or run_name(last.parent))


def _of_folder(folder: Path) -> CheckpointSources:
    """Whole checkpoints of a run's folder; what is in work has another name."""
    if not exists(folder) or not folder.is_dir():
        raise SettingError(
            f"{folder} is no folder; give the folder of a pretraining run or of checkpoints, or a hub id with its "
            "revisions (--revisions)"
        )
    places = _within(folder / "checkpoints") or _within(folder)
    if not places:
        raise SettingError(
            f"{folder} holds no checkpoints: none in {folder / 'checkpoints'} is called tokens-N; let tokenworth "
            "pretrain write its first one, or name folders after the tokens their weights have seen, such as "
            "tokens-1000000"
        )
    sources = tuple(Source(str(path), path) for path in places)
    return CheckpointSources(sources, run_name(folder.resolve()), folder)


def _within(folder: Path) -> list[Path]:
    """Folders called tokens-N, or where there are none those that hold a model."""
    entries = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    of_run = [path for path in entries if _FOLDER.fullmatch(path.name)]
    return of_run or [path for path in entries if is_checkpoint(path) and not path.name.startswith(".")]


def _check_once(names: Sequence[str]) -> None:
    """Raises SettingError: a checkpoint stands there twice; a pair of ways to say one folder shows by its tokens."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SettingError(f"{', '.join(twice)} is given more than once; give each checkpoint once")


def each_source(names: Sequence[str], find: Callable[[str], Source], of: str = "") -> list[Source]:
    """The sources of all names.

    Raises:
        BackboneError: some cannot be had; those with the same reason are named together.
    """
    sources, reasons = [], dict[str, list[str]]()
    for name in names:
        try:
            sources.append(find(name))
        except BackboneError as error:  # noqa: PERF203 - all of them are told
            reasons.setdefault(str(error), []).append(name)
    if reasons:
        raise BackboneError("; ".join(f"{', '.join(those)}{of}: {reason}" for reason, those in reasons.items()))
    return sources
